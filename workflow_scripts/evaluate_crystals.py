"""Compare drawn crystals with known prototypes."""

from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.systems.carbon_evaluation import evaluate


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figure shows."""
    started, samples = start(), load_arrays(job.input.samples)
    crystals, settings = load_arrays(job.input.crystals), job.params.evaluation
    metrics, arrays = evaluate(samples, crystals, job.params.atoms, settings)
    costs = {
        "seconds_train": read_json(job.input.training)["seconds_train"],
        "seconds_sample": float(samples["seconds_sample"]),
    }
    origin = provenance({"evaluation": settings}, job.input, settings["seed"], started)
    save_arrays(job.output.evaluation, origin, **arrays)
    write_json(job.output.metrics, metrics | costs)


if __name__ == "__main__":
    run(main, snakemake)
