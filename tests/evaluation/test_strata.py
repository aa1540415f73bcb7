"""Stratified draws of a model whose free energies are known in closed form: two harmonic wells, one of them rare."""

import numpy as np
import pytest

from dig_core.evaluation.densities import DrawnEnsemble, reweighting
from dig_core.evaluation.strata import (
    Stratum,
    average,
    effective_fraction,
    free_energy_by_density_kJ_per_mol,
    free_energy_by_reweighting_kJ_per_mol,
)
from dig_core.units import thermal_energy_kj_per_mol

TEMPERATURE_K, DIMENSION = 300.0, 6
KT = thermal_energy_kj_per_mol(TEMPERATURE_K)
STIFFNESS = (1.0, 4.0)  # in kT
# F of each well, int exp(-k x^2 / 2) = (2 pi / k)^(d/2).
EXACT = [-0.5 * KT * DIMENSION * np.log(2 * np.pi / k) for k in STIFFNESS]


def stratum(well: int, count: int, share: float, stretch: float = 1.0, seed: int = 0) -> Stratum:
    """Draws of a model that has the well `stretch` times too wide, and the population `share` of it."""
    stiffness = STIFFNESS[well] / stretch**2
    x = np.random.default_rng(seed + well).normal(0.0, stiffness**-0.5, (count, DIMENSION))
    squared = np.sum(x**2, axis=1)
    log_p = np.log(share) + 0.5 * DIMENSION * np.log(stiffness / (2 * np.pi)) - 0.5 * stiffness * squared
    energies = 0.5 * KT * STIFFNESS[well] * squared
    return Stratum(DrawnEnsemble(log_p, energies, TEMPERATURE_K), round(1000 * share), 1000)


@pytest.mark.parametrize(
    "free_energy", [free_energy_by_density_kJ_per_mol, free_energy_by_reweighting_kJ_per_mol]
)
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_a_model_right_within_the_states_gives_free_energies_whatever_its_populations(free_energy, share):
    for well, own in ((0, 1.0 - share), (1, share)):
        found = free_energy(stratum(well, 20, own))
        assert found.value == pytest.approx(EXACT[well], abs=1e-9)
        # The share of 1000 draws is all that is uncertain.
        assert found.standard_error == pytest.approx(KT * np.sqrt((1 - own) / (1000 * own)), rel=1e-6)


def test_a_wrong_model_is_too_high_by_its_divergence_and_reweighting_is_right():
    own = stratum(1, 40_000, 0.1, stretch=1.3)
    # KL of N(0, s^2/k) from N(0, 1/k) in d dimensions.
    divergence = 0.5 * DIMENSION * (1.3**2 - 1.0 - np.log(1.3**2))
    by_density, by_weights = (
        free_energy(own)
        for free_energy in (free_energy_by_density_kJ_per_mol, free_energy_by_reweighting_kJ_per_mol)
    )
    assert by_density.value == pytest.approx(EXACT[1] + KT * divergence, abs=4 * by_density.standard_error)
    assert by_weights.value == pytest.approx(EXACT[1], abs=4 * by_weights.standard_error)
    assert by_density.value - EXACT[1] > 4 * by_density.standard_error


def test_errors_are_those_of_repetition():
    found = [free_energy_by_density_kJ_per_mol(stratum(0, 30, 0.5, 1.3, seed=7 * n)) for n in range(300)]
    share = KT * np.sqrt(0.5 / 500)
    within = np.sqrt(np.mean([own.standard_error**2 for own in found]) - share**2)
    assert np.std([own.value for own in found]) == pytest.approx(within, rel=0.15)


def test_averages_and_effective_size_are_those_of_draws_in_proportion():
    shares = (0.9, 0.1)
    strata = [stratum(well, 50_000, shares[well], stretch=1.2) for well in (0, 1)]
    proportional = [
        stratum(well, round(100_000 * shares[well]), shares[well], stretch=1.2, seed=5) for well in (0, 1)
    ]
    both = DrawnEnsemble(
        *(np.concatenate([getattr(own.ensemble, name) for own in proportional]) for name in ("log_density", "energies_kJ_per_mol")),
        TEMPERATURE_K,
    )  # fmt: skip
    found = average(strata, lambda own: own.log_density)
    assert found.value == pytest.approx(both.log_density.mean(), abs=5 * found.standard_error)
    assert effective_fraction(strata) == pytest.approx(reweighting(both).effective_size / 100_000, rel=0.05)
    # A tenth more draws without weight: a tenth less.
    fewer = [Stratum(own.ensemble, own.inside, 1100) for own in strata]
    assert effective_fraction(fewer) == pytest.approx(effective_fraction(strata) / 1.1)


def test_an_empty_state_is_refused():
    with pytest.raises(ValueError, match="expected 0 < inside <= draws; got 0 of 1000"):
        Stratum(stratum(0, 5, 0.5).ensemble, 0, 1000)
