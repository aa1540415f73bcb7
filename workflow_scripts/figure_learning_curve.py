"""Draw the loss on training and validation frames against the optimiser steps."""

from dig_core.files import atomic
from dig_core.plotting import learning_curve_figure, write
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    figure, table = learning_curve_figure(job.input.history, job.params.keeps_frames)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
