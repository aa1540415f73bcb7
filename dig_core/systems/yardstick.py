"""What structures are measured with: a study's settings, and landscapes and energies of the reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from dig_core.evaluation import landscape as landscapes
from dig_core.evaluation import statistics
from dig_core.evaluation.energy_distributions import EnergyReference, energy_reference
from dig_core.evaluation.landscape import Landscape
from dig_core.evaluation.statistics import TorsionRegion
from dig_core.settings.evaluation import Evaluation
from dig_core.systems.series import Coordinates, Series

SEED = 0
Scores = dict[str, float | int]


@dataclass(frozen=True)
class CutLandscape(Landscape):
    """A landscape whose low-energy bins end at the study's own cutoff."""

    cutoff_kcal_per_mol: float = landscapes.LOW_ENERGY_CUTOFF_KCAL_PER_MOL

    def low_energy_bins(self, cutoff_kcal_per_mol: float | None = None) -> Bool[np.ndarray, "x_bins y_bins"]:
        """Bins with F <= F_min + cutoff."""
        cutoff = self.cutoff_kcal_per_mol if cutoff_kcal_per_mol is None else cutoff_kcal_per_mol
        return super().low_energy_bins(cutoff)


@dataclass(frozen=True)
class Yardstick:
    """The held-out reference: a landscape by plane (suffix of the keys), and energies where they are known."""

    planes: Mapping[str, Landscape]
    energies: EnergyReference | None = None

    def scores(self, series: Series, chosen: Int[np.ndarray, "count"]) -> Scores:
        """All landscape and energy numbers of the chosen structures, equally weighted."""
        values: Scores = {}
        for suffix in (name for name in self.planes if name in series.planes):
            points = series.planes[suffix][chosen]
            values |= landscapes.landscape_metrics(points, self.planes[suffix], suffix=suffix)
        if self.energies is not None and series.energies is not None:
            values |= self.energies.scores(series.energies[chosen])
        return values


@dataclass(frozen=True)
class Study:
    """Settings of an evaluation and its random numbers, which come in a fixed order."""

    settings: Evaluation
    temperature_K: float
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))

    @property
    def regions(self) -> dict[str, TorsionRegion]:
        """Named states of the torsion plane."""
        states = self.settings.states
        return {name: TorsionRegion(state.phi_deg, state.psi_deg) for name, state in states.items()}

    def landscape(self, points: np.ndarray, edges: landscapes.Edges, weights: np.ndarray) -> Landscape:
        """Landscape at the study's temperature, with its cutoff."""
        return self.cut(landscapes.landscape(points, edges, self.temperature_K, weights))

    def cut(self, full: Landscape) -> CutLandscape:
        """The same landscape with the study's cutoff for low-energy bins."""
        cutoff = self.settings.low_energy_cutoff_kcal_per_mol
        return CutLandscape(full.x_edges, full.y_edges, full.probability, full.temperature_K, cutoff)

    def with_intervals(self, statistic: Callable[[np.ndarray], Scores], series: Series) -> Scores:
        """The statistic of all structures of a series, with bootstrap intervals."""
        count, repeats = len(series.weights), self.settings.bootstrap_repeats
        replicates = statistics.bootstrap(statistic, count, repeats, self.generator, series.block)
        values = statistics.with_intervals(statistic(np.arange(count)), replicates)
        return {key: _within_range(key, value) for key, value in values.items()}


def yardstick(study: Study, reference: Series, plane: Coordinates, count: int) -> Yardstick:
    """Landscapes and energies of the reference, for candidates of `count` structures."""
    bins, planes = study.settings.bins, {}
    for suffix, points in reference.planes.items():
        periodic = plane.is_torsion_plane and suffix == ""
        edges = landscapes.torsion_edges(bins) if periodic else landscapes.reference_edges(points, bins)
        planes[suffix] = study.landscape(points, edges, reference.weights)
    known = reference.energies is not None
    energies = energy_reference(reference.energies, reference.weights, count) if known else None
    return Yardstick(planes, energies)


def _within_range(key: str, value: float) -> float:
    """An interval centred on its estimate may reach below 0 or above 1, where no such metric lies."""
    if key.startswith(("energy_median", "free_energy_difference")):
        return value
    is_share = key.startswith(("coverage", "precision", "population")) or "_fraction" in key
    return min(max(value, 0.0), 1.0) if is_share else max(value, 0.0)
