"""Draw structures of a target with several solvers and numbers of steps."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import device, provenance, run, start
from dig_core.sampling import compare
from dig_core.systems import SYSTEMS


def main(job):
    """Write positions, energies and costs of every solver, keys `{solver}_{steps}.{array}`."""
    started = start()
    system, molecule = SYSTEMS[job.params.kind], load_arrays(job.input.molecule)
    checkpoint = load_checkpoint(Path(job.input.checkpoint), job.params.kind)
    model = system.trained_model(checkpoint, molecule, device(), for_drawing=True)
    files = job.params.force_field
    energy = system.energies(job.input.topology, tuple(files), job.params.platform) if files else None
    settings = {"batch_size": job.params.batch_size, "seed": job.params.seed}
    arrays = compare(model, settings, job.params.comparison, energy)
    origin = provenance({"comparison": job.params.comparison}, job.input, job.params.seed, started)
    save_arrays(job.output.comparison, origin, **arrays)


if __name__ == "__main__":
    run(main, snakemake)
