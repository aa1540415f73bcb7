"""Draw samples at the sites of every surface that are filled most, from above and from the side."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import write
from dig_core.plotting_adsorbates import adsorbates_figure
from dig_core.runtime import run
from dig_core.systems.adsorption_model import slab_of


def main(job):
    """Write the figure as picture and vector graphics, and the atoms it shows."""
    targets = job.params.targets
    held_out_first = sorted(targets, key=lambda name: not targets[name]["held_out"])
    molecules = dict(zip(targets, map(load_arrays, job.input.molecules), strict=True))
    found = dict(zip(targets, map(load_arrays, job.input.evaluations), strict=True))
    figure, table = adsorbates_figure(
        {name: slab_of(arrays) for name, arrays in molecules.items()},
        {name: arrays["adsorbed_numbers"] for name, arrays in molecules.items()},
        {name: found[name] for name in held_out_first},
    )
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
