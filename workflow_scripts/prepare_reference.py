"""Set aside the frames of a target that the network never sees."""

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write the held-out frames of one target."""
    started = start()
    system, data, molecule = SYSTEMS[job.params.kind], job.params.data, load_arrays(job.input.molecule)
    frames = system.read_frames(job.input.frames, job.input.weights, data, molecule, held_out=True)
    origin = provenance({"data": data, "temperature_K": job.params.temperature_K}, job.input, None, started)
    save_arrays(job.output.reference, origin, **frames)


if __name__ == "__main__":
    run(main, snakemake)
