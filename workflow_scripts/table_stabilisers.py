"""Compare what keeps training from energies stable: studies that differ in one thing."""

import json
from pathlib import Path

from dig_core.evaluation.density_tables import densities_csv
from dig_core.runtime import atomic, run


def main(job):
    """Write a row per study and seed, beside the noise floor and the exact values."""
    files = zip(job.params.studies, job.input.metrics, strict=True)
    metrics = {study: json.loads(Path(path).read_text(encoding="utf-8")) for study, path in files}
    if not metrics:
        raise ValueError(
            "expected studies under comparisons.table_stabilisers in config/config.yaml; got none. List them"
        )
    with atomic(job.output.table) as path:
        path.write_text(densities_csv(metrics), encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)
