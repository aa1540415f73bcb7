"""Compute band gaps of known crystals with an electronic-structure code: of the first one of every prototype."""

from pathlib import Path

from dig_core.crystals import crystals_of
from dig_core.energies.labels import labelled_prototypes
from dig_core.files import load_arrays, write_json
from dig_core.runtime import run


def main(job):
    """Write the prototypes of this part, and their band gaps in eV; null where a calculation did not converge."""
    crystals, part = load_arrays(job.input.crystals), (int(job.params.shard) - 1, int(job.params.shards))
    structures, numbers = crystals_of(crystals).structures(), crystals["prototypes"]
    found = labelled_prototypes(structures, numbers, job.params.settings, part, Path(job.params.cache))
    write_json(job.output.labels, found)


if __name__ == "__main__":
    run(main, snakemake)
