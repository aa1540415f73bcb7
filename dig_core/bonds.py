"""Bonds of an adsorbed molecule as vectors from its binding atom, that turn without becoming longer."""

import numpy as np
from jaxtyping import Float

Bonds = Float[np.ndarray, "*count 3"]
STEP = 1e-6  # of numerical derivatives, where lengths are about 1


def turned(bonds: Bonds, moved: Bonds) -> Bonds:
    """Bonds whose ends have moved: what is along a bond lengthens it, what is across turns it.

    The same as their sum to first order; but what moves an atom far to the side would lengthen its bond there.
    """
    lengths = np.linalg.norm(bonds, axis=-1, keepdims=True)
    along = (bonds * moved).sum(axis=-1, keepdims=True) / lengths
    return with_lengths(bonds * (1.0 - along / lengths) + moved, lengths + along)


def forces_of_turning(
    bonds: Float[np.ndarray, "bonds 3"],
    moved: Float[np.ndarray, "bonds 3"],
    forces: Float[np.ndarray, "bonds 3"],
) -> Float[np.ndarray, "bonds 3"]:
    """Forces on the ends as forces on `moved`: -dE(turned(bonds, moved))/d moved, at any distance."""
    steps = STEP * np.eye(3)[:, None]
    slopes = (turned(bonds, moved + steps) - turned(bonds, moved - steps)) / (2 * STEP)
    return np.einsum("kbi,bi->bk", slopes, forces)


def with_lengths(bonds: Bonds, lengths: Float[np.ndarray, "*count 1"]) -> Bonds:
    """Bonds in their directions, as long as that."""
    return bonds * lengths / np.linalg.norm(bonds, axis=-1, keepdims=True)
