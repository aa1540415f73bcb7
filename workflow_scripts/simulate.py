"""Run one replica of molecular dynamics, or go on with it where it was interrupted."""

import shutil
from pathlib import Path

from dig_core.data.datasets import write_trajectory
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write all frames as arrays and as an xtc trajectory; the work folder goes when both are whole."""
    started = start()
    molecule = load_arrays(job.input.molecule)
    partial = Path(job.params.partial)
    system, data = SYSTEMS[job.params.kind], job.params.data
    frames = system.run_dynamics(job.input.topology, molecule, data, job.params.temperature_K, partial)
    settings = {"data": data, "temperature_K": job.params.temperature_K}
    origin = provenance(settings, job.input, data["seed"], started)
    write_trajectory(
        job.output.trajectory, job.input.topology, frames["positions_angstrom"], frames["time_ps"]
    )
    save_arrays(job.output.frames, origin, **frames)
    shutil.rmtree(partial)


if __name__ == "__main__":
    run(main, snakemake)
