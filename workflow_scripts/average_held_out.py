"""Average the metrics of all targets that are held out."""

from dig_core.evaluation.averages import averaged
from dig_core.files import read_json, write_json
from dig_core.runtime import run


def main(job):
    """Write means with intervals over the targets, and differences from the baselines."""
    write_json(job.output.metrics, averaged([read_json(path) for path in job.input.metrics]))


if __name__ == "__main__":
    run(main, snakemake)
