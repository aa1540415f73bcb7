"""Metrics of several targets as one: means with intervals over the targets, and how far they are from baselines."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import t

BASELINE = "_baseline_"
Metrics = Mapping[str, float | int]


def averaged(metrics: Sequence[Metrics]) -> dict[str, float | int]:
    """The mean over targets of every metric that all of them have, and `targets`, their number.

    A metric that stands beside a baseline, `<key>_baseline_<name>`, has `<key>_less_<name>` as well: the difference from the baseline of the same
    target. With more than one target each has `<key>_ci_low` and `<key>_ci_high`, Student's interval of 95 % for targets that are drawn by lot.

    Raises:
        ValueError: no targets.
    """
    if not metrics:
        raise ValueError("expected the metrics of at least one target; got none. Hold a target out")
    keys = [key for key in metrics[0] if all(key in own for own in metrics)]
    values = {key: np.array([own[key] for own in metrics], dtype=np.float64) for key in keys}
    for key in keys:
        metric, _, name = key.partition(BASELINE)
        if name and metric in keys:
            values[f"{metric}_less_{name}"] = values[metric] - values[key]
    found: dict[str, float | int] = {"targets": len(metrics)}
    for key, own in values.items():
        found |= _with_interval(key, own)
    return found


def _with_interval(key: str, values: Float[np.ndarray, " targets"]) -> dict[str, float]:
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return {key: mean}
    half = float(t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return {key: mean, f"{key}_ci_low": mean - half, f"{key}_ci_high": mean + half}
