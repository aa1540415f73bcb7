"""Relax crystals by lot, and known ones: one part of a random structure search."""

from dig_core.data.crystal_files import write_table
from dig_core.runtime import run
from dig_core.systems.carbon_search import searched


def main(job):
    """Write the crystals of this part that came to rest."""
    part = int(job.params.shard) - 1, int(job.params.shards)
    write_table(job.output.crystals, searched(job.params.search, job.params.elements, part))


if __name__ == "__main__":
    run(main, snakemake)
