"""Draw what crystals have of the property that they were asked to have."""

from dig_core.files import atomic, load_arrays, read_json
from dig_core.plotting import write
from dig_core.plotting_properties import Drawn, properties_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    targets = job.params.targets
    evaluations, samples = (
        {name: load_arrays(file) for name, file in zip(targets, files, strict=True)}
        for files in (job.input.evaluations, job.input.samples)
    )
    metrics = {name: read_json(file) for name, file in zip(targets, job.input.metrics, strict=True)}
    asked = {
        name: Drawn(own["atoms"], own["asked"], job.params.scales[name]) for name, own in targets.items()
    }
    figure, table = properties_figure(evaluations, samples, metrics, asked, job.params.column)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
