"""Draws by weight, bootstrap errors for independent and for correlated samples, populations of regions.

Resampling follows Efron, "Bootstrap methods: another look at the jackknife" (Annals of Statistics 7, 1,
1979); correlated frames are resampled in blocks on a circle: Politis and Romano, "A circular
block-resampling procedure for stationary data" (1992).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Replicates = Float[np.ndarray, "repeats"]
Statistic = Callable[[Int[np.ndarray, "draws"]], float | Mapping[str, float]]


def normalized_weights(
    count: int, weights: Float[np.ndarray, "samples"] | None
) -> Float[np.ndarray, "samples"]:
    """Weights of `count` samples scaled to sum 1, equal where none are given; ValueError on bad ones."""
    if count < 1:
        raise ValueError("expected at least one sample; got none. Check the step that should have made them.")
    if weights is None:
        return np.full(count, 1.0 / count)
    if weights.shape != (count,):
        raise ValueError(f"expected {count} weights; got shape {weights.shape}. Give one weight per sample.")
    values = weights.astype(np.float64)
    if not (np.all(np.isfinite(values)) and np.all(values >= 0) and values.sum() > 0):
        raise ValueError(
            "expected finite weights >= 0 with a sum > 0; got others. "
            "Exponentiate the bias over kT after subtracting its maximum."
        )
    return values / values.sum()


def draw_by_weight(
    weights: Float[np.ndarray, "samples"], count: int, generator: np.random.Generator
) -> Int[np.ndarray, "draws"]:
    """Indices of `count` samples drawn with replacement, each with probability proportional to its weight."""
    return generator.choice(
        len(weights), size=count, replace=True, p=normalized_weights(len(weights), weights)
    )


def kish_effective_size(weights: Float[np.ndarray, "samples"]) -> float:
    """Effective number of equally weighted samples, (sum w)^2 / sum w^2 (Kish, Survey Sampling, 1965).

    Between 1 and the number of samples. It knows nothing of correlation in time.
    """
    return float(1.0 / np.sum(normalized_weights(len(weights), weights) ** 2))


def bootstrap(
    statistic: Statistic, count: int, repeats: int, generator: np.random.Generator, block: int = 1
) -> Replicates | dict[str, Replicates]:
    """Replicates of a statistic of `count` samples; each call gets the `count` indices of one resample.

    Independent samples: block = 1. Correlated frames: `block` consecutive frames are kept together (on a
    circle), several correlation times long. Weights go by index: statistic(i) uses points[i], weights[i]. A
    statistic that returns a mapping gives a dict of arrays [repeats].
    """
    if not (1 <= block <= count and repeats >= 1):
        raise ValueError(
            f"expected 1 <= block <= {count} frames and repeats >= 1; got block {block}, repeats {repeats}. "
            "Shorten the blocks, or give more frames."
        )
    values = [statistic(_resample(count, generator, block)) for _ in range(repeats)]
    if isinstance(values[0], Mapping):
        return {key: np.array([value[key] for value in values], dtype=np.float64) for key in values[0]}
    return np.array(values, dtype=np.float64)


def confidence_interval(
    replicates: Replicates, level: float = 0.95, estimate: float | None = None
) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates, (low, high).

    With an estimate, the replicates are shifted so that their mean stands there. Coverage and divergences
    need this: a resample holds fewer distinct samples than the data, so their replicates are biased and may
    all miss the estimate.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1; got {level}. Give 0.95 for 95 %.")
    tail = (1.0 - level) / 2.0
    centred = estimate is not None and np.isfinite(estimate) and np.all(np.isfinite(replicates))
    shift = estimate - np.mean(replicates) if centred else 0.0
    # Without interpolation: an infinite replicate (no common bin) must not become NaN.
    low, high = np.quantile(replicates, [tail, 1.0 - tail], method="inverted_cdf") + shift
    return float(low), float(high)


def with_intervals(
    estimates: Mapping[str, float | int], replicates: Mapping[str, Replicates], level: float = 0.95
) -> dict[str, float | int]:
    """The estimates, and centred `<key>_ci_low` and `<key>_ci_high` for each key that has replicates."""
    result = dict(estimates)
    for key in (key for key in estimates if key in replicates):
        interval = confidence_interval(replicates[key], level, estimates[key])
        result[f"{key}_ci_low"], result[f"{key}_ci_high"] = interval
    return result


def block_standard_error(
    values: Float[np.ndarray, "frames"] | Bool[np.ndarray, "frames"],
    weights: Float[np.ndarray, "frames"] | None,
    generator: np.random.Generator,
    blocks: int = 20,
    repeats: int = 1000,
) -> float:
    """Standard error of the weighted mean sum(w x) / sum(w) of correlated frames in their order in time.

    The frames are cut into `blocks` neighbouring pieces, which are drawn with replacement; numerator and
    denominator go together. A block must be much longer than the correlation time. For a population,
    `values` is the indicator. A state that lies within one or two blocks gives an error of the size of the
    population itself: that is what the data say.
    """
    shares = normalized_weights(len(values), weights)
    if not 2 <= blocks <= len(values):
        raise ValueError(
            f"expected 2 to {len(values)} blocks; got {blocks}. Use fewer blocks or more frames."
        )
    starts = np.linspace(0, len(values), blocks + 1).astype(int)[:-1]
    weight = np.add.reduceat(shares, starts)
    weighted_value = np.add.reduceat(shares * values, starts)
    draws = generator.integers(blocks, size=(repeats, blocks))
    total = weight[draws].sum(axis=1)
    means = weighted_value[draws].sum(axis=1)[total > 0] / total[total > 0]
    # The resampled variance is that of the blocks divided by n, not n - 1.
    return float(means.std(ddof=1) * np.sqrt(blocks / (blocks - 1)))


def weighted_quantile(
    values: Float[np.ndarray, "samples"], level: float, weights: Float[np.ndarray, "samples"] | None = None
) -> float:
    """Smallest value at or below which a share `level` (0 to 1) of the weight lies."""
    shares = normalized_weights(len(values), weights)
    return float(np.quantile(values, level, weights=shares, method="inverted_cdf"))


@dataclass(frozen=True)
class TorsionRegion:
    """A rectangle of the torsion plane: from `low` up to, not including, `high`, in degrees, on each axis.

    Intervals may wrap: (100, -120) means 100 to 180 and -180 to -120. A difference of 360 is the whole
    period.
    """

    phi_deg: tuple[float, float]
    psi_deg: tuple[float, float]

    def __post_init__(self) -> None:
        for low, high in (self.phi_deg, self.psi_deg):
            if not (np.isfinite([low, high]).all() and low != high):
                raise ValueError(
                    f"expected two different angles in degrees; got ({low}, {high}). "
                    "Write (-180, 180) for the whole period."
                )

    def contains(self, points_rad: Float[np.ndarray, "samples 2"]) -> Bool[np.ndarray, "samples"]:
        """Which points (phi, psi in radians) lie in the region; points that are not finite do not."""
        phi, psi = np.degrees(points_rad.astype(np.float64)).T
        return _within(phi, self.phi_deg) & _within(psi, self.psi_deg)


def _resample(count: int, generator: np.random.Generator, block: int) -> Int[np.ndarray, "draws"]:
    """Indices of one resample: blocks that start anywhere on the circle, cut to `count`."""
    starts = generator.integers(count, size=-(-count // block))
    return ((starts[:, None] + np.arange(block)) % count).ravel()[:count]


def _within(angles_deg: Float[np.ndarray, "samples"], interval_deg: tuple[float, float]) -> np.ndarray:
    low, high = interval_deg
    if abs(high - low) >= 360:
        return np.isfinite(angles_deg)
    with np.errstate(invalid="ignore"):
        return np.mod(angles_deg - low, 360.0) < np.mod(high - low, 360.0)


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (J. Am. Stat. Assoc. 22, 209, 1927).

    scipy.stats has it too, and takes half a second to import: as long as the evaluation of a small target.
    """
    share, z = count / total, 1.959963984540054
    scale = 1 + z**2 / total
    middle = (share + z**2 / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(middle - half, 0.0) if count else 0.0, min(middle + half, 1.0) if count < total else 1.0
