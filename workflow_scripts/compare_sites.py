"""Compare which sites of surfaces come first: by the model, by the potential that made its data, by known energies."""

from dig_core.evaluation.known_sites import compared, counted, known_energies
from dig_core.files import load_arrays, write_json, write_text
from dig_core.runtime import run


def main(job):
    """Write a row for every close-packed surface of a metal that is known, and how many agree."""
    sites = {}
    for target, path in zip(job.params.targets, job.input.evaluations, strict=True):
        arrays = load_arrays(path)
        sites[target] = {name: arrays[f"sites.{name}"] for name in ("types", "energies_eV", "sampled")}
    table = compared(sites, job.params.targets, known_energies(*job.input.known))
    write_text(job.output.table, table.to_csv(index=False, float_format="%.4g"))
    write_json(job.output.metrics, counted(table))


if __name__ == "__main__":
    run(main, snakemake)
