"""The energy of an adsorbate over the cell of a slab: at rest with its binding atom over every point that symmetry leaves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int
from scipy.linalg import block_diag

from dig_core.bonds import with_lengths
from dig_core.data.energy_maps import EnergyMap
from dig_core.data.slabs import cell_in_plane
from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.energies.adsorbates import SOFTEST, STRETCH, Adsorbate, AtRest
from dig_core.energies.ase import calculator
from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import fingerprint, progress, stoppable

Operation = tuple[Int[np.ndarray, "2 2"], Float[np.ndarray, "2"]]
SAME = 2e-3  # of a lattice vector: points nearer than that are one


def grid(points: int) -> Float[np.ndarray, "points 2"]:
    """Fractional coordinates of so many points along each axis of the surface cell."""
    axis = np.arange(points) / points
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def _done(partial: Path, mark: str) -> list[AtRest]:
    """The points of a run that was stopped; of one with another slab or other settings nothing is used."""
    arrays = load_arrays(partial) if partial.is_file() else {}
    if str(arrays.get("fingerprint")) != mark:
        return []
    return [AtRest(*own) for own in zip(*(arrays[name] for name in AtRest._fields), strict=True)]


def _bytes_of(atoms: Atoms) -> list[bytes]:
    return [atoms.numbers.tobytes(), atoms.positions.tobytes(), np.array(atoms.cell).tobytes()]


def energy_map(
    slab: Atoms, numbers: Int[np.ndarray, " atoms"], settings: Mapping[str, Any], partial: Path
) -> EnergyMap:
    """Of an adsorbate of these atomic numbers above a frozen slab, heights above its uppermost atom; energies from the lowest.

    Args:
        settings: `calculator` (a name in energies.ase.CALCULATORS) and `points` along each axis.
        partial: file of the points that are done, from which a run that was asked to end goes on.

    Raises:
        ValueError: over some point the adsorbate is not bound, or falls into the slab.
    """
    cell, points, operations = cell_in_plane(slab), grid(settings["points"]), symmetry_operations(slab)
    distinct = points[distinct_points(points, operations, SAME)[0]]
    adsorbate = Adsorbate(slab, numbers, calculator(settings["calculator"], {}))
    method = dict(settings) | {"stretch": STRETCH, "softest": SOFTEST}
    mark = fingerprint(json.dumps(method, sort_keys=True), numbers.tobytes(), *_bytes_of(slab))
    found = _done(partial, mark)

    def save() -> None:
        """Write what is done."""
        save_arrays(partial, {}, **_joined(found)._asdict(), fingerprint=np.array(mark))

    left = distinct[len(found) :] @ cell
    for place in progress(stoppable(left, save), "points of the surface", len(left)):
        found.append(adsorbate.at_rest(place))
    return over_cell(_joined(found), distinct, operations, cell, settings["points"])


def _joined(found: Sequence[AtRest]) -> AtRest:
    return AtRest(*(np.array(own) for own in zip(*found, strict=True)))


def over_cell(
    found: AtRest,
    places: Float[np.ndarray, "distinct 2"],
    operations: Sequence[Operation],
    cell: Float[np.ndarray, "2 2"],
    points: int,
) -> EnergyMap:
    """What was found at some points, turned to all that symmetry leads to; where several operations lead to a point, their mean.

    So the map has the symmetry of the slab even where an adsorbate, at rest, leans to one of two sides that are alike.
    """
    free = found.rest_angstrom.shape[1]
    counts, energies = np.zeros(points**2), np.zeros(points**2)
    rest, stiffness = np.zeros((points**2, free)), np.zeros((points**2, free, free))
    lengths = np.linalg.norm(found.rest_angstrom[:, 1:].reshape(len(places), -1, 3), axis=-1)
    bonds = np.zeros((points**2, free // 3))
    for rotation, translation in operations:
        steps = (places @ rotation.T + translation) * points
        on_grid = (np.abs(steps - np.rint(steps)) < SAME * points).all(axis=1)
        first, second = np.rint(steps[on_grid]).astype(int).T % points
        numbers, turn = first * points + second, _turn(rotation, cell, free)
        np.add.at(counts, numbers, 1.0)
        np.add.at(energies, numbers, found.energy_eV[on_grid])
        np.add.at(rest, numbers, found.rest_angstrom[on_grid] @ turn)
        np.add.at(bonds, numbers, lengths[on_grid])
        np.add.at(stiffness, numbers, turn.T @ found.stiffness_eV_per_angstrom2[on_grid] @ turn)
    shape = (points, points)
    energies = (energies / counts).reshape(shape)
    return EnergyMap(
        cell,
        energies - energies.min(),
        _as_long(rest / counts[:, None], bonds / counts[:, None]).reshape(*shape, free),
        (stiffness / counts[:, None, None]).reshape(*shape, free, free),
    )


def _as_long(
    rest: Float[np.ndarray, "points free"], lengths: Float[np.ndarray, "points bonds"]
) -> Float[np.ndarray, "points free"]:
    """With bonds of these lengths, as means of bonds that lean to different sides are shorter."""
    ends = with_lengths(rest[:, 1:].reshape(len(rest), -1, 3), lengths[..., None])
    return np.concatenate([rest[:, :1], ends.reshape(len(rest), -1)], axis=1)


def _turn(
    rotation: Int[np.ndarray, "2 2"], cell: Float[np.ndarray, "2 2"], free: int
) -> Float[np.ndarray, "free free"]:
    """A symmetry of the slab for the free coordinates as a row: heights stay."""
    plane = np.linalg.inv(cell) @ rotation.T @ cell
    return block_diag(1.0, *[block_diag(plane, 1.0)] * (free // 3))
