"""Join the slab of a target and its map of energies."""

from dig_core.files import load_arrays, save_arrays, write_json
from dig_core.runtime import provenance, run, start


def main(job):
    """Write what a study with these settings reads instead of computing it where it names `data.bundled`."""
    started, made_with = start(), job.params.made_with
    arrays = load_arrays(job.input.molecule) | load_arrays(job.input.energies)
    del arrays["provenance"]  # of one of them
    save_arrays(job.output.surface, provenance(made_with, job.input, None, started), **arrays)
    write_json(job.output.made_with, made_with)


if __name__ == "__main__":
    run(main, snakemake)
