"""Draw crystals of given atoms from the trained model, or go on with it."""

import shutil
from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.crystals import atomic_numbers, crystals_of
from dig_core.data.crystal_files import write_extxyz
from dig_core.files import save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.sampling import draw_crystals, kept_batches
from dig_core.systems import SYSTEMS


def main(job):
    """Write the crystals as arrays, and as extxyz for any other program."""
    started, sampler, partial = start(), job.params.sampler, Path(job.params.partial)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    asked = {"sampler": sampler, "atoms": job.params.atoms}
    kept = kept_batches(partial, asked, (job.input.checkpoint,))
    atoms = atomic_numbers(job.params.atoms)
    model = SYSTEMS[job.params.kind].trained_model(checkpoint, atoms, device())
    drawn = draw_crystals(model, atoms, sampler, kept)
    origin = provenance(asked, job.input, sampler["seed"], started)
    write_extxyz(job.output.structures, crystals_of(drawn))
    save_arrays(job.output.samples, origin, **drawn)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
