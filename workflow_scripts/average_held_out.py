"""Average the metrics of all targets that are held out."""

from dig_core.evaluation.averages import averaged
from dig_core.files import read_json, write_json
from dig_core.runtime import run
from dig_core.systems.adsorption_evaluation import HEURISTIC, RANDOM


def main(job):
    """Write means with intervals over the targets, and differences from the baselines."""
    metrics = [read_json(path) for path in job.input.metrics]
    write_json(job.output.metrics, averaged(metrics, (RANDOM, HEURISTIC), job.params.seed))


if __name__ == "__main__":
    run(main, snakemake)
