"""Draw what crystals have of the property that they were asked to have."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import write
from dig_core.plotting_properties import properties_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    targets = job.params.targets
    evaluations = {name: load_arrays(file) for name, file in zip(targets, job.input.evaluations, strict=True)}
    asked = {name: own["asked"] for name, own in targets.items()}
    figure, table = properties_figure(evaluations, asked, job.params.column)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
