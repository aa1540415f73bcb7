"""Compare the samples of a target with the held-out reference, the noise floor and plain dynamics."""

import json
from pathlib import Path

from dig_core.config import validated
from dig_core.evaluation.tight_reference import tight_reference_of
from dig_core.runtime import load_arrays, provenance, run, save_arrays, start, write_json
from dig_core.settings.evaluation import Evaluation
from dig_core.systems.molecule import descriptor_hash, energies
from dig_core.systems.molecule_density import density_metrics
from dig_core.systems.molecule_evaluation import Study, cost_metrics, evaluate
from dig_core.systems.molecule_figures import evaluation_arrays
from dig_core.systems.molecule_path_evaluation import path_metrics
from dig_core.systems.molecule_series import Sources, of_target, with_energies


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figures show."""
    started, files = start(), job.params.force_field
    molecule, samples, reference = (load_arrays(job.input[n]) for n in ("molecule", "samples", "reference"))
    energy = energies(job.input.topology, tuple(files), job.params.platform) if files else None
    training = of_target(load_arrays(job.input.dataset), job.wildcards.target)
    same = descriptor_hash(molecule), job.params.temperature_K
    sources = Sources(
        molecule,
        *(with_energies(arrays, energy) for arrays in (samples, training, reference)),
        load_arrays(job.input.competitor) if job.input.competitor else None,
        tight_reference_of(*job.input.tight_reference, *same) if job.input.tight_reference else None,
        load_arrays(job.input.relaxed) if job.input.relaxed else None,
        load_arrays(job.input.exploration) if job.input.exploration else None,
    )
    settings = validated(Evaluation, job.params.evaluation, "evaluation")
    study = Study(settings, job.params.temperature_K)
    evaluated = evaluate(sources, study)
    records = [Path(file) for file in (job.input.training, job.input.pretraining) if file]
    training = {k: v for file in records for k, v in json.loads(file.read_text(encoding="utf-8")).items()}
    costs = cost_metrics(sources, training, energy)
    densities = load_arrays(job.input.log_density) if job.input.log_density else None
    costs |= density_metrics(densities, study, evaluated.series, sources.tight_reference)
    paths = path_metrics(load_arrays(job.input.path), evaluated, study) if job.input.path else {}
    origin = provenance({"evaluation": job.params.evaluation}, job.input, None, started)
    save_arrays(job.output.evaluation, origin, **evaluation_arrays(sources, study, evaluated))
    write_json(job.output.metrics, evaluated.metrics | costs | paths)


if __name__ == "__main__":
    run(main, snakemake)
