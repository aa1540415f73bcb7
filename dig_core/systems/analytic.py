"""Densities with a known truth: from the settings of a target to its energy, its process, and its exact noised score."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dig_core.diffusion import processes
from dig_core.energies.analytic import DoubleWell, GaussianMixture, MuellerBrown
from dig_core.energies.frames import Framed, centred_basis

FIELD = "positions"
# Starts are uniform within it in every coordinate of the state, whose standard deviation is then about 1.
BOX = (-2.5, 2.5)
TIMES = np.linspace(0.02, 0.98, 25)


def energy_of(target: Mapping[str, Any]) -> Framed:
    """The energy of a target as one of its state, in kT; see `MixtureTarget` and its kin in the settings."""
    length = target["half_width"] / BOX[1]
    if target["energy"] == "double_well":
        names = ("particles", "coefficients", "offset", "temperature")
        wells = DoubleWell(**{name: target[name] for name in names})
        return Framed(wells, centred_basis(*wells.shape), np.zeros(np.prod(wells.shape)), length)
    if target["energy"] == "mueller_brown":
        return Framed(MuellerBrown(target["scale"]), np.eye(2), np.array(target["centre"]), length)
    return Framed(mixture(target), np.eye(2), np.zeros(2), length)


def mixture(target: Mapping[str, Any]) -> GaussianMixture:
    """The mixture of a target, its weights scaled to sum 1."""
    weights = np.array(target["weights"])
    return GaussianMixture(weights / weights.sum(), np.array(target["means"]), target["standard_deviation"])


def process_of(settings: Mapping[str, Any]) -> dict[str, processes.Process]:
    """The process of a state, which has no redundant coordinate."""
    options = {key: value for key, value in settings.items() if key != "kind"}
    if settings["kind"] == "variance_exploding":
        return {FIELD: processes.VarianceExploding(**options)}
    return {FIELD: processes.VariancePreserving(**options)}


def noised(exact: GaussianMixture, alpha: float, sigma: float) -> GaussianMixture:
    """The law of alpha x + sigma eps, x from the mixture."""
    variances = alpha**2 * np.square(exact.standard_deviations) + sigma**2
    return replace(exact, means=alpha * exact.means, standard_deviations=np.sqrt(variances))


def score_errors(
    score: processes.Score,
    process: Mapping[str, processes.Process],
    target: Mapping[str, Any],
    draws: int = 2000,
    seed: int = 0,
) -> Float[np.ndarray, " times"]:
    """Root of the mean of ||s - s_exact||^2 over that of ||s_exact||^2, over draws from q_t, at each of TIMES; a mixture only."""
    generator, own, length = np.random.default_rng(seed), process[FIELD], target["half_width"] / BOX[1]
    exact = mixture(target)
    exact = replace(exact, means=exact.means / length, standard_deviations=exact.standard_deviations / length)
    errors = []
    for time in torch.tensor(TIMES):
        density = noised(exact, own.alpha(time).item(), own.sigma(time).item())
        points = density.draw(draws, generator)
        wanted = density(points)[1]
        state = {FIELD: torch.tensor(points, dtype=torch.float32)}
        found = score(state, torch.full((draws,), time.item()))[FIELD].detach().numpy()
        errors.append(np.sqrt(np.square(found - wanted).sum() / np.square(wanted).sum()))
    return np.array(errors)
