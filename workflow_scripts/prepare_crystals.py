"""Read the crystals of a study and hold whole prototypes out."""

from dig_core.crystals import crystals_of
from dig_core.files import save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write all crystals, and those that train the network."""
    started = start()
    data, column = job.params.data, job.params.column
    crystals = SYSTEMS[job.params.kind].prepared(job.input.files, data, column)
    origin = provenance({"data": data, "column": column}, job.input, data["seed"], started)
    save_arrays(job.output.crystals, origin, **crystals)
    trained = ~crystals["held_out"]
    dataset = vars(crystals_of(crystals).chosen(trained))
    each = {name: crystals[name][trained] for name in ("weights", "property") if name in crystals}
    save_arrays(job.output.dataset, origin, **dataset, **each)


if __name__ == "__main__":
    run(main, snakemake)
