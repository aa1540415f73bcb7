"""Validity of a small molecule built by hand: each fault is reported under its own name only."""

import time

import numpy as np
import pytest

from dig_core.evaluation.validity import (
    CRITERIA,
    Tolerances,
    check,
    chirality_signs,
    distance_bounds,
)

# A tetrahedral centre (0) with arms 1-4 of 1.5 Angstrom; atom 5 follows atom 4, atom 6 follows atom 5.
TETRAHEDRON = 1.5 / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
MOLECULE = np.vstack(
    [np.zeros(3), TETRAHEDRON, TETRAHEDRON[3] + [0, 0, 1.5], TETRAHEDRON[3] + [-1.2, -0.4, 2.3]]
)
BONDS = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [4, 5], [5, 6]])
CENTRES = np.array([[0, 1, 2, 3]])


def distances() -> np.ndarray:
    return np.linalg.norm(MOLECULE[:, None] - MOLECULE[None], axis=-1)


BOUNDS = distance_bounds(distances() * 0.98, distances() * 1.02, BONDS)
SIGNS = chirality_signs(MOLECULE[None], CENTRES)[0]


def faults(positions: np.ndarray, **settings) -> list[str]:
    result = check(positions[None], BOUNDS, CENTRES, SIGNS, **settings)
    assert result.valid[0] == all(getattr(result, name)[0] for name in CRITERIA)
    return [name for name in CRITERIA if not getattr(result, name)[0]]


def test_pairs_are_sorted_by_their_separation_in_bonds():
    assert sorted(map(tuple, BOUNDS.bonds)) == sorted(map(tuple, BONDS))
    angles = {(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4), (0, 5), (4, 6)}
    assert set(map(tuple, BOUNDS.angles.tolist())) == angles
    assert len(BOUNDS.nonbonded) == 21 - len(BONDS) - len(angles)


def test_a_ring_of_three_has_no_1_3_pairs():
    ring = distance_bounds(np.ones((3, 3)), np.ones((3, 3)), np.array([[0, 1], [1, 2], [2, 0]]))
    assert len(ring.bonds) == 3 and len(ring.angles) == len(ring.nonbonded) == 0


def test_the_molecule_itself_is_valid_wherever_it_lies():
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    assert faults(MOLECULE) == faults(MOLECULE @ rotation.T + [3.0, -7.0, 1.0]) == []


def test_a_stretched_bond_alone():
    long = MOLECULE.copy()
    long[6] = MOLECULE[5] + 1.3 * (MOLECULE[6] - MOLECULE[5])
    assert faults(long) == ["bond_lengths"]
    assert faults(long, tolerances=Tolerances(bond_length=0.4)) == []


def test_a_shrunken_bond_is_as_bad():
    short = MOLECULE.copy()
    short[6] = MOLECULE[5] + 0.7 * (MOLECULE[6] - MOLECULE[5])
    assert faults(short) == ["bond_lengths"]


def test_a_bent_angle_alone():
    # Atom 6 swings about atom 5 towards atom 4 at constant bond length.
    arm, bond = MOLECULE[4] - MOLECULE[5], MOLECULE[6] - MOLECULE[5]
    direction = bond + 1.6 * arm
    bent = MOLECULE.copy()
    bent[6] = MOLECULE[5] + direction * np.linalg.norm(bond) / np.linalg.norm(direction)
    assert faults(bent, tolerances=Tolerances(clash=1.0)) == ["bond_angles"]


def test_a_clash_alone():
    # A turn about the bond 4-5 keeps bonds and angles; find the one that brings atom 6 closest to atoms 1-3.
    axis = (MOLECULE[5] - MOLECULE[4]) / np.linalg.norm(MOLECULE[5] - MOLECULE[4])
    arm = MOLECULE[6] - MOLECULE[5]
    turned = np.repeat(MOLECULE[None], 360, axis=0)
    for degree, angle in enumerate(np.radians(np.arange(360))):
        turned[degree, 6] = MOLECULE[5] + (
            arm * np.cos(angle)
            + np.cross(axis, arm) * np.sin(angle)
            + axis * (axis @ arm) * (1 - np.cos(angle))
        )
    result = check(turned, BOUNDS, CENTRES, SIGNS)
    assert result.bond_lengths.all() and result.bond_angles.all() and result.chirality.all()
    assert result.no_clash[0]
    i, j = BOUNDS.nonbonded.T
    apart = np.linalg.norm(turned[:, i] - turned[:, j], axis=-1)
    expected = (apart >= 0.7 * 0.98 * distances()[i, j]).all(axis=1)
    assert np.array_equal(result.no_clash, expected) and not expected.all()


def test_a_mirror_image_alone():
    assert faults(MOLECULE * [1.0, 1.0, -1.0]) == ["chirality"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_not_finite_alone(bad):
    broken = MOLECULE.copy()
    broken[1, 2] = bad
    assert faults(broken) == ["finite"]
    assert chirality_signs(broken[None], CENTRES)[0, 0] == 0


def test_counts_by_name():
    broken, long = MOLECULE.copy(), MOLECULE.copy()
    broken[0, 0] = np.nan
    long[6] = MOLECULE[5] + 1.3 * (MOLECULE[6] - MOLECULE[5])
    structures = np.stack([MOLECULE, broken, long, MOLECULE * [1.0, 1.0, -1.0], MOLECULE])
    assert check(structures, BOUNDS, CENTRES, SIGNS).counts() == {
        "structures": 5,
        "finite": 4,
        "bond_lengths": 4,
        "bond_angles": 5,
        "no_clash": 5,
        "chirality": 4,
        "valid": 2,
    }


def test_a_mirror_flips_every_sign():
    structures = MOLECULE + np.random.default_rng(2).normal(scale=0.05, size=(50, 7, 3))
    centres = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 2, 4]])
    signs = chirality_signs(structures, centres)
    assert np.all(np.abs(signs) == 1)
    assert np.array_equal(chirality_signs(structures * [-1.0, 1.0, 1.0], centres), -signs)
    # Two neighbours in the other order: the other sign.
    assert np.array_equal(signs[:, 0], -signs[:, 1])


def test_sign_of_a_right_handed_frame_and_of_a_flat_centre():
    frame = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], dtype=float)
    assert chirality_signs(frame, CENTRES).tolist() == [[1]]
    assert chirality_signs(frame * [1.0, 1.0, 0.0], CENTRES).tolist() == [[0]]


def test_atoms_and_centres_must_fit():
    with pytest.raises(ValueError, match="expected 7 atoms as in the bounds; got 6"):
        check(MOLECULE[None, :6], BOUNDS)
    with pytest.raises(ValueError, match="one reference sign per stereocentre"):
        check(MOLECULE[None], BOUNDS, CENTRES)
    assert check(MOLECULE[None], BOUNDS).valid.all()


def test_ten_thousand_structures_of_22_atoms_take_less_than_a_second():
    chain = np.arange(22)[:, None] * [1.5, 0.0, 0.0]
    lengths = np.linalg.norm(chain[:, None] - chain[None], axis=-1)
    bounds = distance_bounds(lengths, lengths, np.stack([np.arange(21), np.arange(1, 22)], axis=1))
    structures = chain + np.random.default_rng(3).normal(scale=0.01, size=(10_000, 22, 3))
    start = time.process_time()
    assert check(structures, bounds).valid.all()
    assert time.process_time() - start < 1.0
