"""Give all crystals of a study the label of their prototype."""

from dig_core.energies.labels import labels_of_crystals
from dig_core.files import load_arrays, read_json, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems.carbon import tell_usual_values, training_part


def main(job):
    """Write all crystals with their labels, and those that train the network."""
    started, crystals = start(), load_arrays(job.input.crystals)
    values = labels_of_crystals(crystals["prototypes"], [read_json(file) for file in job.input.labels])
    tell_usual_values(job.params.column, values)
    labelled = {name: own for name, own in crystals.items() if name != "provenance"} | {"property": values}
    origin = provenance({"labels": job.params.settings}, job.input, None, started)
    save_arrays(job.output.crystals, origin, **labelled)
    save_arrays(job.output.dataset, origin, **training_part(labelled))


if __name__ == "__main__":
    run(main, snakemake)
