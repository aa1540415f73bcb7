"""Crystals whose atoms all have ideal bonds: of carbon the families of diamond (with its polytypes) and of graphite (with its stackings).

Searches for carbon find these again and again; what is counted without them says more about the rest.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from pymatgen.core import Structure

from dig_core.crystals import primitive

IDEAL_DEGREES = {3: 120.0, 4: float(np.degrees(np.arccos(-1 / 3)))}  # between the bonds of so many neighbours
WITHIN_DEGREES = (
    12.0  # other phases of carbon have rings of four, five or seven atoms, and angles below 98 or above 132
)


def ideal_bonds(structures: Sequence[Structure], within_angstrom: float) -> Bool[np.ndarray, " crystals"]:
    """Whether every atom has three bonds at 120 degrees to each other, or four at those of a tetrahedron."""
    return np.array([_ideal(own, within_angstrom) for own in structures], dtype=bool)


def _ideal(crystal: Structure, within_angstrom: float) -> bool:
    if primitive(crystal) is None:  # the images of such a cell would fill the memory
        return False
    first, second, images, lengths = crystal.get_neighbor_list(within_angstrom)
    ends = crystal.frac_coords[second] + images - crystal.frac_coords[first]
    directions = ends @ crystal.lattice.matrix / np.maximum(lengths, 1e-9)[:, None]
    return all(_ideal_atom(directions[first == atom]) for atom in range(len(crystal)))


def _ideal_atom(directions: np.ndarray) -> bool:
    if len(directions) not in IDEAL_DEGREES:
        return False
    cosines = (directions @ directions.T)[np.triu_indices(len(directions), 1)]
    angles = np.degrees(np.arccos(cosines.clip(-1.0, 1.0)))
    return bool(np.abs(angles - IDEAL_DEGREES[len(directions)]).max() < WITHIN_DEGREES)
