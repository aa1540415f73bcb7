"""Samples against a density whose truth is known: weights of its modes, energies, and where the samples lie.

The truth is a series of weighted points as well: a fine grid with weights exp(-energy), or long Markov chains.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance

from dig_core.evaluation.statistics import draw_by_weight

# Energies count up to so many kT above the 99.9th percentile of the truth: one clash must not carry a mean.
ENERGY_MARGIN_KT = 20.0
FLOOR_REPEATS = 20


@dataclass(frozen=True, eq=False)
class Series:
    """Points with what is compared of them.

    `shapes` [points, k]: the coordinates in the plane, or the distances of all pairs. `modes` numbers the mode of each
    point; -1 is none. `weights` sum to 1.
    """

    energies_kT: Float[np.ndarray, " points"]
    shapes: Float[np.ndarray, "points k"]
    modes: Int[np.ndarray, " points"]
    weights: Float[np.ndarray, " points"]

    def drawn(self, count: int, generator: np.random.Generator) -> "Series":
        """As many points, drawn by weight."""
        chosen = draw_by_weight(self.weights, count, generator)
        equal = np.full(count, 1.0 / count)
        return Series(self.energies_kT[chosen], self.shapes[chosen], self.modes[chosen], equal)

    def populations(self, modes: int) -> Float[np.ndarray, " modes"]:
        """Weight in each mode."""
        return np.bincount(self.modes + 1, self.weights, minlength=modes + 1)[1:]


Compare = Callable[[Series, Series], dict[str, float]]


def plane_scores(samples: Series, truth: Series, edges: Float[np.ndarray, " edges"]) -> dict[str, float]:
    """The Jensen-Shannon divergence on square bins, and what `scores` has."""
    return {"jensen_shannon_nats": jensen_shannon_nats(samples, truth, edges), **scores(samples, truth)}


def pair_scores(samples: Series, truth: Series) -> dict[str, float]:
    """The Wasserstein distance of the distribution of pair distances (in their unit), and what `scores` has."""
    flat = [series.shapes.ravel() for series in (samples, truth)]
    weights = [np.repeat(series.weights, series.shapes.shape[1]) for series in (samples, truth)]
    return {"distance_wasserstein": float(wasserstein_distance(*flat, *weights)), **scores(samples, truth)}


def scores(samples: Series, truth: Series) -> dict[str, float]:
    """The largest error of a mode's weight, and the Wasserstein distance of the distributions of energies in kT."""
    modes = int(truth.modes.max()) + 1
    order = np.argsort(truth.energies_kT)
    rank = np.searchsorted(np.cumsum(truth.weights[order]), 0.999)
    highest = truth.energies_kT[order][min(rank, len(order) - 1)] + ENERGY_MARGIN_KT
    energies = [np.minimum(series.energies_kT, highest) for series in (samples, truth)]
    error = np.abs(samples.populations(modes) - truth.populations(modes)).max()
    distance = wasserstein_distance(*energies, samples.weights, truth.weights)
    return {"population_error": float(error), "energy_wasserstein_kT": float(distance)}


def noise_floor(
    source: Series, truth: Series, compare: Compare, count: int, generator: np.random.Generator
) -> dict[str, float]:
    """The same numbers for `count` exact draws, averaged over 20 repeats."""
    found = [compare(source.drawn(count, generator), truth) for _ in range(FLOOR_REPEATS)]
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def jensen_shannon_nats(samples: Series, truth: Series, edges: Float[np.ndarray, " edges"]) -> float:
    """Jensen-Shannon divergence in nats of the histograms on square bins; what lies outside is one more bin."""
    p, q = (_histogram(series, edges) for series in (samples, truth))
    middle = (p + q) / 2
    return float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2


def _histogram(series: Series, edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " bins"]:
    inside, _, _ = np.histogram2d(*series.shapes.T, bins=(edges, edges), weights=series.weights)
    return np.append(inside.ravel(), max(0.0, 1.0 - inside.sum()))


def basins(energies: Float[np.ndarray, "rows columns"]) -> Int[np.ndarray, "rows columns"]:
    """Number of the minimum that steepest descent over the eight neighbours of a grid leads to, from low rows to high ones."""
    rows, columns = energies.shape
    padded = np.pad(energies, 1, constant_values=np.inf)
    index = np.pad(np.arange(rows * columns).reshape(rows, columns), 1)
    steps = [(i, j) for i in range(3) for j in range(3)]
    around = np.stack([padded[i : i + rows, j : j + columns] for i, j in steps])
    targets = np.stack([index[i : i + rows, j : j + columns] for i, j in steps])
    lower = np.take_along_axis(targets, around.argmin(axis=0)[None], axis=0)[0].ravel()
    while not np.array_equal(lower, lower[lower]):
        lower = lower[lower]
    return np.unique(lower, return_inverse=True)[1].reshape(rows, columns)
