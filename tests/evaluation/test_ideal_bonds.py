"""Ideal bonds: all stackings of diamond and graphite have them, phases with other rings do not."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import cells_of_phases, phase
from dig_core.evaluation.ideal_bonds import ideal_bonds

# Umemoto et al., Phys. Rev. Lett. 104, 125504 (2010): four neighbours of every atom, rings of four, angles of 90 degrees.
BCT_C4 = Structure.from_spacegroup("I4/mmm", Lattice.tetragonal(4.329, 2.483), ["C"], [[0.1804, 0.1804, 0]])
# Four neighbours at 101.5 and 116.1 degrees: silicon III (Kasper and Richards, Acta Cryst. 17, 752 (1964)) at about the density of diamond.
BC8 = Structure.from_spacegroup("Ia-3", Lattice.cubic(4.43), ["C"], [[0.0937, 0.0937, 0.0937]])
# Three at 120 degrees, in planes that turn from atom to atom (Sunada, Notices AMS 55, 208 (2008): I4_132, positions 8a).
K4 = Structure.from_spacegroup("I4_132", Lattice.cubic(4.13), ["C"], [[0.125, 0.125, 0.125]])


def test_all_cells_of_diamond_and_graphite_have_them():
    assert ideal_bonds(list(cells_of_phases(8).values()), 1.85).all()


@pytest.mark.parametrize(
    ("crystal", "neighbours"), [(BCT_C4, 4), (BCT_C4.get_primitive_structure(), 4), (BC8, 4), (K4, 3)]
)
def test_other_nets_do_not(crystal, neighbours):
    assert {len(crystal.get_neighbors(site, 1.85)) for site in crystal} == {neighbours}
    assert not ideal_bonds([crystal], 1.85).any()


def test_pyramids_do_not():
    """Diamond that is pulled apart along one of its bonds: three bonds are left, with angles of 109.5 degrees."""
    diamond = phase("diamond")
    bond = diamond.cart_coords[1] - diamond.cart_coords[0]
    matrix = diamond.lattice.matrix + 0.5 * np.outer(diamond.lattice.matrix @ bond, bond) / (bond @ bond)
    pulled = Structure(Lattice(matrix), diamond.species, diamond.frac_coords)
    assert {len(pulled.get_neighbors(site, 1.85)) for site in pulled} <= {1, 3}
    assert not ideal_bonds([pulled], 1.85).any()


@pytest.mark.parametrize(("noise_angstrom", "share"), [(0.01, 1.0), (0.3, 0.0)])
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
