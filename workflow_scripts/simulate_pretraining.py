"""Find structures for the pre-training of a target, and ask the force field about them."""

import shutil
from pathlib import Path

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import EXPLORATION


def main(job):
    """Write structures, weights, energies and, where they are learned from, forces; the work folder goes then."""
    started, study, partial = start(), job.params.study, Path(job.params.partial)
    molecule = load_arrays(job.input.molecule)
    found = EXPLORATION[job.params.kind](job.input.topology, molecule, study, partial)
    origin = provenance(study, job.input, study["pretraining"]["seed"], started)
    save_arrays(job.output.structures, origin, **found)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
