"""Draw adsorbates of a target from the trained model, or go on with it."""

import shutil
from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.data.crystal_files import write_extxyz
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.sampling import draw_adsorbates, kept_batches
from dig_core.systems import SYSTEMS


def main(job):
    """Write the positions as arrays, and with the slab as extxyz for any other program."""
    started, sampler, partial = start(), job.params.sampler, Path(job.params.partial)
    system, arrays = SYSTEMS[job.params.kind], load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    kept = kept_batches(partial, sampler, (job.input.checkpoint, job.input.molecule))
    drawn = draw_adsorbates(system.trained_model(checkpoint, arrays, device()), sampler, kept)
    write_extxyz(job.output.structures, system.with_adsorbates(arrays, drawn["positions_angstrom"]))
    origin = provenance({"sampler": sampler}, job.input, sampler["seed"], started)
    save_arrays(job.output.samples, origin, **drawn)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
