"""What the samples of a molecule are worth: every number beside that of molecular dynamics.

All candidates are scored on the held-out reference, with as many structures as there are samples: the samples
themselves, relaxed where the study asks for it, the noise floor (drawn by weight from the training replica), plain dynamics of equal cost, and the
tight reference. Intervals hold the error of the candidate alone, not that of the reference: samples are resampled
one by one, frames of dynamics in `BLOCKS` blocks of time.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from dig_core.evaluation import landscape as landscapes
from dig_core.evaluation import statistics, validity
from dig_core.evaluation.landscape import Landscape
from dig_core.evaluation.tight_reference import TightReference
from dig_core.systems.metrics import (
    Evaluated,
    competitor_metrics,
    population_error,
    share_with_interval,
    suffixed,
)
from dig_core.systems.molecule import physical_filter
from dig_core.systems.series import Arrays, Series, Sources, all_series, coordinates
from dig_core.systems.yardstick import Scores, Study, Yardstick, yardstick


def evaluate(sources: Sources, study: Study) -> Evaluated:
    """Score samples, noise floor, plain dynamics and tight reference on the held-out reference.

    Metrics that are undefined (no common bin, no energies, no competitor, ...) are left out. Raises
    ValueError when the molecule has no torsion, or when nothing was drawn.
    """
    plane = coordinates(sources.molecule, sources.training, study.settings.tica_lag_ps)
    compared = all_series(sources, plane)
    count = len(compared["samples"].weights)
    measure = yardstick(study, compared["reference"], plane, count)
    tight = sources.tight_reference if plane.is_torsion_plane else None
    found = {"reference": measure.planes[""]}
    metrics: Scores = {"samples": count}
    metrics |= sample_metrics(sources.samples, sources.molecule, study, compared["samples"], measure)
    metrics |= competitor_metrics(study, compared, measure)
    if tight is not None:
        found["tight_reference"] = study.cut(tight.landscape(study.settings.bins, study.temperature_K))
        metrics |= tight_metrics(study, tight, compared["samples"], measure)
    metrics |= reference_metrics(sources, study, compared, measure)
    metrics |= (
        population_metrics(study, compared, tight) if len(sources.molecule["backbone_torsions"]) else {}
    )
    metrics |= state_precisions(study, compared, measure.planes[""]) if plane.is_torsion_plane else {}
    # Last, so that no other number depends on whether there are relaxed samples.
    metrics |= relaxed_metrics(sources, study, compared["relaxed"], measure) if "relaxed" in compared else {}
    defined = {key: value for key, value in metrics.items() if np.isfinite(value)}
    return Evaluated(defined, plane, compared, found)


def sample_metrics(
    drawn: Arrays, molecule: Arrays, study: Study, samples: Series, measure: Yardstick
) -> Scores:
    """Landscape and energy numbers, validity and populations of the samples, with intervals."""
    everything = study.with_intervals(lambda chosen: measure.scores(samples, chosen), samples)
    marks = indicators(drawn["positions_angstrom"], molecule)
    if len(molecule["backbone_torsions"]):
        marks |= {f"population_{name}": inside for name, inside in states(study, samples).items()}
    for key, mark in marks.items():
        everything |= share_with_interval(key, mark)
    return everything


def relaxed_metrics(sources: Sources, study: Study, relaxed: Series, measure: Yardstick) -> Scores:
    """The numbers of the samples after their relaxation, and the share of those that it could not relax."""
    own = sample_metrics(sources.relaxed, sources.molecule, study, relaxed, measure)
    own |= share_with_interval("unrelaxed_fraction", ~sources.relaxed["relaxed"])
    return suffixed(own, "relaxed")


def tight_metrics(study: Study, tight: TightReference, samples: Series, measure: Yardstick) -> Scores:
    """Numbers of the tight reference on the held-out one, and of the samples on the tight reference."""
    count = len(samples.weights)
    points = {"": tight.draw(count, study.generator)}
    drawn = Series(points[""], samples.weights, points, None, correlated=False)
    values = suffixed(study.with_intervals(lambda i: measure.scores(drawn, i), drawn), "tight_reference")
    finest = Yardstick({"": study.cut(tight.landscape(study.settings.bins, study.temperature_K))})
    against = study.with_intervals(lambda i: finest.scores(samples, i), samples)
    return values | suffixed(against, "against_tight_reference")


def reference_metrics(
    sources: Sources, study: Study, compared: Mapping[str, Series], measure: Yardstick
) -> Scores:
    """Median energy and validity of the reference; effective sample sizes of both replicas."""
    values, reference = {}, compared["reference"]
    for name in ("training", "reference"):
        size, frames = statistics.kish_effective_size(compared[name].weights), len(compared[name].weights)
        values |= {f"frames_{name}": frames, f"effective_sample_size_{name}": size}
        values[f"effective_sample_size_fraction_{name}"] = size / frames
    if reference.energies is not None:
        median = statistics.weighted_quantile(reference.energies, 0.5, reference.weights)
        values["energy_median_kJ_per_mol_reference"] = median
        values["energy_p99_kJ_per_mol_reference"] = measure.energies.p99
    # As many frames as samples are enough to judge validity.
    chosen = statistics.draw_by_weight(reference.weights, len(compared["samples"].weights), study.generator)
    marks = indicators(sources.reference["positions_angstrom"][chosen], sources.molecule)
    return values | {f"{key}_reference": float(mark.mean()) for key, mark in marks.items()}


def population_metrics(study: Study, compared: Mapping[str, Series], tight: TightReference | None) -> Scores:
    """Populations of the states in every source but the samples, and standard errors in all.

    Samples are independent (binomial error); frames of dynamics are resampled in blocks.
    """
    values: Scores = {}
    for source, own in compared.items():
        for name, inside in states(study, own).items():
            key, share = f"population_{name}{_ending(source)}", float(own.weights[inside].sum())
            values[key], values[f"{key}_standard_error"] = share, population_error(study, own, inside)
    for name, region in study.regions.items() if tight is not None else ():
        key = f"population_{name}_tight_reference"
        values[key] = tight.population(region)
        values[f"{key}_standard_error"] = tight.population_standard_error(region, study.generator)
    return values


def state_precisions(study: Study, compared: Mapping[str, Series], reference: Landscape) -> Scores:
    """Share of each state, in every source, that lies in low-energy bins of the reference: a state may have the right
    population and be smeared over where the reference never is.
    """
    values: Scores = {}
    edges = reference.x_edges, reference.y_edges
    for source, own in compared.items():
        for name, inside in states(study, own).items():
            if own.weights[inside].sum() > 0.0:
                state = study.landscape(own.torsions[inside, :2], edges, own.weights[inside])
                values[f"state_precision_{name}{_ending(source)}"] = landscapes.precision(state, reference)
    return values


def _ending(source: str) -> str:
    """Of the keys of a source's own numbers."""
    return {"samples": "", "competitor": "_equal_cost_md"}.get(source, f"_{source}")


def states(study: Study, own: Series) -> dict[str, Bool[np.ndarray, "frames"]]:
    """Which structures lie in which state, by the first residue's phi and psi."""
    return {name: region.contains(own.torsions[:, :2]) for name, region in study.regions.items()}


def indicators(
    positions: Float[np.ndarray, "frames atoms 3"], molecule: Arrays
) -> dict[str, Bool[np.ndarray, "frames"]]:
    """Which structures are valid, fulfil each criterion of validity, or are mirror images, by metric."""
    verdict = physical_filter(positions, molecule)
    marks = {f"valid_{name}_fraction": getattr(verdict, name) for name in validity.CRITERIA}
    marks["valid_fraction"] = verdict.valid
    if len(molecule["stereocentres"]):
        marks["mirror_image_fraction"] = ~verdict.chirality
    return marks
