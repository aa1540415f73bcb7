"""Free-energy landscapes in two collective variables and the numbers that compare one with a reference.

A landscape is a normalised histogram with F = -kT ln p. Its low-energy bins are those within 4 kcal/mol of
the minimum. *Coverage* is the "recall" of Zheng et al., Nature Machine Intelligence 2024 (arXiv
2306.05445). Every number here depends on how many samples were drawn: it means something only beside the
same number for as many draws from a reference.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import rel_entr

from dig_core.evaluation.statistics import kish_effective_size, normalized_weights
from dig_core.units import thermal_energy_kcal_per_mol

LOW_ENERGY_CUTOFF_KCAL_PER_MOL = 4.0
Edges = tuple[Float[np.ndarray, "x_edges"], Float[np.ndarray, "y_edges"]]


@dataclass(frozen=True)
class Landscape:
    """Probability of each bin of a rectangular grid in two collective variables.

    `x_edges` [nx + 1] and `y_edges` [ny + 1] increase, in radians for torsions and in the coordinate's own
    unit otherwise. `probability` [nx, ny] is the share of all samples in each bin; samples off the grid are
    kept as what is missing to 1 (`outside`).
    """

    x_edges: Float[np.ndarray, "x_edges"]
    y_edges: Float[np.ndarray, "y_edges"]
    probability: Float[np.ndarray, "x_bins y_bins"]
    temperature_K: float

    def __post_init__(self) -> None:
        shape = (len(self.x_edges) - 1, len(self.y_edges) - 1)
        if self.probability.shape != shape:
            raise ValueError(
                f"expected probabilities of shape {shape}; got {self.probability.shape}. Give one per bin."
            )
        total = self.probability.sum()
        if not (np.all(self.probability >= 0) and total <= 1 + 1e-6):
            raise ValueError(
                f"expected probabilities >= 0 with a sum of at most 1; got a sum of {total:g}. "
                "Divide the counts by the number of samples."
            )

    @property
    def outside(self) -> float:
        """Share of the samples that lie on no bin (off the grid, or not finite)."""
        missing = 1.0 - float(self.probability.sum())
        return missing if missing > 1e-9 else 0.0

    @property
    def free_energy_kcal_per_mol(self) -> Float[np.ndarray, "x_bins y_bins"]:
        """F = -kT ln p in kcal/mol with its minimum at 0; infinite in empty bins."""
        with np.errstate(divide="ignore"):
            energy = -thermal_energy_kcal_per_mol(self.temperature_K) * np.log(self.probability)
        return energy - energy.min() if self.probability.any() else energy

    def low_energy_bins(
        self, cutoff_kcal_per_mol: float = LOW_ENERGY_CUTOFF_KCAL_PER_MOL
    ) -> Bool[np.ndarray, "x_bins y_bins"]:
        """Bins with F <= F_min + cutoff."""
        return self.free_energy_kcal_per_mol <= cutoff_kcal_per_mol


def torsion_edges(bins: int = 50) -> Edges:
    """Edges over the whole period of two torsions, [-pi, pi] radians on both axes."""
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    return edges, edges


def reference_edges(points: Float[np.ndarray, "frames 2"], bins: int = 50) -> Edges:
    """Edges over the range of a reference's points (for coordinates without a period, such as TICA)."""
    low, high = points.min(axis=0), points.max(axis=0)
    if not np.all(high > low):
        raise ValueError(
            f"expected finite points that differ on both axes; got the range {low} to {high}. "
            "Check the reference."
        )
    x_edges, y_edges = (np.linspace(low[axis], high[axis], bins + 1, dtype=np.float64) for axis in (0, 1))
    return x_edges, y_edges


def landscape(
    points: Float[np.ndarray, "samples 2"],
    edges: Edges,
    temperature_K: float,
    weights: Float[np.ndarray, "samples"] | None = None,
) -> Landscape:
    """Weighted histogram of points; on `torsion_edges` they are radians and wrapped into the period.

    Points off the grid and points that are not finite count as mass outside. Raises ValueError without any
    sample.
    """
    shares = normalized_weights(len(points), weights)
    x, y = (_on_axis(points[:, axis].astype(np.float64), edges[axis]) for axis in (0, 1))
    probability, _, _ = np.histogram2d(x, y, bins=edges, weights=shares)
    return Landscape(*edges, probability, temperature_K)


def coverage(candidate: Landscape, reference: Landscape) -> float:
    """Share of the reference's low-energy bins that hold a sample of the candidate."""
    _require_same_grid(candidate, reference)
    return float(np.mean(candidate.probability[reference.low_energy_bins()] > 0))


def precision(candidate: Landscape, reference: Landscape) -> float:
    """Share of the candidate's samples, by weight, that lie in low-energy bins of the reference."""
    _require_same_grid(candidate, reference)
    return min(1.0, float(candidate.probability[reference.low_energy_bins()].sum()))


def free_energy_mae_kcal_per_mol(candidate: Landscape, reference: Landscape) -> float:
    """Mean |F - F_reference - median difference| in kcal/mol over low-energy bins that hold a sample.

    A basin without samples does not count here (it does in the floored form). Infinite where no low-energy
    bin holds a sample.
    """
    _require_same_grid(candidate, reference)
    shared = reference.low_energy_bins() & (candidate.probability > 0)
    return _shifted_mae(candidate.probability[shared], reference, shared)


def free_energy_mae_floored_kcal_per_mol(candidate: Landscape, reference: Landscape, samples: float) -> float:
    """The same mean over all low-energy bins, with half a count (0.5 / samples) in each empty one (kcal/mol).

    `samples` is the number of samples behind the candidate; for weighted ones the Kish effective size.
    """
    _require_same_grid(candidate, reference)
    if not samples > 0:
        raise ValueError(f"expected a number of samples > 0; got {samples}. Count the candidate's samples.")
    low = reference.low_energy_bins()
    filled = candidate.probability[low]
    return _shifted_mae(np.where(filled > 0, filled, 0.5 / samples), reference, low)


def jensen_shannon_nats(candidate: Landscape, reference: Landscape) -> float:
    """Jensen-Shannon divergence in nats over all bins: 0 for equal, ln 2 for disjoint distributions.

    The square of scipy.spatial.distance.jensenshannon (base e), which turns rounding below 0 into NaN. What
    lies off the grid is one more bin, so samples beyond the reference's range count as mismatch.
    """
    _require_same_grid(candidate, reference)
    p, q = (np.append(side.probability.ravel(), side.outside) for side in (candidate, reference))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return max(0.0, float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2)


def landscape_metrics(
    points: Float[np.ndarray, "samples 2"],
    reference: Landscape,
    weights: Float[np.ndarray, "samples"] | None = None,
    suffix: str = "",
) -> dict[str, float]:
    """Every landscape number of the points against a reference, by key plus suffix (such as "_tica")."""
    candidate = landscape(points, (reference.x_edges, reference.y_edges), reference.temperature_K, weights)
    samples = kish_effective_size(normalized_weights(len(points), weights))
    metrics = {
        "coverage": coverage(candidate, reference),
        "precision": precision(candidate, reference),
        "free_energy_mae_kcal_per_mol": free_energy_mae_kcal_per_mol(candidate, reference),
        "free_energy_mae_floored_kcal_per_mol": free_energy_mae_floored_kcal_per_mol(
            candidate, reference, samples
        ),
        "jensen_shannon_nats": jensen_shannon_nats(candidate, reference),
    }
    return {key + suffix: value for key, value in metrics.items()}


def _on_axis(values: Float[np.ndarray, "samples"], edges: Float[np.ndarray, "edges"]) -> np.ndarray:
    """Values for an axis: wrapped where the edges are a torsion's period; not finite ones go off it."""
    if np.isclose(edges[0], -np.pi) and np.isclose(edges[-1], np.pi):
        # Single-precision pi is larger than pi, and stored edges may be rounded: no angle may be lost.
        with np.errstate(invalid="ignore"):
            values = np.where(np.abs(values) > np.pi, np.mod(values + np.pi, 2 * np.pi) - np.pi, values)
        values = np.clip(values, edges[0], edges[-1])
    return np.where(np.isfinite(values), values, edges[-1] + 1.0)


def _require_same_grid(candidate: Landscape, reference: Landscape) -> None:
    for name in ("x_edges", "y_edges"):
        ours, theirs = getattr(candidate, name), getattr(reference, name)
        if ours.shape != theirs.shape or not np.allclose(ours, theirs):
            raise ValueError(
                f"expected landscapes on one grid; got other {name} ({len(ours)} and {len(theirs)}). "
                "Make the candidate on the reference's edges."
            )
    if not np.isclose(candidate.temperature_K, reference.temperature_K):
        raise ValueError(
            f"expected landscapes at {reference.temperature_K:g} K; got {candidate.temperature_K:g} K. "
            "Compare with a reference at the temperature of the samples."
        )
    if not reference.probability.any():
        raise ValueError(
            "expected a reference with samples on the grid; got none. Check its points and edges."
        )


def _shifted_mae(
    probability: np.ndarray, reference: Landscape, bins: Bool[np.ndarray, "x_bins y_bins"]
) -> float:
    """Mean |difference - median difference| of free energies over the given bins, none of them empty."""
    if probability.size == 0:
        return float("inf")
    difference = np.log(reference.probability[bins] / probability)
    deviation = np.abs(difference - np.median(difference))
    return float(thermal_energy_kcal_per_mol(reference.temperature_K) * deviation.mean())
