"""Train on a known density from its energies alone, or go on where it was interrupted, and draw from it."""

from pathlib import Path

from dig_core.checkpoints import save_checkpoint
from dig_core.energies_only import Run, pretrain_and_draw
from dig_core.files import save_arrays
from dig_core.runtime import provenance, run, start


def main(job):
    """Write the samples with what they cost, and the checkpoint."""
    started = start()
    settings = {key: job.params[key] for key in ("target", "process", "pretraining", "sampler")}
    settings |= {"form": job.wildcards.form, "seed": int(job.wildcards.seed)}
    weights, arrays = pretrain_and_draw(Run(**settings), Path(job.params.partial))
    origin = provenance(settings, job.input, settings["seed"], started)
    description = {"kind": "analytic", "settings": settings, "provenance": origin}
    save_checkpoint(Path(job.output.checkpoint), weights, description)
    save_arrays(job.output.samples, origin, **arrays)
    Path(job.params.partial).unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, snakemake)
