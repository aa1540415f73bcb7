"""Write the tables of a study's crystals with the property that was computed for them, as data for other studies."""

from dig_core.data.crystal_files import write_table
from dig_core.files import load_arrays
from dig_core.runtime import run
from dig_core.systems import SYSTEMS


def main(job):
    """Write all rows with a column more; empty where nothing is known."""
    table = SYSTEMS[job.params.kind].tabulated(
        job.input.files, load_arrays(job.input.crystals), job.params.column
    )
    write_table(job.output.table, table)


if __name__ == "__main__":
    run(main, snakemake)
