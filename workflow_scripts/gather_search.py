"""Keep the crystals of a search that are low in enthalpy."""

import pandas as pd

from dig_core.data.crystal_search import gathered
from dig_core.files import atomic
from dig_core.runtime import run


def main(job):
    """Write one table of what all parts have found."""
    table = gathered([pd.read_csv(file) for file in job.input.crystals], job.params.window_eV_per_atom)
    with atomic(job.output.crystals) as file:
        table.to_csv(file, index=False)


if __name__ == "__main__":
    run(main, snakemake)
