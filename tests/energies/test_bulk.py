"""Lattice constants: those that the parameters of a potential are known to give."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from dig_core.energies.bulk import scale_at_rest


@pytest.mark.parametrize(("element", "expected"), [("Cu", 3.59), ("Ag", 4.06), ("Pt", 3.92)])
@pytest.mark.parametrize("start", [1.0, 3.0])
def test_lattice_constants_of_emt_are_the_known_ones(element, expected, start):
    """As ASE's documentation and many relaxations have them; whatever the vectors are at first."""
    assert start * scale_at_rest(bulk(element, "fcc", a=start), EMT()) == pytest.approx(expected, abs=0.01)


def test_the_stress_is_zero_there():
    crystal = bulk("Cu", "hcp", a=2.0, c=3.2)
    crystal.set_cell(scale_at_rest(crystal, EMT()) * crystal.cell, scale_atoms=True)
    crystal.calc = EMT()
    stress = crystal.get_stress()[:3]
    assert np.trace(np.diag(stress)) == pytest.approx(0.0, abs=2e-3)
    assert crystal.cell[2, 2] / crystal.cell[0, 0] == pytest.approx(1.6)


def test_a_potential_without_a_minimum_is_told():
    apart = LennardJones(epsilon=1e-9, sigma=0.1, rc=0.5)
    with pytest.raises(ValueError, match="a lattice constant of Cu at which the energy is lowest"):
        scale_at_rest(Atoms("Cu", cell=[3.0, 3.0, 3.0], pbc=True), apart)
