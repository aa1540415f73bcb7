"""Compare the samples of every training on a known density with its truth, beside as many exact draws."""

from dig_core.files import load_arrays, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.systems.analytic_evaluation import evaluation_arrays, metrics, truth_of


def main(job):
    """Write the metrics (one level) and the arrays that the figure shows."""
    started = start()
    names = [f"{form}_seed_{seed}" for form, seed in job.params.runs]
    runs = {name: load_arrays(file) for name, file in zip(names, job.input.samples, strict=True)}
    truth = truth_of(job.params.target)
    origin = provenance({"target": job.params.target}, job.input, None, started)
    save_arrays(job.output.evaluation, origin, **evaluation_arrays(truth, runs))
    write_json(job.output.metrics, metrics(truth, runs))


if __name__ == "__main__":
    run(main, snakemake)
