"""Draw Figure 2a: the landscapes of the studies that the configuration lists for it."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import figure_2a, write
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    evaluations = {n: load_arrays(f) for n, f in zip(job.params.titles, job.input.evaluations, strict=True)}
    figure, table = figure_2a(evaluations)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
