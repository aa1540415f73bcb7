"""Samples against densities with a known truth: identities, closed forms, and what must hurt."""

import numpy as np
import pytest

from dig_core.evaluation.density_tables import densities_csv, densities_table, density_rows
from dig_core.evaluation.known_densities import Series, basins, noise_floor, pair_scores, plane_scores

EDGES = np.linspace(-4, 4, 41)


def plane(points: np.ndarray, energies: np.ndarray | None = None) -> Series:
    """Points of two modes, left and right."""
    count = len(points)
    energies = np.zeros(count) if energies is None else energies
    return Series(energies, points, (points[:, 0] > 0).astype(int), np.full(count, 1 / count))


def compare(samples: Series, truth: Series) -> dict[str, float]:
    return plane_scores(samples, truth, EDGES)


def test_a_series_against_itself_is_perfect():
    own = plane(np.random.default_rng(0).normal(size=(500, 2)))
    assert all(value == pytest.approx(0.0, abs=1e-12) for value in compare(own, own).values())


def test_disjoint_points_have_a_divergence_of_ln_2_and_wrong_weights():
    left, right = plane(np.full((10, 2), -1.0)), plane(np.full((10, 2), 1.0))
    found = compare(left, right)
    assert found["jensen_shannon_nats"] == pytest.approx(np.log(2))
    assert found["population_error"] == pytest.approx(1.0)


def test_points_off_the_grid_count_as_wrong():
    truth = plane(np.full((10, 2), 1.0))
    assert compare(plane(np.full((10, 2), 100.0)), truth)["jensen_shannon_nats"] == pytest.approx(np.log(2))


def test_a_shift_of_energies_is_their_distance_and_a_clash_does_not_carry_the_mean():
    points, energies = np.ones((1000, 2)), np.linspace(0.0, 1.0, 1000)
    truth = plane(points, energies)
    shifted = compare(plane(points, energies + 0.5), truth)
    assert shifted["energy_wasserstein_kT"] == pytest.approx(0.5)
    clash = energies.copy()
    clash[0] = 1e9
    assert compare(plane(points, clash), truth)["energy_wasserstein_kT"] < 0.05


def test_distances_of_pairs_in_their_own_unit():
    near, far = (
        Series(np.zeros(5), np.full((5, 3), x), np.zeros(5, dtype=int), np.full(5, 0.2)) for x in (2.0, 5.0)
    )
    assert pair_scores(near, far)["distance_wasserstein"] == pytest.approx(3.0)


def test_noise_floor_falls_with_the_number_of_draws():
    truth = plane(np.random.default_rng(0).normal(size=(20_000, 2)))
    few, many = (
        noise_floor(truth, truth, compare, count, np.random.default_rng(1)) for count in (100, 10_000)
    )
    assert few["population_error"] == pytest.approx(np.sqrt(0.25 / 100) * np.sqrt(2 / np.pi), rel=0.5)
    assert few["population_error"] > 5 * many["population_error"]
    assert few["jensen_shannon_nats"] > 3 * many["jensen_shannon_nats"] > 0


def test_basins_of_two_wells_are_cut_at_the_ridge():
    x, y = np.meshgrid(np.linspace(-2, 2, 81), np.linspace(-1, 1, 41), indexing="ij")
    labels = basins((x**2 - 1) ** 2 + 0.3 * x + y**2)
    assert labels.max() == 1
    ridge = x[(labels == 1)].min()
    assert ridge == pytest.approx(0.075, abs=0.06)  # where 4 x (x^2 - 1) + 0.3 = 0
    assert (labels[x < -0.5] == 0).all() and (labels[x > 0.5] == 1).all()


METRICS = {
    "samples": 10,
    "score_error_potential_seed_2": 0.05,
    "population_error_potential_seed_2": 0.02,
    "population_error_noise_floor": 0.01,
    "population_error_potential_worst": 0.02,
    "population_mode_1_exact": 0.4,
    "population_mode_1_exact_standard_error": 0.0,
}


def test_rows_of_a_table():
    rows = {(row["form"], row["seed"]): row for row in density_rows(METRICS)}
    assert set(rows) == {("potential", "2"), ("noise floor", ""), ("exact", "")}
    assert rows["potential", "2"]["score_error"] == 0.05 and rows["exact", ""]["population_mode_1"] == 0.4
    assert densities_csv({"a": METRICS}).splitlines()[0].startswith("target,form,seed,score_error")
    assert densities_table(METRICS).splitlines()[1].startswith("potential 2")
