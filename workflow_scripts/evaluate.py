"""Compare the samples of a target with the held-out reference, the noise floor and plain dynamics."""

from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.settings.evaluation import Evaluation
from dig_core.settings.validation import validated
from dig_core.systems.evaluation_arrays import evaluation_arrays
from dig_core.systems.metrics import cost_metrics
from dig_core.systems.molecule import energies
from dig_core.systems.molecule_density import density_metrics
from dig_core.systems.molecule_evaluation import evaluate
from dig_core.systems.molecule_path_evaluation import path_metrics
from dig_core.systems.series import read_sources
from dig_core.systems.yardstick import Study


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figures show."""
    started, files = start(), job.params.force_field
    energy = energies(job.input.topology, tuple(files), job.params.platform) if files else None
    temperature_K = job.params.temperature_K
    sources = read_sources(dict(job.input.items()), job.wildcards.target, temperature_K, energy)
    study = Study(validated(Evaluation, job.params.evaluation, "evaluation"), temperature_K)
    evaluated = evaluate(sources, study)
    spent = read_json(job.input.pretraining) if job.input.pretraining else {}
    costs = cost_metrics(sources, spent | read_json(job.input.training), energy)
    densities = load_arrays(job.input.log_density) if job.input.log_density else None
    costs |= density_metrics(densities, study, evaluated.series, sources.tight_reference)
    paths = path_metrics(load_arrays(job.input.path), evaluated, study) if job.input.path else {}
    origin = provenance({"evaluation": job.params.evaluation}, job.input, None, started)
    save_arrays(job.output.evaluation, origin, **evaluation_arrays(sources, study, evaluated))
    write_json(job.output.metrics, evaluated.metrics | costs | paths)


if __name__ == "__main__":
    run(main, snakemake)
