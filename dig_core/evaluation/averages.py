"""Metrics of several targets as one: means with intervals over the targets, and how far they are from baselines."""

from collections.abc import Mapping, Sequence

import numpy as np

from dig_core.evaluation.statistics import bootstrap, with_intervals

REPEATS = 2000
Metrics = Mapping[str, float | int]


def averaged(metrics: Sequence[Metrics], baselines: Sequence[str], seed: int) -> dict[str, float | int]:
    """The mean over targets of every metric that all of them have, and `targets`, their number.

    With more than one target each has `<key>_ci_low` and `<key>_ci_high`: 95 % intervals of resampled targets. A metric that stands beside
    a baseline, `<key><ending>`, has `<key>_difference<ending>` as well, the mean of the difference: baseline and metric of the same target.

    Args:
        baselines: endings of the keys of baselines, like `_baseline_random_placement`.

    Raises:
        ValueError: no targets.
    """
    if not metrics:
        raise ValueError("expected the metrics of at least one target; got none. Hold a target out")
    keys = [key for key in metrics[0] if all(key in own for own in metrics)]
    values = {key: np.array([own[key] for own in metrics], dtype=np.float64) for key in keys}
    for key in keys:
        for ending in baselines:
            if f"{key}{ending}" in values:
                values[f"{key}_difference{ending}"] = values[key] - values[f"{key}{ending}"]
    means = {key: float(own.mean()) for key, own in values.items()}
    if len(metrics) > 1:
        generator = np.random.default_rng(seed)
        replicates = bootstrap(
            lambda drawn: {key: own[drawn].mean() for key, own in values.items()},
            len(metrics),
            REPEATS,
            generator,
        )
        means = with_intervals(means, replicates)
    return {"targets": len(metrics), **means}
