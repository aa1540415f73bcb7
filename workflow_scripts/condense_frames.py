"""Condense a replica of a protein into the corners of its residues (N, CA, C)."""

from dig_core.data.backbone_frames import condensed
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start


def main(job):
    """Write what the study reads instead of the replica where it names `data.bundled`."""
    started = start()
    arrays = condensed(load_arrays(job.input.frames))
    settings = {"data": job.params.data, "temperature_K": job.params.temperature_K}
    origin = provenance(settings, job.input, job.params.data["seed"], started)
    save_arrays(job.output.corners, origin, **arrays)


if __name__ == "__main__":
    run(main, snakemake)
