"""Events of folding on series whose events are known, walkers whose places are known, and the free energy of known populations."""

import numpy as np
import pytest

from dig_core.evaluation.folding import (
    FOLDED,
    NEITHER,
    UNFOLDED,
    Events,
    along_walkers,
    events,
    stability_kcal_per_mol,
    states,
)

WITHIN, BEYOND = 2.0, 4.0


def counted(*walkers) -> Events:
    return events(np.array(walkers, dtype=float), WITHIN, BEYOND)


def test_a_structure_between_the_thresholds_is_neither():
    found = states(np.array([0.0, 2.0, 2.1, 4.0, 4.1, np.nan]), WITHIN, BEYOND)
    assert found.tolist() == [FOLDED, FOLDED, NEITHER, NEITHER, UNFOLDED, NEITHER]


def test_crossing_one_threshold_to_and_fro_is_no_event():
    assert counted([1, 3, 1, 3.9, 1, 2.1, 2.0]) == Events(0, 0)
    assert counted([5, 3, 5, 2.1, 4.1, 3]) == Events(0, 0)
    # Ten tremors about the lower threshold, then one unfolding through the middle, and tremors about the upper one.
    assert counted([1.9, 2.1] * 10 + [3, 4.1, 3.9] * 5) == Events(0, 1)


def test_events_of_a_walker_alternate():
    assert counted([1, 3, 5, 3, 1, 5, 1]) == Events(2, 2)
    assert counted([3, 5, 1]) == Events(1, 0)
    walk = np.abs(np.cumsum(np.random.default_rng(0).normal(0.0, 0.7, (1, 20_000)), axis=1)) % 7.0
    found = events(walk, WITHIN, BEYOND)
    assert found.folding > 100 and abs(found.folding - found.unfolding) <= 1


def test_walkers_count_each_for_itself():
    """What one temperature shows, as structures come and go, is no event."""
    rmsd = np.array([[1.0, 5.0], [5.0, 1.0], [1.0, 5.0]])
    walkers = np.array([[0, 1], [1, 0], [0, 1]])
    assert events(rmsd.T, WITHIN, BEYOND) == Events(2, 2)
    assert along_walkers(rmsd, walkers).tolist() == [[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]]
    assert events(along_walkers(rmsd, walkers), WITHIN, BEYOND) == Events(0, 0)


def test_values_follow_the_walkers_whatever_the_exchanges():
    random = np.random.default_rng(1)
    own = np.arange(4) * 100.0 + np.arange(50)[:, None]  # of walker w in round r: 100 w + r
    walkers = random.permuted(np.tile(np.arange(4), (50, 1)), axis=1)
    at_temperatures = np.take_along_axis(own, walkers, axis=1)
    assert np.array_equal(along_walkers(at_temperatures, walkers), own.T)


def test_what_is_not_finite_is_no_event():
    assert counted([1, np.nan, 1, np.nan, 5]) == Events(0, 1)
    assert counted([np.nan, np.nan]) == Events(0, 0) == events(np.zeros((0, 3)), WITHIN, BEYOND)


def test_stability_is_that_of_the_populations():
    """Three quarters folded and a quarter unfolded: kT ln 3; what is neither does not count."""
    found = np.array([FOLDED] * 3 + [UNFOLDED] + [NEITHER] * 5)
    assert stability_kcal_per_mol(found, 340.0) == pytest.approx(0.0019872 * 340.0 * np.log(3.0), rel=1e-4)
    assert stability_kcal_per_mol(-found, 340.0) == pytest.approx(-stability_kcal_per_mol(found, 340.0))
    assert stability_kcal_per_mol(np.array([FOLDED]), 340.0) == np.inf
    assert np.isnan(stability_kcal_per_mol(np.array([NEITHER]), 340.0))
