"""Find the log density of an adsorbed atom over the cell of a surface."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write the map as arrays."""
    started, settings = start(), job.params.density
    system, arrays = SYSTEMS[job.params.kind], load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    model = system.trained_model(checkpoint, arrays, device())
    found = system.density_map(model, system.slab_of(arrays), job.params.points, settings)
    save_arrays(job.output.log_density, provenance({"density": settings}, job.input, None, started), **found)


if __name__ == "__main__":
    run(main, snakemake)
