"""Draw the quality of the samples against the number of network evaluations, for every solver."""

from dig_core.evaluation.sampler_quality import sampler_quality
from dig_core.files import atomic, load_arrays
from dig_core.plotting import samplers_figure, write
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    files = zip(job.params.targets, job.input.comparisons, job.input.evaluations, strict=True)
    repeats = job.params.evaluation["bootstrap_repeats"]
    rows = {n: sampler_quality(load_arrays(c), load_arrays(e), repeats) for n, c, e in files}
    figure, table = samplers_figure(rows)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
