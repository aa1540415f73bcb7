"""Compute the energy of the adsorbate over the cell of a surface, or go on with it."""

from pathlib import Path

from dig_core.data.energy_maps import MAP, EnergyMap
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems.adsorption_energies import energy_map
from dig_core.systems.adsorption_model import slab_of


def main(job):
    """Write the map as arrays."""
    started, partial = start(), Path(job.params.partial)
    arrays = load_arrays(job.input.molecule)
    if job.input.bundled:
        found = EnergyMap.of(load_arrays(*job.input.bundled, required=MAP))
    else:
        found = energy_map(slab_of(arrays), arrays["adsorbed_numbers"], job.params.data, partial)
    save_arrays(
        job.output.energies, provenance({"data": job.params.data}, job.input, None, started), **vars(found)
    )
    partial.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, snakemake)
