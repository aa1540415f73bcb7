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
    system, atoms = SYSTEMS[job.params.kind], atomic_numbers(job.params.target["atoms"])
    model = system.trained_model(
        load_checkpoint(Path(job.input.checkpoint), job.params.kind), atoms, device()
    )
    asked, guidance = job.params.target["asked"], job.params.guidance
    if job.input.predictor:
        units = system.property_units(job.params.units)
        predict = system.predictor_of(job.input.predictor)
        likelihood = system.predictor_likelihood(model, predict, atoms, asked, units)
        model = system.towards(model, likelihood, guidance)
    elif job.input.property:
        checkpoint = load_checkpoint(Path(job.input.property), job.params.property_kind)
        known = system.trained_property(checkpoint, device())
        likelihood = system.network_likelihood(known, atoms, asked, device())
        model = system.towards(model, likelihood, guidance)
    settings = {name: job.params[name] for name in ("sampler", "target", "guidance", "units")}
    kept = kept_batches(partial, settings, [file for file in job.input if file])
    drawn = draw_crystals(model, atoms, sampler, kept)
    origin = provenance(settings, job.input, sampler["seed"], started)
    write_extxyz(job.output.structures, crystals_of(drawn))
    save_arrays(job.output.samples, origin, **drawn)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
