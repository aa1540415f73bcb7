"""Run the script of a rule for several targets, one after the other, in one process."""

from pathlib import Path

from dig_core.runtime import run
from dig_core.several import run_each


def main(job):
    """Make what the rule makes of each of these targets."""
    run_each(Path(job.scriptdir), job.params.jobs)


if __name__ == "__main__":
    run(main, snakemake)
