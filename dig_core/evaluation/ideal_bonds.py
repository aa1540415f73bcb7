"""Crystals whose atoms all have ideal bonds: of carbon the families of diamond (with its polytypes) and of graphite (with its stackings).

Searches for carbon find these again and again; what is counted without them says more about the rest.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from pymatgen.core import Structure

from dig_core.crystals import primitive

TETRAHEDRAL, TRIGONAL = float(np.degrees(np.arccos(-1 / 3))), 120.0  # degrees between four and three bonds
WITHIN_DEGREES = 7.0  # the next phase of carbon with four neighbours, BC8, has angles of 101.5 degrees
PARALLEL_DEGREES = 15.0  # the planes of all atoms in layers are


def ideal_bonds(structures: Sequence[Structure], within_angstrom: float) -> Bool[np.ndarray, " crystals"]:
    """Whether all atoms have four bonds as in a tetrahedron, or all have three at 120 degrees, in parallel planes.

    Args:
        within_angstrom: neighbours are bonded within this distance.
    """
    return np.array([_ideal(own, within_angstrom) for own in structures], dtype=bool)


def _ideal(crystal: Structure, within_angstrom: float) -> bool:
    if primitive(crystal) is None:  # the images of such a cell would fill the memory
        return False
    first, second, images, lengths = crystal.get_neighbor_list(within_angstrom)
    ends = crystal.frac_coords[second] + images - crystal.frac_coords[first]
    directions = ends @ crystal.lattice.matrix / np.maximum(lengths, 1e-9)[:, None]
    atoms = [directions[first == atom] for atom in range(len(crystal))]
    if all(len(own) == 4 for own in atoms):
        return all(_near(own, TETRAHEDRAL) for own in atoms)
    return all(len(own) == 3 and _near(own, TRIGONAL) for own in atoms) and _parallel(atoms)


def _near(directions: Float[np.ndarray, "bonds 3"], degrees: float) -> bool:
    """Whether unit vectors have this angle to each other."""
    cosines = (directions @ directions.T)[np.triu_indices(len(directions), 1)]
    angles = np.degrees(np.arccos(cosines.clip(-1.0, 1.0)))
    return bool(np.abs(angles - degrees).max() < WITHIN_DEGREES)


def _parallel(atoms: Sequence[Float[np.ndarray, "3 3"]]) -> bool:
    """Whether the planes through the ends of three bonds of each atom are."""
    normals = np.array([np.cross(own[1] - own[0], own[2] - own[0]) for own in atoms])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return bool(np.abs(normals @ normals[0]).min() > np.cos(np.radians(PARALLEL_DEGREES)))
