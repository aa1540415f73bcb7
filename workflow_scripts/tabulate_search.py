"""Add the computed band gaps to the table of a search, as data for other studies."""

from dig_core.data.crystal_files import write_table
from dig_core.files import load_arrays
from dig_core.runtime import run
from dig_core.systems.carbon_search import labelled


def main(job):
    """Write the rows of the search with a column more; empty where nothing is known."""
    crystals = load_arrays(job.input.crystals)
    write_table(job.output.table, labelled(job.input.table, crystals, job.params.column))


if __name__ == "__main__":
    run(main, snakemake)
