"""Write the metrics of all targets of a study as one table."""

from dig_core.evaluation.tables import metrics_csv
from dig_core.files import read_json, write_text
from dig_core.runtime import run


def main(job):
    """Write a row per metric: samples with interval, noise floor, equal-cost MD, tight reference."""
    files = zip(job.params.targets, job.input.metrics, strict=True)
    write_text(job.output.table, metrics_csv({target: read_json(path) for target, path in files}))


if __name__ == "__main__":
    run(main, snakemake)
