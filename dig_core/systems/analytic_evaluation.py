"""Evaluation of training from energies: the truth of a target, and every number of its trainings beside the noise floor."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from dig_core.energies.frames import Framed
from dig_core.energies.monte_carlo import langevin_monte_carlo
from dig_core.evaluation.known_densities import (
    Compare,
    Series,
    basins,
    noise_floor,
    pair_scores,
    plane_scores,
)
from dig_core.systems.analytic import BOX, energy_of

EDGE = 4.0  # of the grid, in units of the state
CELLS = 400  # of the grid, per axis; bins of a histogram hold 5 x 5 of them
CHAINS, STEPS, STEP = 1000, (6000, 14000, 400), 0.09
GROUPS = 10
BASELINE_STEPS = 350  # as the dynamics that finds the relevant structures, and as many chains as it has
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a target.

    `series` is the truth; `source` is independent of it where it is known by chains only, and draws from it are the noise
    floor. `standard_errors` [modes] are those of its populations. `modes` are their names.
    """

    energy: Framed
    series: Series
    source: Series
    compare: Compare
    modes: tuple[str, ...]
    standard_errors: Float[np.ndarray, " modes"]
    labels: Int[np.ndarray, "cells cells"] | None = None

    def of(self, positions: np.ndarray) -> Series:
        """Samples as a series; positions in the unit of the energy."""
        if self.labels is None:
            return pair_series(self.energy, positions)
        state = (positions - self.energy.centre) / self.energy.length
        cell = np.floor((state + EDGE) / (2 * EDGE) * CELLS).astype(int)
        inside = ((cell >= 0) & (cell < CELLS)).all(axis=1)
        modes = np.where(inside, self.labels[tuple(np.clip(cell, 0, CELLS - 1).T)], -1)
        equal = np.full(len(state), 1.0 / len(state))
        return Series(self.energy.energy(positions)[0], state, modes, equal)


def truth_of(target: Mapping[str, Any]) -> Truth:
    """The truth of a target: by quadrature in the plane, by Markov chains otherwise."""
    energy = energy_of(target)
    return pair_truth(energy) if target["energy"] == "double_well" else plane_truth(energy)


def plane_truth(energy: Framed) -> Truth:
    """Midpoint quadrature on a grid; its basins are numbered from low to high first coordinates."""
    middles = (np.arange(CELLS) + 0.5) * 2 * EDGE / CELLS - EDGE
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    energies = energy(points)[0]
    labels = basins(energies.reshape(CELLS, CELLS))
    series = Series(energies, points, labels.ravel(), softmax(-energies))
    edges = np.linspace(-EDGE, EDGE, CELLS // 5 + 1)
    names = tuple(f"mode_{number + 1}" for number in range(labels.max() + 1))
    compare = partial(plane_scores, edges=edges)
    return Truth(energy, series, series, compare, names, np.zeros(len(names)), labels)


def pair_truth(energy: Framed) -> Truth:
    """Two independent sets of chains; the modes are numbers of pairs on the near side of the barrier."""
    chains = [_chains(energy, seed) for seed in (1, 2)]
    truth, source = (pair_series(energy, energy.positions(x.reshape(-1, *energy.shape))) for x in chains)
    groups = [
        pair_series(energy, energy.positions(part.reshape(-1, *energy.shape)))
        for part in np.array_split(chains[0], GROUPS, axis=1)
    ]
    pairs = truth.shapes.shape[1]
    spread = np.std([group.populations(pairs + 1) for group in groups], axis=0, ddof=1)
    names = tuple(f"{number}_short_pairs" for number in range(pairs + 1))
    return Truth(energy, truth, source, pair_scores, names, spread / np.sqrt(GROUPS))


def pair_series(energy: Framed, positions: Float[np.ndarray, "points particles space"]) -> Series:
    """Structures as a series of their pair distances; a short pair is nearer than the barrier of the double well."""
    first, second = np.triu_indices(positions.shape[1], k=1)
    distances = np.linalg.norm(positions[:, first] - positions[:, second], axis=-1)
    equal = np.full(len(positions), 1.0 / len(positions))
    short = (distances < energy.energy.offset).sum(axis=1)
    return Series(energy.energy(positions)[0], distances, short, equal)


def metrics(truth: Truth, runs: Mapping[str, Arrays]) -> dict[str, float | int]:
    """Every number, one level deep: `<metric>_<form>_seed_<k>`, beside as many exact draws and plain chains of equal calls.

    Args:
        runs: arrays of each training (`energies_only.pretrain_and_draw`), by `<form>_seed_<k>`.
    """
    count = min(len(arrays["positions"]) for arrays in runs.values())
    floor = noise_floor(truth.source, truth.series, truth.compare, count, np.random.default_rng(0))
    found: dict[str, float | int] = {"samples": count}
    found |= {f"{key}_noise_floor": value for key, value in floor.items()}
    exact = zip(truth.modes, truth.series.populations(len(truth.modes)), truth.standard_errors, strict=True)
    for mode, population, error in exact:
        found |= {f"population_{mode}_exact": population, f"population_{mode}_exact_standard_error": error}
    own = {name: run_metrics(truth, arrays) for name, arrays in runs.items()}
    for name, values in own.items():
        found |= {f"{key}_{name}": value for key, value in values.items()}
    calls = min(arrays["energy_calls"].item() for arrays in runs.values())
    baseline = truth.compare(plain_chains(truth, calls, seed=0), truth.series)
    return found | worst(own) | {f"{key}_baseline_chains": value for key, value in baseline.items()}


def plain_chains(truth: Truth, calls: int, seed: int) -> Series:
    """What Markov chains from the same starts get from as many energy calls, their second half, as a series."""
    chains = max(1, calls // BASELINE_STEPS)
    generator, half = np.random.default_rng(seed), BASELINE_STEPS // 2
    start = generator.uniform(*BOX, (chains, *truth.energy.shape))
    counts = (half, BASELINE_STEPS - half - 1, 1)
    stored, _ = langevin_monte_carlo(truth.energy, start, STEP, counts, generator)
    return truth.of(truth.energy.positions(stored.reshape(-1, *truth.energy.shape)))


def run_metrics(truth: Truth, arrays: Arrays) -> dict[str, float | int]:
    """The numbers of one training."""
    samples = truth.of(arrays["positions"])
    shares = zip(truth.modes, samples.populations(len(truth.modes)), strict=True)
    found: dict[str, float | int] = {f"population_{mode}": share for mode, share in shares}
    if "score_errors" in arrays:
        found["score_error"] = float(arrays["score_errors"].mean())
    found |= truth.compare(samples, truth.series)
    costs = {key: arrays[key].item() for key in ("seconds_train", "seconds_sample", "energy_calls", "steps")}
    return found | costs


def worst(own: Mapping[str, Mapping[str, float | int]]) -> dict[str, float | int]:
    """`<metric>_<form>_worst`: the largest over the seeds of each error and cost, from the numbers of each training."""
    largest: dict[str, float | int] = {}
    for name, values in own.items():
        form = name.partition("_seed_")[0]
        for key, value in values.items():
            if key == "population_error" or not key.startswith("population_"):
                shared = f"{key}_{form}_worst"
                largest[shared] = max(value, largest.get(shared, value))
    return largest


def evaluation_arrays(truth: Truth, runs: Mapping[str, Arrays]) -> dict[str, np.ndarray]:
    """What the figure shows of a target: `{series}.density` and `{series}.populations`, series exact and each training.

    Densities in the plane [bins, bins] are per area of the energy's unit on `x_edges`, `y_edges`; those of pair distances
    [bins] per unit on `x_edges`. `modes`: their names.
    """
    shown = {"exact": truth.series, **{name: truth.of(arrays["positions"]) for name, arrays in runs.items()}}
    edges = _edges(truth)
    arrays = {"modes": np.array(truth.modes), **dict(zip(("x_edges", "y_edges"), edges, strict=False))}
    for name, series in shown.items():
        arrays[f"{name}.density"] = _density(truth, series, edges)
        arrays[f"{name}.populations"] = series.populations(len(truth.modes))
    return arrays


def _edges(truth: Truth) -> list[np.ndarray]:
    if truth.labels is None:
        return [np.linspace(0.0, np.quantile(truth.series.shapes, 0.9999) + 1.0, 80)]
    own = np.linspace(-0.75 * EDGE, 0.75 * EDGE, 61)
    return [centre + truth.energy.length * own for centre in truth.energy.centre]


def _density(truth: Truth, series: Series, edges: list[np.ndarray]) -> np.ndarray:
    """Histogram per volume of the whole weight, that outside of the edges included."""
    if truth.labels is None:
        weights = np.repeat(series.weights, series.shapes.shape[1]) / series.shapes.shape[1]
        return np.histogram(series.shapes.ravel(), edges[0], weights=weights)[0] / np.diff(edges[0])
    x, y = (truth.energy.centre + truth.energy.length * series.shapes).T
    inside = np.histogram2d(x, y, bins=edges, weights=series.weights)[0]
    return inside / np.outer(*(np.diff(axis) for axis in edges))


def _chains(energy: Framed, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    start = generator.uniform(*BOX, (CHAINS, *energy.shape))
    return langevin_monte_carlo(energy, start, STEP, STEPS, generator)[0]
