"""Draw crystals from the trained model beside known ones."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import write
from dig_core.plotting_crystals import crystals_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    evaluations, samples = (
        {name: load_arrays(file) for name, file in zip(job.params.targets, files, strict=True)}
        for files in (job.input.evaluations, job.input.samples)
    )
    figure, table = crystals_figure(evaluations, samples)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
