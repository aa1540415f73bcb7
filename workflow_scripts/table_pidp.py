"""Compare studies that use energies in different ways, each with several seeds."""

import json
from pathlib import Path

from dig_core.evaluation.tables import comparison_csv
from dig_core.runtime import atomic, run


def main(job):
    """Write a row per study: mean and standard deviation over its seeds."""
    if not job.input.metrics:
        raise ValueError(
            "expected studies under comparisons.table_pidp in config/config.yaml; got none. List them"
        )
    metrics = {}
    for study, path in zip(job.params.studies, job.input.metrics, strict=True):
        metrics.setdefault(study, []).append(json.loads(Path(path).read_text(encoding="utf-8")))
    with atomic(job.output.table) as path:
        path.write_text(comparison_csv(metrics), encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)
