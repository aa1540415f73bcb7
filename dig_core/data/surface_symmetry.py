"""Which points of a surface its symmetry makes the same."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from scipy.spatial import cKDTree

from dig_core.data.slabs import cell_in_plane


def symmetry_operations(
    slab: Atoms, tolerance_angstrom: float = 0.01
) -> list[tuple[Int[np.ndarray, "2 2"], Float[np.ndarray, "2"]]]:
    """All symmetries of a slab that keep its top above, as rotation and translation in the plane.

    They map fractional coordinates of the surface cell, x to (rotation @ x + translation) mod 1, and make up a group:
    translations within the cell are among them. Found by spglib (Togo et al., Sci. Technol. Adv. Mater. Meth. 4, 2384822 (2024)).

    Args:
        slab: not necessarily a clean one.
        tolerance_angstrom: how far atoms may be from where a symmetry puts them.

    Raises:
        ValueError: the cell is not upright, see `cell_in_plane`.
    """
    cell_in_plane(slab)
    crystal = Structure(Lattice(slab.cell[:]), slab.numbers, slab.get_scaled_positions())
    operations = SpacegroupAnalyzer(crystal, tolerance_angstrom).get_symmetry_operations()
    return [
        (np.rint(own.rotation_matrix[:2, :2]).astype(int), own.translation_vector[:2] % 1.0)
        for own in operations
        if own.rotation_matrix[2, 2] > 0
    ]


def distinct_points(
    points: Float[np.ndarray, "points 2"],
    operations: Sequence[tuple[Int[np.ndarray, "2 2"], Float[np.ndarray, "2"]]],
    tolerance: float = 2e-3,
) -> tuple[Int[np.ndarray, " orbits"], Int[np.ndarray, " points"]]:
    """Which points are the same for the slab: the first of each orbit, and the number of its orbit for each point.

    Orbits are numbered from 0 by their first points. Where a symmetry leads from a point to none of the others, it joins
    nothing: the grid should have the symmetries of the slab, like one of 12 by 12 points for 2 by 2 surface cells.

    Args:
        points: fractional coordinates of the surface cell.
        operations: a whole group, as from `symmetry_operations`.
        tolerance: how far apart in fractional coordinates two points may be that are the same.
    """
    # Twice: -1e-17 % 1.0 is 1.0.
    within = points % 1.0 % 1.0
    tree = cKDTree(within, boxsize=1.0)
    firsts = np.arange(len(points))
    for rotation, translation in operations:
        images = (within @ rotation.T + translation) % 1.0 % 1.0
        same = tree.query_ball_point(images, tolerance)
        # In a group one operation leads to the first point of the orbit from each of its points.
        firsts = np.minimum(firsts, [min(own, default=len(points)) for own in same])
    # Tolerances are not transitive: a first point has to be in its own orbit.
    while (firsts[firsts] < firsts).any():
        firsts = firsts[firsts]
    return np.unique(firsts, return_inverse=True)
