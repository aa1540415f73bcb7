"""Write the metrics of all targets of a study as one table."""

import json

from dig_core.evaluation.tables import metrics_csv
from dig_core.runtime import atomic, run


def main(job):
    """Write a row per metric: samples with interval, noise floor, equal-cost MD, tight reference."""
    metrics = {}
    for target, path in zip(job.params.targets, job.input.metrics, strict=True):
        with open(path, encoding="utf-8") as file:
            metrics[target] = json.load(file)
    with atomic(job.output.table) as path:
        path.write_text(metrics_csv(metrics), encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)
