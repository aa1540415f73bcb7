"""What the figures of a study need, as arrays: points, landscapes, representative structures."""

import numpy as np

from dig_core.evaluation.landscape import Landscape
from dig_core.systems.metrics import Evaluated
from dig_core.systems.series import Arrays, Coordinates, Series, Sources
from dig_core.systems.yardstick import Study

REPRESENTATIVES = 3


def evaluation_arrays(sources: Sources, study: Study, evaluated: Evaluated) -> dict[str, np.ndarray]:
    """All arrays of `evaluation.npz`, keys `{series}.{array}`; lengths in Angstrom, angles in radians."""
    backbone = len(sources.molecule["backbone_torsions"]) > 0
    regions = study.regions if backbone else {}
    arrays = {
        "temperature_K": np.array(study.temperature_K),
        "atomic_numbers": sources.molecule["atomic_numbers"],
        "bonds": sources.molecule["bonds"],
        "state_names": np.array(list(regions), dtype=str),
        "state_regions_deg": np.array([[r.phi_deg, r.psi_deg] for r in regions.values()]).reshape(-1, 2, 2),
        **_coordinate_arrays(evaluated.coordinates),
        **_representative_arrays(sources.samples, study, evaluated),
    }
    for name, series in evaluated.series.items():
        arrays |= {f"{name}.{key}": value for key, value in _series_arrays(series).items()}
    for name, landscape in evaluated.landscapes.items():
        arrays |= {"x_edges": landscape.x_edges, "y_edges": landscape.y_edges}
        arrays[f"{name}.probability"] = landscape.probability
    if "energy_p99_kJ_per_mol_reference" in evaluated.metrics:
        arrays["energy_p99_kJ_per_mol"] = np.array(evaluated.metrics["energy_p99_kJ_per_mol_reference"])
    return arrays


def _coordinate_arrays(coordinates: Coordinates) -> dict[str, np.ndarray]:
    slow = coordinates.slow
    return {
        "is_torsion_plane": np.array(coordinates.is_torsion_plane),
        "torsion_atoms": coordinates.torsion_atoms,
        "tica_mean": slow.mean,
        "tica_loadings": slow.loadings,
        "tica_timescales_frames": slow.timescales_frames,
        "tica_lag_frames": np.array(slow.lag_frames),
    }


def _series_arrays(series: Series) -> dict[str, np.ndarray]:
    """Single precision: they are drawn and counted, not added up."""
    arrays = {"plane": series.planes[""].astype(np.float32), "weights": series.weights.astype(np.float32)}
    arrays["torsions_rad"] = series.torsions.astype(np.float32)
    arrays["tica"] = series.planes.get("_tica", series.planes[""]).astype(np.float32)
    if series.energies is not None:
        arrays["potential_energy_kJ_per_mol"] = series.energies
    return arrays


def _representative_arrays(samples: Arrays, study: Study, evaluated: Evaluated) -> dict[str, np.ndarray]:
    """Sampled structures to draw, with their names and their points in the landscape."""
    series = evaluated.series["samples"]
    usable = np.isfinite(series.torsions).all(axis=1) & samples.get(
        "valid", np.ones(len(series.weights), bool)
    )
    chosen = state_medoids(series, study, usable) if evaluated.coordinates.is_torsion_plane else {}
    chosen = chosen or spread_structures(series, evaluated.landscapes["reference"], usable)
    indices = np.array(list(chosen.values()), dtype=int)
    return {
        "representatives.names": np.array(list(chosen), dtype=str),
        "representatives.positions_angstrom": samples["positions_angstrom"][indices],
        "representatives.plane": series.planes[""][indices],
    }


def state_medoids(series: Series, study: Study, usable: np.ndarray) -> dict[str, int]:
    """For each of the first states the structure nearest to the mean of cosines and sines of its torsions.

    That structure is the medoid in chordal distance. A state most of whose structures lie in earlier states is left
    out: it is another name for them.
    """
    features = np.concatenate([np.cos(series.torsions), np.sin(series.torsions)], axis=1)
    taken, chosen = np.zeros(len(usable), dtype=bool), {}
    for name, region in study.regions.items():
        members = np.flatnonzero(usable & region.contains(series.torsions[:, :2]))
        if len(members) and taken[members].mean() < 0.5 and len(chosen) < REPRESENTATIVES:
            away = np.linalg.norm(features[members] - features[members].mean(axis=0), axis=1)
            chosen[name] = int(members[away.argmin()])
            taken[members] = True
    return chosen


def spread_structures(series: Series, reference: Landscape, usable: np.ndarray) -> dict[str, int]:
    """The structure next to the lowest bin, then those farthest from all chosen ones, in low-energy bins."""
    points = series.planes[""]
    column, row = (
        np.clip(np.searchsorted(edges, points[:, axis]) - 1, 0, len(edges) - 2)
        for axis, edges in enumerate((reference.x_edges, reference.y_edges))
    )
    candidates = np.flatnonzero(usable & reference.low_energy_bins()[column, row])
    if len(candidates) == 0:
        return {}
    best = candidates[reference.probability[column, row][candidates].argmax()]
    chosen = [int(best)]
    while len(chosen) < min(REPRESENTATIVES, len(candidates)):
        away = np.linalg.norm(points[candidates][:, None] - points[chosen][None], axis=2).min(axis=1)
        chosen.append(int(candidates[away.argmax()]))
    return {str(number): index for number, index in enumerate(chosen, start=1)}
