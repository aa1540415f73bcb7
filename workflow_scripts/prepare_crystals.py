"""Read the crystals of a study and hold whole prototypes out."""

from dig_core.files import save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS
from dig_core.systems.carbon import training_part


def main(job):
    """Write all crystals, and those that train the network."""
    started = start()
    data, column = job.params.data, job.params.column
    table = next(iter(job.input.table), None)
    crystals = SYSTEMS[job.params.kind].prepared(job.input.files, data, column, table)
    origin = provenance({"data": data, "column": column}, job.input, data["seed"], started)
    save_arrays(job.output.crystals, origin, **crystals)
    save_arrays(job.output.dataset, origin, **training_part(crystals))


if __name__ == "__main__":
    run(main, snakemake)
