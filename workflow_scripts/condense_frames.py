"""Condense a replica of a protein into the corners of its residues (N, CA, C)."""

from dig_core.data.backbone_frames import condensed
from dig_core.files import load_arrays, save_arrays, write_json
from dig_core.runtime import provenance, run, start


def main(job):
    """Write what a study with these settings reads instead of the replica where it names `data.bundled`."""
    started = start()
    arrays = condensed(load_arrays(job.input.frames))
    made_with = job.params.made_with
    origin = provenance(made_with, job.input, made_with["data"]["seed"], started)
    save_arrays(job.output.corners, origin, **arrays)
    write_json(job.output.made_with, made_with)


if __name__ == "__main__":
    run(main, snakemake)
