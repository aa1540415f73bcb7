"""Compute the band gap of one drawn crystal with an electronic-structure code."""

from pathlib import Path

from dig_core.crystals import crystals_of
from dig_core.energies.labels import by_lot, label
from dig_core.files import load_arrays, write_json
from dig_core.runtime import run


def main(job):
    """Write which sample it is, by lot, and its band gap in eV; null where the calculation did not converge."""
    settings = job.params.settings
    structures, place = crystals_of(load_arrays(job.input.samples)).structures(), int(job.params.place)
    # Relaxed ones have been drawn by lot before.
    chosen = place if job.params.seed is None else by_lot(len(structures), job.params.seed)[place]
    found = label(structures[chosen], settings, Path(job.params.cache))
    write_json(job.output.label, {"sample": int(chosen), **found})


if __name__ == "__main__":
    run(main, snakemake)
