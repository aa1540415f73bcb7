"""Entropies, free energies, weights and log Z of Gaussian mixtures, whose truth is known."""

import numpy as np
import pytest
from scipy.special import logsumexp

from dig_core.evaluation.densities import (
    DrawnEnsemble,
    density_against_energy,
    entropy_nats,
    free_energy_by_counting_kJ_per_mol,
    free_energy_by_density_kJ_per_mol,
    free_energy_by_reweighting_kJ_per_mol,
    free_energy_difference_by_counting_kJ_per_mol,
    log_partition,
    mean,
    mean_energy_kJ_per_mol,
    reweighting,
)
from dig_core.units import thermal_energy_kj_per_mol

TEMPERATURE_K = 300.0
KT = thermal_energy_kj_per_mol(TEMPERATURE_K)
MEANS, WIDTHS = np.array([-2.0, 2.0]), np.array([0.4, 0.6])
TRUE_SHARES, LOG_Z = np.array([0.7, 0.3]), 1.7


def log_mixture(x: np.ndarray, shares: np.ndarray, widths: np.ndarray = WIDTHS) -> np.ndarray:
    """Log density of points [samples, 2]: two modes along x, unit variance along y."""
    along = -0.5 * ((x[:, :1] - MEANS) / widths) ** 2 - np.log(widths) + np.log(shares)
    return logsumexp(along, axis=1) - 0.5 * x[:, 1] ** 2 - np.log(2 * np.pi)


def drawn(shares: tuple[float, float], count: int = 20_000, seed: int = 0, wider: float = 1.0):
    """Draws from a model with these weights and widths, and the energy of a truth with weights 0.7 and 0.3, ln Z = 1.7."""
    generator = np.random.default_rng(seed)
    mode = generator.choice(2, size=count, p=shares)
    x = generator.normal(size=(count, 2))
    x[:, 0] = MEANS[mode] + wider * WIDTHS[mode] * x[:, 0]
    energy = -KT * (log_mixture(x, TRUE_SHARES) + LOG_Z)
    own = log_mixture(x, np.array(shares), wider * WIDTHS)
    return x, DrawnEnsemble(own, energy, TEMPERATURE_K)


def assert_within(estimate, truth: float, errors: float = 3.0) -> None:
    assert abs(estimate.value - truth) < errors * estimate.standard_error, f"{estimate}, truth {truth}"


def test_mean_and_its_error():
    values = np.random.default_rng(0).normal(2.0, 3.0, size=900)
    found = mean(values)
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std() / 30)
    # A sample of weight 2 counts as often as two samples, but its error is larger.
    doubled = mean(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0]))
    assert doubled.value == pytest.approx(2.75)
    assert doubled.standard_error == pytest.approx(np.sqrt(1.75**2 + 0.75**2 + (2 * 1.25) ** 2) / 4)


def test_error_of_a_weighted_mean_is_what_repetition_shows():
    generator = np.random.default_rng(1)

    def once():
        values, weights = generator.normal(size=500), generator.exponential(size=500)
        return mean(values, weights)

    found = [once() for _ in range(400)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.12)


def test_entropy_of_a_normal_distribution():
    x = np.random.default_rng(2).normal(size=(5000, 3)) * [0.5, 1.0, 2.0]
    log_p = -0.5 * np.sum((x / [0.5, 1.0, 2.0]) ** 2, axis=1) - 1.5 * np.log(2 * np.pi)
    found = entropy_nats(log_p)
    assert_within(found, 1.5 * np.log(2 * np.pi * np.e))
    # The variance of -ln p is half the dimension.
    assert found.standard_error == pytest.approx(np.sqrt(1.5 / 5000), rel=0.05)


def test_average_energy_entropy_and_log_z_hold_together():
    """For the exact model ln Z = S/k - U/kT, without any spread; and U against numerical integration."""
    _, ensemble = drawn((0.7, 0.3))
    energy, entropy = mean_energy_kJ_per_mol(ensemble.energies_kJ_per_mol), entropy_nats(ensemble.log_density)
    assert entropy.value - energy.value / KT == pytest.approx(LOG_Z)
    axis = np.linspace(-6, 6, 2001)
    along = log_mixture(np.stack([axis, 0 * axis], axis=1), TRUE_SHARES) + 0.5 * np.log(2 * np.pi)
    integral = np.sum(np.exp(along) * -along) * (axis[1] - axis[0]) + 0.5 * np.log(2 * np.pi * np.e)
    assert_within(energy, KT * (integral - LOG_Z))


@pytest.mark.parametrize(("shares", "wider"), [((0.7, 0.3), 1.0), ((0.3, 0.7), 1.0), ((0.5, 0.5), 1.3)])
def test_log_partition_of_a_known_mixture(shares, wider):
    _, ensemble = drawn(shares, wider=wider)
    found = log_partition(ensemble)
    if (shares, wider) == ((0.7, 0.3), 1.0):
        assert found.value == pytest.approx(LOG_Z) and found.standard_error < 1e-9
    else:
        assert_within(found, LOG_Z)
        assert found.standard_error < 0.02


def test_error_of_log_partition_is_what_repetition_shows():
    found = [log_partition(drawn((0.4, 0.6), 500, seed, wider=1.2)[1]) for seed in range(200)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.15)
    assert np.mean([one.value for one in found]) == pytest.approx(LOG_Z, abs=4 * spread / 200**0.5)


def test_reweighting_restores_the_weights_of_the_modes():
    x, ensemble = drawn((0.2, 0.8))
    found, minor = reweighting(ensemble), x[:, 0] < 0
    assert minor.mean() == pytest.approx(0.2, abs=0.01)
    assert found.weights.sum() == pytest.approx(1.0)
    assert_within(mean(minor.astype(float), found.weights), 0.7)
    # (E w)^2 / E w^2 for w = 0.7/0.2 and 0.3/0.8.
    expected = 1 / (0.7**2 / 0.2 + 0.3**2 / 0.8)
    assert found.effective_size / len(x) == pytest.approx(expected, rel=0.03)
    assert_within(found.log_partition, LOG_Z)
    exact = reweighting(drawn((0.7, 0.3))[1])
    assert exact.effective_size == pytest.approx(20_000)


def test_very_negative_energies_do_not_overflow():
    _, ensemble = drawn((0.7, 0.3), 100)
    deep = DrawnEnsemble(ensemble.log_density, ensemble.energies_kJ_per_mol - 1e5, TEMPERATURE_K)
    assert reweighting(deep).log_partition.value == pytest.approx(LOG_Z + 1e5 / KT)


def test_free_energies_of_states_three_ways():
    """Counting sees the model's weights, 0.4 and 0.6; density and reweighting see the truth, 0.7 and 0.3."""
    x, ensemble = drawn((0.4, 0.6))
    states = [x[:, 0] < 0, x[:, 0] >= 0]
    truth = [-KT * (LOG_Z + np.log(share)) for share in TRUE_SHARES]
    for inside, expected, share in zip(states, truth, (0.4, 0.6), strict=True):
        assert_within(free_energy_by_counting_kJ_per_mol(inside, TEMPERATURE_K), -KT * np.log(share))
        for found in (free_energy_by_density_kJ_per_mol, free_energy_by_reweighting_kJ_per_mol):
            assert_within(found(ensemble, inside), expected)
    difference = free_energy_difference_by_counting_kJ_per_mol(*states, TEMPERATURE_K)
    assert_within(difference, -KT * np.log(0.6 / 0.4))
    reweighted = free_energy_difference_by_counting_kJ_per_mol(
        *states, TEMPERATURE_K, reweighting(ensemble).weights
    )
    assert_within(reweighted, -KT * np.log(0.3 / 0.7))


def test_density_free_energy_of_a_wrong_shape_is_too_high_by_the_divergence():
    """Modes 1.3 times too wide along x: KL = (1.69 - 1)/2 - ln 1.3 nats, for both states; the difference stays right."""
    x, ensemble = drawn((0.4, 0.6), wider=1.3)
    divergence = 0.5 * (1.3**2 - 1) - np.log(1.3)
    for inside, share in ((x[:, 0] < 0, 0.7), (x[:, 0] >= 0, 0.3)):
        found = free_energy_by_density_kJ_per_mol(ensemble, inside)
        # Draws of the wide second mode that lie on the other side of 0 are not in the formula: less than 1 %.
        assert found.value == pytest.approx(KT * (divergence - LOG_Z - np.log(share)), abs=0.05 * KT)


def test_errors_of_free_energies_are_what_repetition_shows():
    def once(seed):
        x, ensemble = drawn((0.4, 0.6), 400, seed, wider=1.2)
        states = [x[:, 0] < 0, x[:, 0] >= 0]
        return [
            free_energy_by_counting_kJ_per_mol(states[0], TEMPERATURE_K),
            free_energy_difference_by_counting_kJ_per_mol(*states, TEMPERATURE_K),
            free_energy_by_density_kJ_per_mol(ensemble, states[0]),
            free_energy_by_reweighting_kJ_per_mol(ensemble, states[0]),
        ]

    for estimates in zip(*(once(seed) for seed in range(200)), strict=True):
        spread = np.std([one.value for one in estimates])
        assert np.mean([one.standard_error for one in estimates]) == pytest.approx(spread, rel=0.2)


def test_empty_state():
    nowhere = np.zeros(100, dtype=bool)
    assert free_energy_by_counting_kJ_per_mol(nowhere, TEMPERATURE_K).value == np.inf
    _, ensemble = drawn((0.7, 0.3), 100)
    for found in (free_energy_by_density_kJ_per_mol, free_energy_by_reweighting_kJ_per_mol):
        with pytest.raises(ValueError, match="in the state"):
            found(ensemble, nowhere)


def test_density_follows_energy():
    _, exact = drawn((0.7, 0.3), 2000)
    found = density_against_energy(exact, np.random.default_rng(0), 200)
    for key in ("correlation", "slope"):
        assert found[key].value == pytest.approx(1.0) and found[key].standard_error < 1e-9


def test_noise_of_the_density_lowers_the_correlation_and_not_the_slope():
    _, exact = drawn((0.7, 0.3), 4000)
    noise = np.random.default_rng(1).normal(size=4000) * exact.log_density.std()
    noisy = DrawnEnsemble(exact.log_density + noise, exact.energies_kJ_per_mol, TEMPERATURE_K)
    found = density_against_energy(noisy, np.random.default_rng(2), 400)
    assert_within(found["slope"], 1.0)
    assert_within(found["correlation"], 0.5**0.5)
    # Slope of a line through points with noise of equal size: 1/sqrt(n).
    assert found["slope"].standard_error == pytest.approx(4000**-0.5, rel=0.15)


def test_impossible_calls_are_refused():
    energies = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="expected a log density and an energy"):
        DrawnEnsemble(energies[:1], energies[:1], TEMPERATURE_K)
    with pytest.raises(ValueError, match="expected finite values"):
        DrawnEnsemble(np.array([0.0, np.nan]), energies, TEMPERATURE_K)
    with pytest.raises(ValueError, match="expected energies that differ"):
        density_against_energy(DrawnEnsemble(energies, energies * 0, TEMPERATURE_K), np.random.default_rng())
    with pytest.raises(ValueError, match="without a common sample"):
        both = np.array([True, True])
        free_energy_difference_by_counting_kJ_per_mol(both, both, TEMPERATURE_K)
