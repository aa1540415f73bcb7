"""How the potential energies of drawn structures compare with those of molecular dynamics."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dig_core.evaluation.statistics import weighted_quantile

OUTLIER_MARGIN_KJ_PER_MOL = 200.0


@dataclass(frozen=True)
class EnergyReference:
    """Energies of the reference, prepared for comparison with `len(quantiles)` equally weighted structures.

    `quantiles` [count] are those at (i + 1/2) / count, in kJ/mol; `p99` is the 99th percentile; what lies
    above `cap` counts as lying there.
    """

    quantiles: Float[np.ndarray, "count"]
    p99: float
    cap: float

    def scores(self, energies: Float[np.ndarray, "count"]) -> dict[str, float]:
        """Median, share at or below the reference's 99th percentile, and Wasserstein-1 distance (kJ/mol).

        In one dimension the distance is the integral over u of |F^-1(u) - G^-1(u)|, here the mean over
        `count` quantiles. One clash costs 1e6 kJ/mol and would be all that a distance tells: energies above
        `cap` (the reference's 99.9th percentile + 200 kJ/mol) and those that are not finite are set to it.
        """
        if energies.shape != self.quantiles.shape:
            raise ValueError(
                f"expected {len(self.quantiles)} energies; got {len(energies)}. Prepare the reference for them."
            )
        finite = np.where(np.isnan(energies), np.inf, energies)
        clipped = np.sort(np.minimum(finite, self.cap))
        return {
            "energy_median_kJ_per_mol": float(np.median(finite)),
            "energy_below_reference_p99_fraction": float(np.mean(finite <= self.p99)),
            "energy_wasserstein_kJ_per_mol": float(np.mean(np.abs(clipped - self.quantiles))),
        }


def energy_reference(
    energies: Float[np.ndarray, "frames"], weights: Float[np.ndarray, "frames"], count: int
) -> EnergyReference:
    """Prepare the weighted energies (kJ/mol) of a reference for comparison with `count` structures."""
    cap = weighted_quantile(energies, 0.999, weights) + OUTLIER_MARGIN_KJ_PER_MOL
    levels = (np.arange(count) + 0.5) / count
    order = np.argsort(energies)
    cumulative = np.cumsum(weights[order], dtype=np.float64)
    positions = np.searchsorted(cumulative / cumulative[-1], levels)
    quantiles = np.minimum(energies[order][positions], cap).astype(np.float64)
    return EnergyReference(quantiles, weighted_quantile(energies, 0.99, weights), cap)
