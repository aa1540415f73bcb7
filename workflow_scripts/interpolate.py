"""Connect two states of a target by paths through the latent space of the trained model."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.data.datasets import write_trajectory
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.systems.molecule import energies
from dig_core.systems.molecule_path import interpolate_states, path_model
from dig_core.systems.series import of_target


def main(job):
    """Write the paths as arrays (with energies and torsions), and the chosen one as an xtc trajectory."""
    started, settings, files = start(), job.params.interpolation, job.params.force_field
    molecule = load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    model = path_model(checkpoint, molecule, settings, device())
    training = of_target(load_arrays(job.input.dataset), job.wildcards.target)
    energy = energies(job.input.topology, tuple(files), job.params.platform) if files else None
    found = interpolate_states(model, molecule, training, settings, energy)
    origin = provenance({"interpolation": settings}, job.input, settings["seed"], started)
    chosen = found["latent_positions_angstrom"][found["chosen"]]
    write_trajectory(job.output.trajectory, job.input.topology, chosen)
    save_arrays(job.output.path, origin, **found)


if __name__ == "__main__":
    run(main, snakemake)
