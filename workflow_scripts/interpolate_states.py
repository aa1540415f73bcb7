"""Connect two known structures of a protein by a path through the latent space of the trained model."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.data.datasets import write_trajectory
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.systems.protein import trained_model
from dig_core.systems.protein_path import interpolate_states


def main(job):
    """Write the latent and the straight path as arrays, and the latent one as an xtc trajectory."""
    started, settings = start(), job.params.interpolation
    protein = load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    found = interpolate_states(trained_model(checkpoint, protein, device()), protein, settings)
    origin = provenance({"interpolation": settings}, job.input, None, started)
    write_trajectory(job.output.trajectory, job.input.topology, found["latent_positions_angstrom"])
    save_arrays(job.output.path, origin, **found)


if __name__ == "__main__":
    run(main, snakemake)
