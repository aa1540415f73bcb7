"""Relax the samples of a target by short dynamics with the true forces."""

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems.molecule_relaxation import relax_samples


def main(job):
    """Write the structures with energies, the verdict of the filter, and which of them kept their positions."""
    started, settings = start(), job.params.relaxation
    molecule, samples = load_arrays(job.input.molecule), load_arrays(job.input.samples)
    relaxed = relax_samples(job.input.topology, molecule, samples, settings)
    origin = provenance({"relaxation": settings}, job.input, settings["seed"], started)
    save_arrays(job.output.relaxed, origin, **relaxed)


if __name__ == "__main__":
    run(main, snakemake)
