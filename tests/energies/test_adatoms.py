"""The best height of an atom above a slab: against a potential whose heights are known, and by finite differences."""

import ase
import numpy as np
import pytest
from ase.build import add_adsorbate, fcc111
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from dig_core.energies.adatoms import Adatom, bracketed

STIFF, REST = 7.0, 1.3


class Spring(Calculator):
    """E = k/2 (z - rest)^2 + c (z - rest)^3 above z = 2, with a wave over x."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x, _, z = self.atoms.positions[-1]
        away = z - 2.0 - REST - 0.1 * np.sin(x)
        forces = np.zeros((len(self.atoms), 3))
        forces[-1, 2] = -STIFF * away + 1.5 * away**2
        self.results = {"energy": 0.5 * STIFF * away**2 - 0.5 * away**3 + 0.2 * np.cos(x), "forces": forces}


def spring() -> Adatom:
    return Adatom(ase.Atoms("PtO", [[0, 0, 2.0], [0, 0, 3.0]], cell=[5, 5, 20], pbc=True), Spring())


@pytest.mark.parametrize("guess", [0.2, 1.0, 2.3])
@pytest.mark.parametrize("x", [0.0, 1.7])
def test_height_energy_and_stiffness_are_those_of_the_potential(guess, x):
    found = spring().best_height(np.array([x, 0.4]), guess)
    assert found.height_angstrom == pytest.approx(REST + 0.1 * np.sin(x), abs=2e-3)
    assert found.energy_eV == pytest.approx(0.2 * np.cos(x), abs=1e-4)
    assert found.stiffness_eV_per_angstrom2 == pytest.approx(STIFF, rel=0.02)


def test_on_a_metal_the_force_is_zero_there_and_the_stiffness_that_of_the_energy():
    slab = fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=True)
    add_adsorbate(slab, "O", 1.5)
    own, plane = Adatom(slab, EMT()), np.array([0.6, 0.9])
    found = own.best_height(plane, 1.5)
    heights = found.height_angstrom + np.array([-0.02, 0.0, 0.02])
    energies = [own.energy_and_force(np.array([*plane, own.top_angstrom + h]))[0] for h in heights]
    assert energies[1] == pytest.approx(found.energy_eV, abs=1e-3) and energies[1] == min(energies)
    curvature = (energies[0] - 2 * energies[1] + energies[2]) / 0.02**2
    assert found.stiffness_eV_per_angstrom2 == pytest.approx(curvature, rel=0.1)


def test_an_atom_that_is_not_bound_or_falls_in_is_told():
    with pytest.raises(ValueError, match="it is not bound"):
        bracketed(lambda height: 1.0, 1.0)
    with pytest.raises(ValueError, match="it falls into the slab"):
        bracketed(lambda height: -1.0, 1.0)
    assert bracketed(lambda height: 1.0 - height, 2.0) == pytest.approx((0.8, 1.1))
