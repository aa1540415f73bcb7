"""Condense long replicas into a torsion histogram that other studies are held against."""

from dig_core.data.features import descriptor_hash
from dig_core.evaluation.tight_reference import condense
from dig_core.evaluation.torsions import torsion_angles
from dig_core.files import load_arrays, load_provenance, save_arrays
from dig_core.runtime import provenance, run, start


def main(job):
    """Write the histograms of all replicas with the provenance of each; data/bundled holds a copy."""
    started = start()
    molecule = load_arrays(job.input.molecule)
    planes = molecule["backbone_torsions"]
    if len(planes) != 1:
        raise ValueError(
            f"expected a molecule with one phi and one psi; got {len(planes)}. Condense two-torsion molecules"
        )
    replicas = [load_arrays(file) for file in job.input.frames]
    angles = [torsion_angles(frames["positions_angstrom"], planes[0]) for frames in replicas]
    histogram = condense(angles, [frames["weights"] for frames in replicas])
    settings = {"data": job.params.data, "temperature_K": job.params.temperature_K}
    origin = provenance(settings, job.input, job.params.data["seed"], started)
    origin["replicas"] = [load_provenance(file) for file in job.input.frames]
    arrays = {name: getattr(histogram, name) for name in ("edges_deg", "replica")}
    arrays |= {"molecule": descriptor_hash(molecule), "temperature_K": job.params.temperature_K}
    save_arrays(job.output.histogram, origin, histograms=histogram.histograms.astype("float32"), **arrays)


if __name__ == "__main__":
    run(main, snakemake)
