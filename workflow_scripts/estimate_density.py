"""Draw structures of a target along the probability flow and estimate log densities of some, and of held-out frames."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.density_estimation import estimate_density
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write positions, log densities with errors and costs, states, and energies where there is a force field."""
    started, settings = start(), job.params.density
    system, molecule = SYSTEMS[job.params.kind], load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    model = system.trained_model(checkpoint, molecule, device())
    files = job.params.force_field
    energy = system.energies(job.input.topology, tuple(files), job.params.platform) if files else None
    arrays = estimate_density(model, molecule, load_arrays(job.input.reference), energy, settings)
    origin = provenance({"density": settings}, job.input, settings["seed"], started)
    save_arrays(job.output.log_density, origin, **arrays)


if __name__ == "__main__":
    run(main, snakemake)
