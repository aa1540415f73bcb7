"""Write the numbers of all trainings from energies as one table."""

from dig_core.evaluation.density_tables import densities_csv
from dig_core.files import read_json, write_text
from dig_core.runtime import run


def main(job):
    """Write a row per target, form and seed, after the exact values and the noise floor."""
    files = zip(job.params.targets, job.input.metrics, strict=True)
    write_text(job.output.table, densities_csv({target: read_json(path) for target, path in files}))


if __name__ == "__main__":
    run(main, snakemake)
