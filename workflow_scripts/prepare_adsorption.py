"""Draw structures of all targets that train the network from their maps of energies."""

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import provenance, run, start
from dig_core.systems.adsorption import prepared


def main(job):
    """Write the structures of every target into one file, keys `{target}.{array}`."""
    started, names = start(), ("structures", "temperature_K", "seed")
    settings = {name: job.params[name] for name in names}
    molecules, energies = (
        dict(zip(job.params.targets, map(load_arrays, files), strict=True))
        for files in (job.input.molecules, job.input.energies)
    )
    dataset = prepared(molecules, energies, settings)
    save_arrays(job.output.dataset, provenance(settings, job.input, settings["seed"], started), **dataset)


if __name__ == "__main__":
    run(main, snakemake)
