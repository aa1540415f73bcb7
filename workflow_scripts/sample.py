"""Draw structures of a target from the trained model and pass them through the physical filter, or go on with it."""

import shutil
from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.data.datasets import write_trajectory
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.sampling import draw_molecule, kept_batches
from dig_core.systems import SYSTEMS


def main(job):
    """Write the structures as arrays (with the verdict of the filter), and as an xtc trajectory unless they are a shard."""
    started, partial = start(), Path(job.params.partial)
    system, molecule = SYSTEMS[job.params.kind], load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    model = system.trained_model(checkpoint, molecule, device(), for_drawing=True)
    kept = kept_batches(partial, job.params.sampler, (job.input.checkpoint, job.input.molecule))
    drawn = draw_molecule(system, model, molecule, job.params.sampler, kept)
    origin = provenance({"sampler": job.params.sampler}, job.input, job.params.sampler["seed"], started)
    if job.output.get("trajectory"):
        write_trajectory(job.output.trajectory, job.input.topology, drawn["positions_angstrom"])
    save_arrays(job.output.samples, origin, **drawn)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
