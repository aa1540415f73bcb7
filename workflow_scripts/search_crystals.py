"""Relax crystals by lot, and known ones: one part of a random structure search."""

from dig_core.data.crystal_search import searched
from dig_core.files import atomic
from dig_core.runtime import run


def main(job):
    """Write the crystals of this part that came to rest."""
    part = int(job.params.shard) - 1, int(job.params.shards)
    table = searched(job.params.search, job.params.elements, part)
    with atomic(job.output.crystals) as file:
        table.to_csv(file, index=False)


if __name__ == "__main__":
    run(main, snakemake)
