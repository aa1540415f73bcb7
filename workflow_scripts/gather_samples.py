"""Put the samples of a target together that several jobs have drawn."""

from dig_core.data.datasets import write_trajectory
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.sampling import gathered


def main(job):
    """Write the structures of all shards as arrays and as an xtc trajectory."""
    started = start()
    names = ("positions_angstrom", "valid", "seconds_sample")
    shards = [load_arrays(file, required=names) for file in job.input.shards]
    samples = gathered(shards, job.params.sampler["samples"])
    origin = provenance({"sampler": job.params.sampler}, job.input, job.params.sampler["seed"], started)
    write_trajectory(job.output.trajectory, job.input.topology, samples["positions_angstrom"])
    save_arrays(job.output.samples, origin, **samples)


if __name__ == "__main__":
    run(main, snakemake)
