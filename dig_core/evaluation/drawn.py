"""Numbers that a figure shows, from the arrays of an evaluation."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from dig_core.evaluation.landscape import Landscape
from dig_core.units import thermal_energy_kcal_per_mol

Arrays = Mapping[str, np.ndarray]
PROFILES = ("reference", "training", "tight_reference", "relaxed", "samples")


def reference_grid(arrays: Arrays, wrapped: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of the bins on both axes and the reference's free energy in kcal/mol (infinite in empty bins).

    Wrapped, a torsion plane has one more bin on each side, so that contours reach the border of the period.
    """
    edges = arrays["x_edges"], arrays["y_edges"]
    reference = Landscape(*edges, arrays["reference.probability"], float(arrays["temperature_K"]))
    x, y = ((axis[1:] + axis[:-1]) / 2 for axis in edges)
    energy = reference.free_energy_kcal_per_mol
    if wrapped and arrays["is_torsion_plane"]:
        x, y = (np.concatenate([[a[-1] - 2 * np.pi], a, [a[0] + 2 * np.pi]]) for a in (x, y))
        energy = np.pad(energy, 1, mode="wrap")
    return x, y, energy


def profiles(arrays: Arrays) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Free energy along the first coordinate by series: bin centres and F in kcal/mol, minimum 0, NaN if empty."""
    edges = arrays["x_edges"]
    centres = (edges[1:] + edges[:-1]) / 2
    return {
        series: (centres, _free_energy(share, float(arrays["temperature_K"])))
        for series in PROFILES
        if (share := _marginal(arrays, series)) is not None
    }


def _marginal(arrays: Arrays, series: str) -> np.ndarray | None:
    if f"{series}.plane" in arrays:
        values, weights = arrays[f"{series}.plane"][:, 0], arrays[f"{series}.weights"]
        return np.histogram(values, bins=arrays["x_edges"], weights=weights)[0]
    two_dimensional = arrays.get(f"{series}.probability")
    return None if two_dimensional is None else two_dimensional.sum(axis=1)


def _free_energy(share: np.ndarray, temperature_K: float) -> np.ndarray:
    filled = share > 0
    energy = np.full(len(share), np.nan)
    energy[filled] = -thermal_energy_kcal_per_mol(temperature_K) * np.log(share[filled])
    return energy - energy[filled].min() if filled.any() else energy


def seen_from_the_side(
    positions: Float[np.ndarray, "atoms 3"], atomic_numbers: Int[np.ndarray, "atoms"]
) -> Float[np.ndarray, "atoms 3"]:
    """Positions (Angstrom) turned so that heavy atoms spread along x, then y, and z points to the viewer.

    Signs follow the order of atoms, so that similar structures are seen from one side. The turn is a proper
    one: it keeps handedness.
    """
    heavy = atomic_numbers > 1 if np.any(atomic_numbers > 1) else np.ones(len(positions), dtype=bool)
    centred = positions - positions[heavy].mean(axis=0)
    body = centred[heavy]
    along, across = np.linalg.svd(body, full_matrices=True)[2][:2]
    along = along if (body[-1] - body[0]) @ along >= 0 else -along
    # The atom farthest from the long axis points up.
    across = across if (body @ across)[np.abs(body @ across).argmax()] >= 0 else -across
    return centred @ np.stack([along, across, np.cross(along, across)], axis=1)
