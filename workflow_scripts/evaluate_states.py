"""Compare the samples of a protein with its known structures, beside the first of them with noise."""

from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.settings.protein_evaluation import KnownStates
from dig_core.settings.validation import validated
from dig_core.systems.metrics import cost_metrics
from dig_core.systems.protein_path_evaluation import evaluate_path
from dig_core.systems.protein_states import Compared, evaluate
from dig_core.systems.series import Sources


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figure shows."""
    started = start()
    settings = validated(KnownStates, job.params.evaluation, "evaluation")
    protein, samples = load_arrays(job.input.molecule), load_arrays(job.input.samples)
    compared = evaluate(protein, samples, settings, job.params.is_trained)
    costs = cost_metrics(Sources(protein, samples, {}, {}), read_json(job.input.training), None)
    path = Compared({}, {})
    if job.input.path:
        path = evaluate_path(load_arrays(job.input.path), protein, job.params.transition)
    origin = provenance(
        {"evaluation": job.params.evaluation}, job.input, settings.crystal_noise.seed, started
    )
    save_arrays(job.output.evaluation, origin, **compared.arrays, **path.arrays)
    write_json(job.output.metrics, compared.metrics | costs | path.metrics)


if __name__ == "__main__":
    run(main, snakemake)
