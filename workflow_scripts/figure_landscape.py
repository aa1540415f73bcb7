"""Draw the free-energy landscape of every target of a study."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import landscape_figure, write
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    evaluations = {n: load_arrays(f) for n, f in zip(job.params.targets, job.input.evaluations, strict=True)}
    figure, table = landscape_figure(evaluations)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
