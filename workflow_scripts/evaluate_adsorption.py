"""Compare drawn adsorbates with the sites of the energy map."""

from dig_core.files import load_arrays, read_json, save_arrays, write_json
from dig_core.runtime import provenance, run, start
from dig_core.systems.adsorption_evaluation import evaluate
from dig_core.units import thermal_energy_eV


def main(job):
    """Write the metrics (one level, units in the keys) and the arrays that the figure shows."""
    started, settings = start(), job.params.evaluation
    samples, arrays, energies = map(load_arrays, (job.input.samples, job.input.molecule, job.input.energies))
    density = load_arrays(job.input.density) if job.input.density else None
    own = settings | {"kT_eV": thermal_energy_eV(job.params.temperature_K)}
    metrics, shown = evaluate(samples, arrays, energies, own, density)
    metrics["seconds_train"] = read_json(job.input.training)["seconds_train"]
    if job.input.pretraining:
        metrics["seconds_pretrain"] = read_json(job.input.pretraining)["seconds_pretrain"]
    metrics["seconds_sample"] = float(samples["seconds_sample"])
    origin = provenance({"evaluation": settings}, job.input, settings["seed"], started)
    save_arrays(job.output.evaluation, origin, **shown)
    write_json(job.output.metrics, metrics)


if __name__ == "__main__":
    run(main, snakemake)
