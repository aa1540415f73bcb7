"""Numbers of an evaluation that are the same for all kinds of systems: shares with intervals, candidates beside the samples, costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from dig_core.evaluation import statistics
from dig_core.evaluation.landscape import Landscape
from dig_core.systems.series import BLOCKS, Coordinates, Series, Sources
from dig_core.systems.yardstick import Scores, Study, Yardstick

# What is scored like the samples, and the ending of its keys.
FLOORS = (
    ("training", "noise_floor"),
    ("competitor", "equal_cost_md"),
    ("exploration", "exploration"),
    ("trained_frames", "trained_frames"),
    ("baseline", "baseline_sequence_blind"),
)


@dataclass(frozen=True)
class Evaluated:
    """Metrics by key, the coordinates, all series, and the landscapes `reference`, `tight_reference`."""

    metrics: Scores
    coordinates: Coordinates
    series: Mapping[str, Series]
    landscapes: Mapping[str, Landscape]


def share_with_interval(key: str, mark: Bool[np.ndarray, "samples"]) -> Scores:
    """Share of independent samples with its 95 % interval; a bootstrap would claim certainty where none, or every one, has the mark."""
    low, high = statistics.wilson_interval(int(mark.sum()), len(mark))
    return {key: float(mark.mean()), f"{key}_ci_low": low, f"{key}_ci_high": high}


def competitor_metrics(study: Study, compared: Mapping[str, Series], measure: Yardstick) -> Scores:
    """Numbers of the noise floor and of plain dynamics: as many frames as samples, drawn by weight."""
    count, values = len(compared["samples"].weights), {}
    for name, suffix in FLOORS:
        if name in compared:
            own = study.with_intervals(_drawn(study, compared[name], measure, count), compared[name])
            values |= suffixed(own, suffix)
    return values


def _drawn(study: Study, own: Series, measure: Yardstick, count: int) -> Callable[[np.ndarray], Scores]:
    def statistic(frames: np.ndarray) -> Scores:
        """The numbers of `count` draws by weight from the frames of these indices."""
        draws = statistics.draw_by_weight(own.weights[frames], count, study.generator)
        return measure.scores(own, frames[draws])

    return statistic


def population_error(study: Study, own: Series, inside: Bool[np.ndarray, "frames"]) -> float:
    """Standard error of a population: binomial, or by blocks for correlated frames."""
    if not own.correlated:
        return float(inside.std() / np.sqrt(len(inside)))
    blocks = min(BLOCKS, len(inside))
    return (
        statistics.block_standard_error(inside, own.weights, study.generator, blocks)
        if blocks > 1
        else np.nan
    )


def suffixed(values: Scores, suffix: str) -> Scores:
    """Put a suffix behind each metric's name, before `_ci_low` and `_ci_high`."""
    endings = ("_ci_low", "_ci_high")
    named = {}
    for key, value in values.items():
        ending = next((e for e in endings if key.endswith(e)), "")
        named[f"{key.removesuffix(ending)}_{suffix}{ending}"] = value
    return named


def cost_metrics(sources: Sources, training: Mapping[str, Any], energy: Any | None) -> Scores:
    """CPU seconds of pre-training, training, sampling, relaxation and plain dynamics, and how many energies and forces were computed.

    `training` holds the records of the jobs that train; `energy` is the energy function that counted its calls.
    """
    names = ("seconds_train", "seconds_pretrain", "force_calls_train", "force_calls_pretrain")
    values: Scores = {name: training[name] for name in names if name in training}
    if "seconds_sample" in sources.samples:
        values["seconds_sample"] = float(sources.samples["seconds_sample"])
    if sources.competitor is not None:
        values["seconds_equal_cost_md"] = float(sources.competitor["cpu_seconds"])
    if sources.relaxed is not None:
        values["seconds_relax"] = float(sources.relaxed["seconds_relax"])
        values |= {f"{name}_relax": int(sources.relaxed[name]) for name in ("energy_calls", "force_calls")}
    return values | ({"energy_calls": energy.calls} if energy is not None else {})
