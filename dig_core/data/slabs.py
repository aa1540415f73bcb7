"""The layers of a slab, and its cell."""

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

LAYER_TOLERANCE_ANGSTROM = 0.6  # heights closer than that are of one layer


def layers_of(
    atoms: Atoms, tolerance_angstrom: float = LAYER_TOLERANCE_ANGSTROM
) -> Int[np.ndarray, " atoms"]:
    """The layer of each atom from the top, 1 for the uppermost: a new one begins where heights (z) leave a larger gap.

    Raises:
        ValueError: no atoms, or one layer is twice the tolerance high or more: it may be several.
    """
    heights = atoms.positions[:, 2]
    if not len(heights):
        raise ValueError("expected at least one atom; got none. Add the atoms of the slab")
    order = np.argsort(-heights, kind="stable")
    layers = np.empty(len(heights), dtype=int)
    layers[order] = 1 + np.cumsum(np.diff(-heights[order], prepend=-heights[order[0]]) > tolerance_angstrom)
    highest = max(np.ptp(heights[layers == layer]) for layer in np.unique(layers))
    if not highest < 2 * tolerance_angstrom:
        raise ValueError(
            f"expected layers with more than {tolerance_angstrom:g} Angstrom between them; got one of {highest:.2f} Angstrom in height. Choose a flatter surface or a smaller tolerance"
        )
    return layers


def cell_in_plane(atoms: Atoms) -> Float[np.ndarray, "2 2"]:
    """The two lattice vectors of the surface in Angstrom, as rows.

    Raises:
        ValueError: they span no area, have components along z, or the third vector is not along z.
    """
    cell = np.array(atoms.cell)
    if not (np.isfinite(cell).all() and np.linalg.matrix_rank(cell) == 3):
        raise ValueError(
            f"expected a cell of three lattice vectors; got {cell.round(3).tolist()}. Write the cell of the slab"
        )
    if not (np.abs([*cell[:2, 2], *cell[2, :2]]) < 1e-4).all() or cell[2, 2] < 0:
        raise ValueError(
            f"expected two lattice vectors in the plane of x and y and the third along z; got {cell.round(3).tolist()}. Turn the slab"
        )
    return cell[:2, :2]


def with_short_vectors(atoms: Atoms) -> Atoms:
    """The same atoms with the shortest lattice vectors in the plane, right-handed; changed in place."""
    # Lagrange's and Gauss' reduction in the plane. Vectors that are short already stay, at 60 or 120 degrees.
    first, second = atoms.cell[0].copy(), atoms.cell[1].copy()
    if np.linalg.norm(second) < (1 - 1e-6) * np.linalg.norm(first):
        first, second = second, first
    while times := round((1 - 1e-6) * (first @ second) / (first @ first)):
        second = second - times * first
        if np.linalg.norm(second) < (1 - 1e-6) * np.linalg.norm(first):
            first, second = second, first
    if np.cross(first, second)[2] < 0:
        second = -second
    atoms.cell[:2] = first, second
    return atoms
