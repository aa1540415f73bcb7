"""Draw the table of ways to use energies."""

from dig_core.files import atomic
from dig_core.plotting import write
from dig_core.plotting_comparisons import comparison_figure, read_table
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    figure, table = comparison_figure(read_table(job.input.table))
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
