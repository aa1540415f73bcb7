"""Landscapes against closed forms: few bins by hand, a density known on the whole torsion plane."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from dig_core.evaluation.landscape import (
    Landscape,
    coverage,
    free_energy_mae_floored_kcal_per_mol,
    free_energy_mae_kcal_per_mol,
    jensen_shannon_nats,
    landscape,
    landscape_metrics,
    precision,
    reference_edges,
    torsion_edges,
)

KT_KCAL_PER_MOL = 0.0019872042586 * 300.0


def row(*probability: float) -> Landscape:
    """A landscape of one row of bins at 300 K."""
    return Landscape(np.arange(len(probability) + 1.0), np.arange(2.0), np.array(probability)[:, None], 300.0)


def torsions_of_known_density(count: int, seed: int) -> np.ndarray:
    """Independent von Mises angles with kappa = 1: F = -kT (cos phi + cos psi) + constant."""
    return np.random.default_rng(seed).vonmises(0.0, 1.0, size=(count, 2))


def test_free_energy_of_two_bins_by_hand():
    energy = row(0.75, 0.25, 0.0).free_energy_kcal_per_mol[:, 0]
    assert energy[0] == 0.0
    assert energy[1] == pytest.approx(KT_KCAL_PER_MOL * np.log(3.0), rel=1e-6)
    assert energy[2] == np.inf


def test_low_energy_bins_end_at_the_cutoff():
    below, above = np.exp(-3.99 / KT_KCAL_PER_MOL), np.exp(-4.01 / KT_KCAL_PER_MOL)
    reference = row(1 - below - above, below * (1 - below - above), above * (1 - below - above))
    assert reference.low_energy_bins()[:, 0].tolist() == [True, True, False]
    assert reference.low_energy_bins(5.0).all()


def test_free_energy_of_a_known_density_is_recovered():
    edges = torsion_edges(24)
    made = landscape(torsions_of_known_density(400_000, 1), edges, 300.0)
    centres = (edges[0][:-1] + edges[0][1:]) / 2
    exact = -KT_KCAL_PER_MOL * (np.cos(centres)[:, None] + np.cos(centres)[None, :])
    difference = made.free_energy_kcal_per_mol - exact
    assert np.abs(difference - np.median(difference)).mean() < 0.04


def test_weights_turn_uniform_points_into_the_known_density():
    points = np.random.default_rng(2).uniform(-np.pi, np.pi, size=(400_000, 2))
    weighted = landscape(points, torsion_edges(24), 300.0, np.exp(np.cos(points).sum(axis=1)))
    drawn = landscape(torsions_of_known_density(400_000, 3), torsion_edges(24), 300.0)
    assert jensen_shannon_nats(weighted, drawn) < 5e-4
    assert free_energy_mae_kcal_per_mol(weighted, drawn) < 0.05


def test_a_landscape_agrees_with_itself():
    reference = landscape(torsions_of_known_density(5_000, 4), torsion_edges(), 300.0)
    assert coverage(reference, reference) == 1.0
    assert free_energy_mae_kcal_per_mol(reference, reference) == 0.0
    assert free_energy_mae_floored_kcal_per_mol(reference, reference, 5_000.0) == 0.0
    assert jensen_shannon_nats(reference, reference) == 0.0


def test_coverage_and_precision_by_hand():
    reference = row(0.5, 0.4, 0.0999, 1e-4)
    candidate = row(0.7, 0.0, 0.1, 0.2)
    assert coverage(candidate, reference) == pytest.approx(2 / 3)
    assert precision(candidate, reference) == pytest.approx(0.8)


def test_free_energy_error_by_hand():
    # Differences of F in kT: 0, 0, ln 4: the median is 0, the mean deviation ln 4 / 3.
    error = free_energy_mae_kcal_per_mol(row(0.45, 0.45, 0.1), row(0.3, 0.3, 0.4 - 0.4 / 3))
    assert error == pytest.approx(KT_KCAL_PER_MOL * np.log(0.4 * 2 / 3 / 0.1 * 1.5) / 3, rel=1e-6)


def test_a_constant_shift_of_the_free_energy_is_no_error():
    reference, candidate = row(0.5, 0.3, 0.2), row(0.25, 0.15, 0.1)
    assert free_energy_mae_kcal_per_mol(candidate, reference) == pytest.approx(0.0, abs=1e-12)
    assert candidate.outside == pytest.approx(0.5)


def test_only_the_floored_error_sees_a_missed_basin():
    reference, candidate = row(0.4, 0.3, 0.3), row(4 / 7, 3 / 7, 0.0)
    assert free_energy_mae_kcal_per_mol(candidate, reference) == pytest.approx(0.0, abs=1e-12)
    # Half a count in 1,000 against 0.3; both filled bins differ by ln(0.7), the median.
    expected = KT_KCAL_PER_MOL * (np.log(0.3 / 0.0005) - np.log(0.7)) / 3
    floored = free_energy_mae_floored_kcal_per_mol(candidate, reference, 1_000.0)
    assert floored == pytest.approx(expected, rel=1e-6)
    assert free_energy_mae_floored_kcal_per_mol(candidate, reference, 10_000.0) > floored


def test_no_common_bin_is_an_infinite_error_not_nan():
    assert free_energy_mae_kcal_per_mol(row(0.0, 1.0), row(1.0, 0.0)) == np.inf


def test_jensen_shannon_of_disjoint_distributions_is_ln_2():
    assert jensen_shannon_nats(row(0.5, 0.5, 0.0), row(0.0, 0.0, 1.0)) == pytest.approx(np.log(2))


def test_jensen_shannon_is_the_square_of_the_distance_of_scipy():
    p, q = np.random.default_rng(5).dirichlet(np.ones(40), size=2)
    assert jensen_shannon_nats(row(*p), row(*q)) == pytest.approx(jensenshannon(p, q, base=np.e) ** 2)


def test_jensen_shannon_of_a_half_lost_candidate_by_hand():
    # Half of the candidate lies off the grid: q = (1, 0), p = (1/2, 1/2).
    expected = (0.5 * np.log(2 / 3) + 0.5 * np.log(2) + np.log(4 / 3)) / 2
    assert jensen_shannon_nats(row(0.5), row(1.0)) == pytest.approx(expected)


def test_points_off_the_range_of_the_reference_count_as_mismatch():
    points = np.random.default_rng(6).normal(size=(2_000, 2))
    reference = landscape(points, reference_edges(points, 10), 300.0)
    assert reference.outside == 0.0
    far = landscape_metrics(points + 100.0, reference)
    assert far["coverage"] == far["precision"] == 0.0
    assert far["jensen_shannon_nats"] == pytest.approx(np.log(2))
    assert np.isfinite(far["free_energy_mae_floored_kcal_per_mol"])


def test_torsions_are_wrapped_and_none_is_lost_at_the_border():
    points = torsions_of_known_density(2_000, 7)
    points[:3] = [[np.pi, 0.0], [-np.pi, 0.0], [0.0, np.pi]]
    here = landscape(points, torsion_edges(), 300.0)
    there = landscape(points[3:] + np.array([2 * np.pi, -4 * np.pi]), torsion_edges(), 300.0)
    assert np.allclose(there.probability, landscape(points[3:], torsion_edges(), 300.0).probability)
    assert here.outside == 0.0
    single = np.full((4, 2), np.pi, dtype=np.float32)
    assert landscape(single, torsion_edges(), 300.0).outside == 0.0
    rounded = np.linspace(-3.14159, 3.14159, 51)
    assert landscape(single, (rounded, rounded), 300.0).outside == 0.0


def test_points_that_are_not_finite_lie_outside():
    points = np.array([[0.0, 0.0], [np.nan, 0.0], [0.0, np.inf], [1.0, 1.0]])
    assert landscape(points, torsion_edges(), 300.0).outside == pytest.approx(0.5)


def test_metrics_have_the_keys_of_the_definitions_and_a_noise_floor():
    reference = landscape(torsions_of_known_density(200_000, 8), torsion_edges(), 300.0)
    few, many = (
        landscape_metrics(torsions_of_known_density(n, 9), reference, suffix="_tica")
        for n in (1_000, 100_000)
    )
    assert set(few) == {
        "coverage_tica",
        "precision_tica",
        "free_energy_mae_kcal_per_mol_tica",
        "free_energy_mae_floored_kcal_per_mol_tica",
        "jensen_shannon_nats_tica",
    }
    assert few["coverage_tica"] < 0.5 < 0.99 < many["coverage_tica"]
    assert few["jensen_shannon_nats_tica"] > 5 * many["jensen_shannon_nats_tica"]


def test_weights_of_the_candidate_are_used():
    points = np.array([[0.5, 0.5], [1.5, 0.5]])
    reference = row(0.9, 0.1)
    equal, weighted = (
        landscape_metrics(points, reference),
        landscape_metrics(points, reference, np.array([9.0, 1.0])),
    )
    assert weighted["jensen_shannon_nats"] == pytest.approx(0.0, abs=1e-12)
    assert equal["jensen_shannon_nats"] > 0.05


def test_half_a_count_of_weighted_samples_is_that_of_their_kish_size():
    points, weights = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 0.5]]), np.array([2.0, 1.0, 1.0])
    reference = row(0.4, 0.4, 0.2)
    floored = landscape_metrics(points, reference, weights)["free_energy_mae_floored_kcal_per_mol"]
    # Kish: 16 / 6. Differences of F in kT: ln 0.8 twice, and ln(0.2 / (0.5 * 6 / 16)).
    assert floored == pytest.approx(KT_KCAL_PER_MOL * abs(np.log(0.2 * 2 * 16 / 6 / 0.8)) / 3)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (row(0.5, 0.5), "on one grid"),
        (Landscape(np.arange(4.0), np.arange(2.0), np.full((3, 1), 1 / 3), 310.0), "at 300 K; got 310 K"),
    ],
)
def test_landscapes_that_do_not_compare_are_refused(candidate, message):
    with pytest.raises(ValueError, match=message):
        jensen_shannon_nats(candidate, row(0.5, 0.3, 0.2))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        landscape(np.empty((0, 2)), torsion_edges(), 300.0)
    with pytest.raises(ValueError, match="sum of at most 1"):
        row(3.0, 4.0)
    with pytest.raises(ValueError, match="with samples on the grid"):
        coverage(row(1.0, 0.0), row(0.0, 0.0))
    with pytest.raises(ValueError, match="differ on both axes"):
        reference_edges(np.array([[0.0, 1.0], [0.0, 2.0]]))
