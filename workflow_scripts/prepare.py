"""Collect the frames of all targets that train the network."""

from dig_core.data.datasets import read_frames
from dig_core.runtime import load_arrays, provenance, run, save_arrays, start


def main(job):
    """Write the training frames of every target into one file, keys `{target}.{array}`."""
    started = start()
    targets, data = list(job.params.targets), job.params.data
    per_target = len(job.input.frames) // len(targets)
    dataset = {}
    for index, (target, molecule) in enumerate(zip(targets, job.input.molecules, strict=True)):
        files = job.input.frames[index * per_target : (index + 1) * per_target]
        atoms = len(load_arrays(molecule)["atom_features"])
        frames = read_frames(files, job.input.weights, data, atoms, held_out=False)
        dataset |= {f"{target}.{name}": array for name, array in frames.items()}
    origin = provenance({"data": data, "temperature_K": job.params.temperature_K}, job.input, None, started)
    save_arrays(job.output.dataset, origin, **dataset)


if __name__ == "__main__":
    run(main, snakemake)
