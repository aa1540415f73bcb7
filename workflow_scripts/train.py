"""Train the score network of a study, or go on with it where it was interrupted."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint, save_checkpoint, save_history
from dig_core.files import load_arrays, write_json
from dig_core.parallel import launched
from dig_core.runtime import device, provenance, run, start
from dig_core.systems import SYSTEMS
from dig_core.systems.kept_frames import with_kept
from dig_core.training import Material, train_system


def main(job):
    """Write the checkpoint, the history and what training took."""
    started, names = start(), list(job.params.targets)
    kept = {name: load_arrays(file) for name, file in zip(names, job.input.kept, strict=False)}
    dataset = with_kept(load_arrays(job.input.dataset), kept)
    descriptors = {name: load_arrays(file) for name, file in zip(names, job.input.molecules, strict=True)}
    settings = {key: job.params[key] for key in ("kind", "model", "process", "training", "temperature_K")}
    file = job.input.pretrained
    pretrained = load_checkpoint(Path(file), settings["kind"]) if file else None
    material, partial = Material(dataset, descriptors, pretrained), Path(job.params.partial)
    arguments = SYSTEMS[settings["kind"]], material, settings, partial, device()
    result = launched(max(1, job.resources.get("gpu", 1)), job.log[0], train_system, *arguments)
    origin = provenance(settings, job.input, settings["training"]["seed"], started)
    save_history(job.output.history, result.history)
    calls = sum(int(dataset.get(f"{name}.force_calls", 0)) for name in names)
    record = {"seconds_train": result.cpu_seconds, "force_calls_train": calls, "provenance": origin}
    write_json(job.output.training, record)
    save_checkpoint(Path(job.output.checkpoint), result.weights, result.description | {"provenance": origin})
    partial.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, snakemake)
