"""Known densities: their truth against closed forms, and the error of a score against an exact one."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.processes import VariancePreserving
from dig_core.systems.analytic import FIELD, energy_of, noised, process_of, score_errors
from dig_core.systems.analytic_evaluation import evaluation_arrays, metrics, pair_series, plane_truth

MIXTURE = {
    "energy": "gaussian_mixture",
    "weights": [4.0, 4.0, 1.0],
    "means": [[-1.2, -0.6], [1.2, -0.6], [0.0, 1.4]],
    "standard_deviation": 0.2,
    "half_width": 3.0,
    "narrowest": 0.2,
}
WELLS = {
    "energy": "double_well",
    "particles": 4,
    "coefficients": (0.0, -4.0, 0.9),
    "offset": 4.0,
    "temperature": 1.0,
    "half_width": 5.25,
    "narrowest": 0.25,
}
PROCESS = process_of({"kind": "variance_preserving", "schedule": "linear"})


def exact_score(state, time):
    """In the state, whose length is half_width / 2.5."""
    exact, own = energy_of(MIXTURE).energy, PROCESS[FIELD]
    length = MIXTURE["half_width"] / 2.5
    framed = noised(exact, 1.0, 0.0).__class__(exact.weights, exact.means / length, 0.2 / length)
    alpha, sigma = own.alpha(time[0]).item(), own.sigma(time[0]).item()
    return {FIELD: torch.tensor(noised(framed, alpha, sigma)(state[FIELD].double().numpy())[1])}


def test_the_exact_score_has_no_error_and_no_score_has_all():
    assert score_errors(exact_score, PROCESS, MIXTURE, draws=200).max() < 1e-4

    def none(state, time):
        return {FIELD: torch.zeros_like(state[FIELD])}

    np.testing.assert_allclose(score_errors(none, PROCESS, MIXTURE, draws=200), 1.0)


def test_noised_mixture_has_the_moments_of_noised_draws():
    own, generator = VariancePreserving("linear"), np.random.default_rng(0)
    time = torch.tensor(0.3)
    alpha, sigma = own.alpha(time).item(), own.sigma(time).item()
    exact = energy_of(MIXTURE).energy
    noise = generator.standard_normal((50_000, 2))
    draws = alpha * exact.draw(50_000, generator) + sigma * noise
    same = noised(exact, alpha, sigma).draw(50_000, generator)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(same.T), atol=0.03)


def test_truth_in_the_plane_has_the_weights_of_the_mixture():
    truth = plane_truth(energy_of(MIXTURE))
    assert len(truth.modes) == 3
    # From low to high first coordinates.
    np.testing.assert_allclose(truth.series.populations(3), [4 / 9, 1 / 9, 4 / 9], atol=1e-4)
    mean_energy = float(truth.series.weights @ truth.series.energies_kT)
    draws = energy_of(MIXTURE).energy.draw(200_000, np.random.default_rng(0))
    assert mean_energy == pytest.approx(energy_of(MIXTURE).energy(draws)[0].mean(), abs=0.02)


def test_exact_draws_score_as_the_noise_floor_and_one_mode_does_not():
    truth, exact = plane_truth(energy_of(MIXTURE)), energy_of(MIXTURE).energy
    costs = {"seconds_train": 1.0, "seconds_sample": 1.0, "energy_calls": 140_000, "steps": 7}
    good = exact.draw(4000, np.random.default_rng(5))
    bad = exact.means[1] + 0.2 * np.random.default_rng(6).standard_normal((4000, 2))
    drawn = {"potential_seed_1": good, "score_seed_1": bad}
    runs = {
        name: {"positions": positions, **{key: np.array(value) for key, value in costs.items()}}
        for name, positions in drawn.items()
    }
    found = metrics(truth, runs)
    for key in ("jensen_shannon_nats", "population_error", "energy_wasserstein_kT"):
        assert found[f"{key}_potential_worst"] < 3 * found[f"{key}_noise_floor"]
    assert found["population_error_score_seed_1"] == pytest.approx(5 / 9, abs=0.01)
    # Chains from a box stay in the modes that they fell into: their weights are those of the box.
    assert found["population_error_baseline_chains"] > 5 * found["population_error_noise_floor"]
    assert found["energy_calls_score_worst"] == 140_000 and found["samples"] == 4000
    arrays = evaluation_arrays(truth, runs)
    areas = np.outer(np.diff(arrays["x_edges"]), np.diff(arrays["y_edges"]))
    assert (arrays["exact.density"] * areas).sum() == pytest.approx(1.0, abs=1e-3)


def test_short_pairs_are_counted():
    square = np.array([[[0.0, 0.0], [2.5, 0.0], [2.5, 2.5], [0.0, 2.5]]])
    series = pair_series(energy_of(WELLS), np.concatenate([square, 2.2 * square]))
    assert series.modes.tolist() == [6, 0]
    assert series.shapes[0].max() == pytest.approx(2.5 * np.sqrt(2))
