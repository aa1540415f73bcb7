"""Write the numbers of all trainings from energies as one table."""

import json

from dig_core.evaluation.density_tables import densities_csv
from dig_core.runtime import atomic, run


def main(job):
    """Write a row per target, form and seed, after the exact values and the noise floor."""
    metrics = {}
    for target, path in zip(job.params.targets, job.input.metrics, strict=True):
        with open(path, encoding="utf-8") as file:
            metrics[target] = json.load(file)
    with atomic(job.output.table) as path:
        path.write_text(densities_csv(metrics), encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)
