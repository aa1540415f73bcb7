"""Relax some drawn crystals with an interatomic potential."""

from dig_core.crystals import crystals_of
from dig_core.data.crystal_files import write_extxyz
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems.carbon_relaxation import relaxed_samples


def main(job):
    """Write the relaxed crystals as arrays, and as extxyz for any other program."""
    started, settings = start(), job.params.relaxation
    found = relaxed_samples(load_arrays(job.input.samples), settings)
    origin = provenance({"relaxation": settings}, job.input, settings["seed"], started)
    write_extxyz(job.output.structures, crystals_of(found))
    save_arrays(job.output.relaxed, origin, **found)


if __name__ == "__main__":
    run(main, snakemake)
