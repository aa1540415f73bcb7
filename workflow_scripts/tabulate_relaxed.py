"""Write the relaxed crystals of all targets of a study as one table."""

from dig_core.data.crystal_files import write_table
from dig_core.files import load_arrays, read_json
from dig_core.runtime import run
from dig_core.systems.carbon_relaxation import tabulated


def main(job):
    """A row for every crystal at rest that has a label, where labels are computed."""
    labels = [read_json(file)["value"] for file in job.input.labels]
    crystals = {
        name: load_arrays(file) for name, file in zip(job.params.targets, job.input.relaxed, strict=True)
    }
    write_table(job.output.table, tabulated(crystals, labels))


if __name__ == "__main__":
    run(main, snakemake)
