"""Set aside the frames of a target that the network never sees."""

from dig_core.data.datasets import read_frames
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start


def main(job):
    """Write the held-out frames of one target."""
    started = start()
    data = job.params.data
    atoms = len(load_arrays(job.input.molecule)["atom_features"])
    frames = read_frames(job.input.frames, job.input.weights, data, atoms, held_out=True)
    origin = provenance({"data": data, "temperature_K": job.params.temperature_K}, job.input, None, started)
    save_arrays(job.output.reference, origin, **frames)


if __name__ == "__main__":
    run(main, snakemake)
