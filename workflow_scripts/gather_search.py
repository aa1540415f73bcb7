"""Keep the crystals of a search that are low in enthalpy."""

from dig_core.data.crystal_files import write_table
from dig_core.runtime import run
from dig_core.systems.carbon_search import gathered


def main(job):
    """Write one table of what all parts have found."""
    write_table(job.output.crystals, gathered(job.input.crystals, job.params.window_eV_per_atom))


if __name__ == "__main__":
    run(main, snakemake)
