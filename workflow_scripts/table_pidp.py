"""Compare studies that use energies in different ways, each with several seeds."""

from dig_core.evaluation.tables import comparison_csv
from dig_core.files import read_json, write_text
from dig_core.runtime import run


def main(job):
    """Write a row per study: mean and standard deviation over its seeds."""
    if not job.input.metrics:
        raise ValueError(
            "expected studies under comparisons.table_pidp in config/config.yaml; got none. List them"
        )
    metrics = {}
    for study, path in zip(job.params.studies, job.input.metrics, strict=True):
        metrics.setdefault(study, []).append(read_json(path))
    write_text(job.output.table, comparison_csv(metrics))


if __name__ == "__main__":
    run(main, snakemake)
