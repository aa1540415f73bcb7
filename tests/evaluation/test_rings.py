"""Rings of crystals whose rings are known."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from dig_core.data.carbon_phases import phase, supercells
from dig_core.evaluation.rings import LARGEST, ring_sizes, six_ring_share

WITHIN = 1.85


@pytest.mark.parametrize("name", ["diamond", "lonsdaleite", "graphite_aa", "graphite_ab", "graphite_abc"])
def test_all_rings_of_the_usual_phases_have_six_atoms(name):
    """Six angles of an atom with four bonds, three of one with three; in every cell."""
    own = phase(name)
    angles = 6 if name in ("diamond", "lonsdaleite") else 3
    for cell in supercells(own, 2 * len(own)):
        assert ring_sizes(cell, WITHIN).tolist() == [6] * angles * len(cell)
        assert six_ring_share(cell, WITHIN) == 1.0


def test_straight_angles_of_a_cubic_lattice_have_a_way_around():
    cubic = Structure(Lattice.cubic(1.7), ["C"], [[0, 0, 0]])
    assert sorted(ring_sizes(cubic, WITHIN).tolist()) == [4] * 12 + [6] * 3


def test_chains_have_no_rings_and_lone_atoms_no_angles():
    chain = Structure(Lattice.tetragonal(5.0, 1.3), ["C"], [[0, 0, 0]])
    assert ring_sizes(chain, WITHIN).tolist() == [0]
    lone = Structure(Lattice.cubic(6.0), ["C"], [[0, 0, 0]])
    assert ring_sizes(lone, WITHIN).size == 0 and six_ring_share(lone, WITHIN) == 0.0


@pytest.mark.parametrize("atoms", [3, 5, 8, LARGEST])
def test_a_lone_ring_has_its_atoms(atoms):
    angles = 2 * np.pi * np.arange(atoms) / atoms
    radius = 0.7 / np.sin(np.pi / atoms)
    flat = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.zeros(atoms)], axis=1)
    ring = Structure(Lattice.cubic(20.0), ["C"] * atoms, flat, coords_are_cartesian=True)
    assert ring_sizes(ring, 1.5).tolist() == [atoms] * atoms


def test_two_bonds_to_images_of_one_atom_are_told_apart():
    """Body-centred tetragonal carbon: rings of four and of six (Umemoto et al., Phys. Rev. Lett. 104, 125504 (2010))."""
    bct = Structure.from_spacegroup("I4/mmm", Lattice.tetragonal(4.38, 2.51), ["C"], [[0.1804, 0.1804, 0.0]])
    assert set(ring_sizes(bct, WITHIN).tolist()) == {4, 6}
