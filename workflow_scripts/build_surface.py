"""Cut the slab of a target from its crystal and bring it to rest."""

from dig_core.data.crystal_files import write_extxyz
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write the slab and what is adsorbed as arrays, and the slab as extxyz for any other program."""
    started, system = start(), SYSTEMS[job.params.kind]
    known = load_arrays(*job.input.bundled, required=system.SURFACE) if job.input.bundled else None
    arrays = system.surface_part(known) if known else system.build(job.params.target, job.params.data)
    settings = {"target": job.params.target, "data": job.params.data}
    write_extxyz(job.output.slab, [system.slab_of(arrays)])
    save_arrays(job.output.molecule, provenance(settings, job.input, None, started), **arrays)


if __name__ == "__main__":
    run(main, snakemake)
