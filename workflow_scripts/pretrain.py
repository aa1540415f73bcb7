"""Train the score network of a study from energies and forces, or go on with it where it was interrupted."""

from pathlib import Path

from dig_core.checkpoints import load_checkpoint, save_checkpoint, save_history
from dig_core.files import load_arrays, write_json
from dig_core.runtime import device, provenance, run, start
from dig_core.systems import PRETRAINING, SYSTEMS
from dig_core.training import Material, train_system


def main(job):
    """Write the checkpoint that the training starts from, the history, and what it took."""
    started, names = start(), list(job.params.targets)
    explored = {n: load_arrays(file) for n, file in zip(names, job.input.structures, strict=True)}
    dataset = {f"{n}.{key}": x for n, arrays in explored.items() for key, x in arrays.items()}
    descriptors = {name: load_arrays(file) for name, file in zip(names, job.input.molecules, strict=True)}
    settings = {key: job.params[key] for key in ("kind", "model", "process", "pretraining", "temperature_K")}
    own = {
        key: settings["pretraining"][key]
        for key in ("steps", "batch_size", "learning_rate", "warmup_steps", "seed")
    }
    settings["training"] = {**job.params.training, **own}
    file = job.input.start
    before = load_checkpoint(Path(file), settings["kind"]) if file else None
    material = Material(dataset, descriptors, before, PRETRAINING[settings["kind"]])
    partial = Path(job.params.partial)
    result = train_system(SYSTEMS[settings["kind"]], material, settings, partial, device())
    origin = provenance(settings, job.input, own["seed"], started)
    spent = {
        "seconds_pretrain": result.cpu_seconds
        + sum(float(x.get("cpu_seconds", 0)) for x in explored.values())
    }
    # Maps of energies are there for the structures already, and cost nothing more.
    calls = {"force_calls_pretrain": sum(int(x.get("force_calls", 0)) for x in explored.values())}
    save_history(job.output.history, result.history)
    write_json(job.output.training, spent | calls | {"provenance": origin})
    save_checkpoint(Path(job.output.checkpoint), result.weights, result.description | {"provenance": origin})
    partial.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, snakemake)
