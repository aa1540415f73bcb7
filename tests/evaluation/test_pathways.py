"""Saddles of landscapes that are known, and where points lie on them."""

import numpy as np
import pytest

from dig_core.evaluation.landscape import Landscape, torsion_edges
from dig_core.evaluation.pathways import (
    barrier,
    bins_of,
    frames_by_probability,
    free_energy_along,
    lowest_bin,
    saddle,
)
from dig_core.evaluation.statistics import TorsionRegion
from dig_core.units import thermal_energy_kcal_per_mol

WALL = 9.0
LEFT, RIGHT = TorsionRegion((-180.0, 0.0), (-180.0, 180.0)), TorsionRegion((0.0, 180.0), (-180.0, 180.0))


def landscape(energy: np.ndarray) -> Landscape:
    """The landscape with these free energies in kcal/mol."""
    probability = np.exp(-energy / thermal_energy_kcal_per_mol(300.0))
    return Landscape(*torsion_edges(len(energy)), probability / probability.sum(), 300.0)


def two_wells(size: int = 8) -> np.ndarray:
    """Two wells, floors 0 and 1, with walls between them (also across the border of the period)."""
    energy = np.zeros((size, size))
    energy[size // 2 :] = 1.0
    energy[0] = energy[size // 2] = WALL
    return energy


def test_saddle_of_a_wall_is_its_lowest_gap():
    energy = two_wells()
    assert saddle(energy, (2, 2), (6, 2)) == WALL
    energy[4, 7] = 5.0
    assert saddle(energy, (2, 2), (6, 2)) == 5.0
    energy[0, 1] = 3.0  # the way across the border of the period is lower
    assert saddle(energy, (2, 2), (6, 2)) == 3.0
    assert saddle(energy, (6, 2), (2, 2)) == 3.0


def test_way_across_the_border_of_the_second_torsion():
    energy = np.full((4, 6), WALL)
    energy[1] = [0.0, 1.0, WALL, WALL, 2.0, 1.0]
    assert saddle(energy, (1, 1), (1, 4)) == 2.0


def test_neighbours_touch_along_a_side_not_at_a_corner():
    energy = np.full((5, 5), WALL)
    np.fill_diagonal(energy, 0.0)
    assert saddle(energy, (1, 1), (2, 2)) == WALL


def test_saddle_equals_the_minimax_over_all_paths():
    """Against a search that relaxes the largest value on the way to each bin until nothing changes."""
    energy = np.random.default_rng(0).normal(size=(7, 5))
    reached = np.full(energy.shape, np.inf)
    reached[1, 2] = energy[1, 2]
    for _ in range(energy.size):
        nearest = np.min([np.roll(reached, shift, axis) for axis in (0, 1) for shift in (1, -1)], axis=0)
        reached = np.minimum(reached, np.maximum(nearest, energy))
    for end in np.ndindex(energy.shape):
        assert saddle(energy, (1, 2), end) == reached[end]


def test_empty_bins_connect_nothing():
    energy = two_wells()
    energy[[0, 4]] = np.inf
    assert saddle(energy, (2, 2), (6, 2)) == np.inf
    assert saddle(energy, (2, 2), (2, 2)) == 0.0


def test_barrier_between_states_is_above_the_lowest_bin_of_all():
    energy = two_wells()
    energy[2, 5], energy[6, 1], energy[4, 3] = -2.0, 0.5, 4.0
    assert barrier(landscape(energy), LEFT, RIGHT) == pytest.approx(6.0)
    assert barrier(landscape(energy), RIGHT, LEFT) == pytest.approx(6.0)
    assert lowest_bin(landscape(energy), LEFT) == (2, 5) and lowest_bin(landscape(energy), RIGHT) == (6, 1)


def test_state_without_structures_is_told():
    energy = two_wells()
    energy[4:] = np.inf
    with pytest.raises(
        ValueError, match=r"expected structures with phi \(0\.0, 180\.0\).*; got none\. Choose"
    ):
        barrier(landscape(energy), LEFT, RIGHT)


def test_points_lie_in_their_bins_in_any_period():
    full = landscape(two_wells())
    middle = -np.pi + (np.array([[2, 5], [7, 0]]) + 0.5) * np.pi / 4
    for turn in (0.0, 2 * np.pi, -2 * np.pi):
        assert bins_of(middle + turn, full).tolist() == [[2, 5], [7, 0]]
    assert bins_of(np.array([[-np.pi, np.pi]]), full).tolist() == [[0, 0]]
    assert free_energy_along(middle.reshape(2, 1, 2), full) == pytest.approx(np.array([[0.0], [1.0]]))


def test_frames_come_from_the_most_probable_bin_and_from_the_next_where_it_has_too_few():
    full = landscape(-np.arange(16.0).reshape(4, 4) / 8.0)
    columns, rows = np.array([0, 3, 3, 3, 2, 3]), np.array([0, 3, 3, 2, 1, 3])
    torsions = -np.pi + (np.stack([columns, rows], axis=1) + 0.5) * np.pi / 2
    weights = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.0])
    assert frames_by_probability(torsions, weights, full, 2).tolist() == [1, 2]
    assert frames_by_probability(torsions, weights, full, 3).tolist() == [1, 2, 3]
    assert frames_by_probability(torsions, weights, full, 99).tolist() == [0, 1, 2, 3, 4]
