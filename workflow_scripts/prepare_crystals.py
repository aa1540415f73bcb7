"""Read the crystals of a study and hold whole prototypes out."""

from dig_core.crystals import crystals_of
from dig_core.files import save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write all crystals, and those that train the network."""
    started = start()
    crystals = SYSTEMS[job.params.kind].prepared(job.input.files, job.params.data)
    origin = provenance({"data": job.params.data}, job.input, job.params.data["seed"], started)
    save_arrays(job.output.crystals, origin, **crystals)
    trained = ~crystals["held_out"]
    dataset = vars(crystals_of(crystals).chosen(trained))
    save_arrays(job.output.dataset, origin, **dataset, weights=crystals["weights"][trained])


if __name__ == "__main__":
    run(main, snakemake)
