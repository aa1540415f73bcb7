"""Build a target: its topology with a start structure, and the descriptor arrays; of a protein also all its atoms."""

from dig_core.files import atomic, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems import SYSTEMS


def main(job):
    """Write the topology (PDB) and the molecule (npz)."""
    started = start()
    system = SYSTEMS[job.params.kind]
    topology, molecule = system.build(job.params.target, job.params.data)
    settings = {"target": job.params.target, "data": job.params.data}
    save_arrays(job.output.molecule, provenance(settings, job.input, None, started), **molecule)
    with atomic(job.output.topology) as path:
        path.write_text(system.topology_pdb(topology, molecule["positions_angstrom"]))
    if job.output.get("all_atoms"):
        with atomic(job.output.all_atoms) as path:
            path.write_text(system.topology_pdb(*system.all_atoms(job.params.target, job.params.data)))


if __name__ == "__main__":
    run(main, snakemake)
