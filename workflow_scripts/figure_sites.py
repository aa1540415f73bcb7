"""Draw samples over the energy map of every surface, with its sites."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import write
from dig_core.plotting_sites import sites_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    targets = job.params.targets
    found = dict(zip(targets, map(load_arrays, job.input.evaluations), strict=True))
    held_out_first = sorted(found, key=lambda name: not targets[name]["held_out"])
    figure, table = sites_figure({name: found[name] for name in held_out_first})
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
