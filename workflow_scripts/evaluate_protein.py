"""Compare the samples of a protein with its held-out replica, the noise floor, and samples that do not know the sequence."""

from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.settings.protein_evaluation import ProteinLandscapes
from dig_core.settings.validation import validated
from dig_core.systems.evaluation_arrays import evaluation_arrays
from dig_core.systems.metrics import cost_metrics
from dig_core.systems.protein_evaluation import evaluate
from dig_core.systems.protein_folding import folding_metrics
from dig_core.systems.series import Sources, of_target
from dig_core.systems.yardstick import Study


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figures show."""
    started, target, temperature_K = start(), job.wildcards.target, job.params.temperature_K
    dataset = load_arrays(job.input.dataset)
    trained = {
        name: (load_arrays(file), of_target(dataset, name))
        for name, file in zip(job.params.trained, job.input.molecules, strict=True)
    }
    frames = trained[target][1] if target in trained else None
    own = load_arrays(job.input.floor) if job.input.floor else frames
    files = (job.input.molecule, job.input.samples, job.input.reference)
    molecule, samples, reference = map(load_arrays, files)
    sources = Sources(
        molecule,
        samples,
        own,
        reference,
        exploration=load_arrays(job.input.exploration) if job.input.exploration else None,
        trained_frames=frames if job.input.floor else None,
    )
    others = {name: arrays for name, arrays in trained.items() if name != target}
    settings = validated(ProteinLandscapes, job.params.evaluation, "evaluation")
    study = Study(settings, temperature_K)
    evaluated = evaluate(sources, others, study)
    metrics = dict(evaluated.metrics)
    if settings.folded:
        runs = [load_arrays(file) for file in job.input.runs]
        metrics |= folding_metrics(sources, evaluated.series, runs, study)
    spent = read_json(job.input.pretraining) if job.input.pretraining else {}
    costs = cost_metrics(sources, spent | read_json(job.input.training), None)
    origin = provenance({"evaluation": job.params.evaluation}, job.input, None, started)
    save_arrays(job.output.evaluation, origin, **evaluation_arrays(sources, study, evaluated))
    write_json(job.output.metrics, metrics | costs)


if __name__ == "__main__":
    run(main, snakemake)
