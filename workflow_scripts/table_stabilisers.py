"""Compare what keeps training from energies stable: studies that differ in one thing."""

from dig_core.evaluation.density_tables import densities_csv
from dig_core.files import read_json, write_text
from dig_core.runtime import run


def main(job):
    """Write a row per study and seed, beside the noise floor and the exact values."""
    files = zip(job.params.studies, job.input.metrics, strict=True)
    metrics = {study: read_json(path) for study, path in files}
    if not metrics:
        raise ValueError(
            "expected studies under comparisons.table_stabilisers in config/config.yaml; got none. List them"
        )
    write_text(job.output.table, densities_csv(metrics))


if __name__ == "__main__":
    run(main, snakemake)
