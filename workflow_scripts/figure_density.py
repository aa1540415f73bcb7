"""Draw log densities against energies, and free-energy differences by counting, density and reweighting."""

from dig_core.files import atomic, load_arrays, read_json
from dig_core.plotting import write
from dig_core.plotting_densities import density_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    densities, metrics = {}, {}
    for name, arrays, path in zip(job.params.targets, job.input.densities, job.input.metrics, strict=True):
        densities[name] = load_arrays(arrays)
        metrics[name] = read_json(path)
    figure, table = density_figure(densities, metrics, job.params.temperature_K)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
