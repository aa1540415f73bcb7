"""Bonds that turn: against their closed forms, and forces against the slope of an energy."""

import numpy as np
import pytest

from dig_core.bonds import forces_of_turning, turned, with_lengths


def test_what_moves_an_atom_to_the_side_turns_its_bond_and_leaves_its_length():
    bond = np.array([0.0, 0.0, 1.2])
    assert np.linalg.norm(turned(bond, np.array([0.5, -0.3, 0.0]))) == pytest.approx(1.2)
    assert np.linalg.norm(turned(bond, np.array([0.5, -0.3, 0.1]))) == pytest.approx(1.3)
    small = 1e-5 * np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(turned(bond, small), bond + small, atol=1e-9)


def test_forces_on_what_moves_are_the_slope_of_the_energy():
    """Of a stiff bond in a field, far from where it rests."""
    bonds, moved = np.array([[0.2, -0.1, 1.15]]), np.array([[0.4, 0.3, -0.05]])

    def energy(at):
        end = turned(bonds, at)[0]
        return 95.0 * (np.linalg.norm(end) - 1.16) ** 2 + 0.7 * end[0] ** 2 + 0.2 * end[1]

    end = turned(bonds, moved)
    length = np.linalg.norm(end)
    forces = -190.0 * (length - 1.16) * end / length - [[1.4 * end[0, 0], 0.2, 0.0]]
    steps = 1e-5 * np.eye(3)[:, None]
    slopes = [(energy(moved + own) - energy(moved - own)) / 2e-5 for own in steps]
    np.testing.assert_allclose(forces_of_turning(bonds, moved, forces)[0], -np.array(slopes), rtol=1e-5)


def test_directions_stay_where_lengths_are_given():
    bonds = np.random.default_rng(0).standard_normal((5, 2, 3))
    found = with_lengths(bonds, np.full((5, 2, 1), 1.2))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.2)
    assert (np.cross(found, bonds) ** 2).sum() == pytest.approx(0.0, abs=1e-20)
