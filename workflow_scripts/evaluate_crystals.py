"""Compare drawn crystals with known prototypes, and what they were asked to have with what they have."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.crystals import crystals_of
from dig_core.data.crystal_files import read_crystals
from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS
from dig_core.systems.carbon_evaluation import evaluate
from dig_core.systems.carbon_property_evaluation import (
    Asked,
    labelled_metrics,
    predictor_metrics,
    property_metrics,
)
from dig_core.systems.carbon_relaxation import relaxed_metrics


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figure shows."""
    started, samples = start(), load_arrays(job.input.samples)
    crystals, settings = load_arrays(job.input.crystals), job.params.evaluation
    atoms, phases = job.params.target["atoms"], read_crystals(job.input.phases, job.params.elements)
    metrics, arrays = evaluate(samples, crystals, atoms, settings, phases)
    if job.input.relaxed:
        relaxed = load_arrays(job.input.relaxed[0])
        metrics |= relaxed_metrics(relaxed, crystals, atoms, settings["within_angstrom"], phases)
    if job.input.property:
        system = SYSTEMS[job.params.kind]
        told = system.trained_property(load_checkpoint(Path(job.input.property), job.params.property_kind))
        drawn, known = (system.predicted(told, crystals_of(own)) for own in (samples, crystals))
        asked = Asked(job.params.column, job.params.all_asked, settings["near_asked"])
        numbers, shown = property_metrics(arrays, crystals, drawn, known, asked)
        metrics, arrays = metrics | numbers, arrays | shown
        if job.input.predictor:
            predict = system.predictor_of(job.input.predictor)
            values = [system.told(predict, crystals_of(own)) for own in (samples, crystals)]
            metrics |= predictor_metrics(*values, crystals, asked)
        if job.input.labels:
            numbers, shown = labelled_metrics(_labels(job.input.labels), drawn, asked)
            metrics, arrays = metrics | numbers, arrays | shown
        if job.input.relaxed_labels:
            drawn = system.predicted(told, crystals_of(relaxed))
            numbers, shown = labelled_metrics(_labels(job.input.relaxed_labels), drawn, asked, "relaxed")
            metrics, arrays = metrics | numbers, arrays | shown
    costs = {
        "seconds_train": read_json(job.input.training)["seconds_train"],
        "seconds_sample": float(samples["seconds_sample"]),
    }
    origin = provenance({"evaluation": settings}, job.input, settings["seed"], started)
    save_arrays(job.output.evaluation, origin, **arrays)
    write_json(job.output.metrics, metrics | costs)


def _labels(files):
    return [read_json(file) for file in files]


if __name__ == "__main__":
    run(main, snakemake)
