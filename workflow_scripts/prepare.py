"""Collect the frames of all targets that train the network."""

from dig_core.energies.openmm import frame_forces, openmm_energy
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write the training frames of every target into one file, keys `{target}.{array}`."""
    started, system = start(), SYSTEMS[job.params.kind]
    targets, data = list(job.params.targets), job.params.data
    per_target = len(job.input.frames) // max(1, len(targets))
    settings = {key: job.params[key] for key in ("data", "subset", "forces", "temperature_K")}
    dataset = {}
    for index, (target, molecule) in enumerate(zip(targets, job.input.molecules, strict=True)):
        files = job.input.frames[index * per_target : (index + 1) * per_target]
        molecule = load_arrays(molecule)
        frames = system.read_frames(files, job.input.weights, data, molecule, held_out=False)
        frames = system.subset(frames, molecule, job.params.subset) if job.params.subset else frames
        if job.params.forces:
            energy = openmm_energy(job.input.topologies[index], **job.params.forces)
            frames |= frame_forces(energy, frames["positions_angstrom"])
        dataset |= {f"{target}.{name}": array for name, array in frames.items()}
    origin = provenance(settings, job.input, None, started)
    save_arrays(job.output.dataset, origin, **dataset)


if __name__ == "__main__":
    run(main, snakemake)
