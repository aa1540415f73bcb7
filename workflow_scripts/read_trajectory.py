"""Read one run of a user's own molecular dynamics of a protein."""

from dig_core.data.protein_trajectories import replica_frames
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start


def main(job):
    """Write N, CA and C of the target's residues in every used frame."""
    started, trajectory = start(), job.params.trajectory
    arrays = replica_frames(list(job.input.frames), trajectory, load_arrays(job.input.molecule))
    origin = provenance({"trajectory": trajectory}, job.input, None, started)
    save_arrays(job.output.frames, origin, **arrays)


if __name__ == "__main__":
    run(main, snakemake)
