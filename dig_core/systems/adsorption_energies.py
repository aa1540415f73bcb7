"""The energy of an adatom over the cell of a slab: the best height above every point that symmetry leaves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

from dig_core.data.adsorbates import with_adsorbate
from dig_core.data.energy_maps import EnergyMap
from dig_core.data.slabs import cell_in_plane
from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.energies.adatoms import Adatom
from dig_core.energies.ase import calculator
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import fingerprint, progress, stoppable

GUESS_ANGSTROM = 1.3  # height at which the first search begins
NUMBERS = ("energy_eV", "height_angstrom", "stiffness_eV_per_angstrom2")


def grid(points: int) -> Float[np.ndarray, "points 2"]:
    """Fractional coordinates of so many points along each axis of the surface cell."""
    axis = np.arange(points) / points
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def _done(partial: Path, mark: str) -> list[list[float]]:
    """The points of a run that was stopped; of one with another slab or other settings nothing is used."""
    arrays = load_arrays(partial) if partial.is_file() else {}
    return arrays["found"].tolist() if str(arrays.get("fingerprint")) == mark else []


def _bytes_of(atoms: Atoms) -> list[bytes]:
    return [atoms.numbers.tobytes(), atoms.positions.tobytes(), np.array(atoms.cell).tobytes()]


def energy_map(
    slab: Atoms, atomic_number: Int[np.ndarray, "1"], settings: Mapping[str, Any], partial: Path
) -> EnergyMap:
    """Of one adsorbed atom above a frozen slab, heights above its uppermost atom; energies from the lowest.

    Args:
        settings: `calculator` (a name in energies.ase.CALCULATORS) and `points` along each axis.
        partial: file of the points that are done, from which a run that was asked to end goes on.

    Raises:
        ValueError: above some point the atom is not bound, or falls into the slab.
    """
    cell, points = cell_in_plane(slab), settings["points"]
    first, orbit = distinct_points(grid(points), symmetry_operations(slab))
    places = grid(points)[first] @ cell
    adatom = Adatom(
        with_adsorbate(slab, Atoms(atomic_number, [[0, 0, 0]]), np.zeros(3)),
        calculator(settings["calculator"], {}),
    )
    mark = fingerprint(json.dumps(dict(settings), sort_keys=True), *_bytes_of(adatom.atoms))
    found = _done(partial, mark)

    def save() -> None:
        """Write what is done."""
        save_arrays(partial, {}, found=np.array(found), fingerprint=np.array(mark))

    left = places[len(found) :]
    for place in progress(stoppable(left, save), "points of the surface", len(left)):
        best = adatom.best_height(place, found[-1][1] if found else GUESS_ANGSTROM)
        found.append([getattr(best, name) for name in NUMBERS])
    energies, heights, stiffness = np.array(found)[orbit].T.reshape(3, points, points)
    return EnergyMap(cell, energies - energies.min(), heights, stiffness)
