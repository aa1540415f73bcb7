"""Add the computed property to the table of a search, as data for other studies."""

import pandas as pd

from dig_core.files import atomic, load_arrays
from dig_core.runtime import run


def main(job):
    """Write the rows of the search with a column more; empty where nothing is known."""
    table, crystals = pd.read_csv(job.input.table), load_arrays(job.input.crystals)
    first = crystals["places"] - (crystals["places"].max() + 1 - len(table))  # those of data.files come first
    table.loc[first[first >= 0], job.params.column] = crystals["property"][first >= 0]
    with atomic(job.output.table) as file:
        table.to_csv(file, index=False)


if __name__ == "__main__":
    run(main, snakemake)
