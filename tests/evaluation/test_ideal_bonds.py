"""Ideal bonds: all stackings of diamond and graphite have them, phases with other rings do not."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import cells_of_phases, phase
from dig_core.evaluation.ideal_bonds import ideal_bonds

# Umemoto et al., Phys. Rev. Lett. 104, 125504 (2010): four neighbours of every atom, rings of four, angles of 90 degrees.
BCT_C4 = Structure.from_spacegroup("I4/mmm", Lattice.tetragonal(4.329, 2.483), ["C"], [[0.1804, 0.1804, 0]])


def test_all_cells_of_diamond_and_graphite_have_them():
    assert ideal_bonds(list(cells_of_phases(8).values()), 1.85).all()


@pytest.mark.parametrize("cell", [BCT_C4, BCT_C4.get_primitive_structure()])
def test_rings_of_four_do_not(cell):
    assert not ideal_bonds([cell], 1.85).any()
    assert len(cell.get_neighbors(cell[0], 1.85)) == 4


@pytest.mark.parametrize(("noise_angstrom", "share"), [(0.02, 1.0), (0.3, 0.0)])
def test_a_little_noise_leaves_them(noise_angstrom, share):
    generator, crystals = np.random.default_rng(1), []
    for name in 10 * ["diamond", "graphite_ab", "lonsdaleite"]:
        own = phase(name) * (2, 1, 1)
        for site in range(len(own)):
            own.translate_sites([site], generator.normal(scale=noise_angstrom, size=3), frac_coords=False)
        crystals.append(own)
    assert ideal_bonds(crystals, 1.85).mean() == pytest.approx(share, abs=0.1)


def test_lone_atoms_chains_and_needles_do_not():
    alone = Structure(Lattice.cubic(5.0), ["C"], [[0, 0, 0]])
    chain = Structure(Lattice.orthorhombic(9.0, 9.0, 1.3), ["C"], [[0, 0, 0]])
    needle = Structure(Lattice.orthorhombic(0.001, 0.001, 1e5), ["C"], [[0, 0, 0]])
    assert not ideal_bonds([alone, chain, needle], 1.85).any() and ideal_bonds([], 1.85).shape == (0,)
