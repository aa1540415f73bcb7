"""Whether molecules on a surface are whole, and stand on the right end; cells and positions as in `surface_cells`."""

import numpy as np
from jaxtyping import Bool, Float

from dig_core.evaluation.surface_cells import Cell, require_some, shortest

BROKEN = 1.3  # times as long as at rest
NEAR_ANGSTROM = 0.1


def whole(
    positions: Float[np.ndarray, "samples atoms 3"], cell: Cell
) -> Float[np.ndarray, "samples atoms 3"]:
    """With the nearest images of all atoms to the first."""
    first = positions[:, :1]
    return first + shortest(positions - first, cell)


def standing(
    positions: Float[np.ndarray, "samples atoms 3"],
    bonds_angstrom: Float[np.ndarray, "samples bonds"],
    cell: Cell,
) -> Bool[np.ndarray, " samples"]:
    """Whether each molecule is whole, and its binding atom the lowest; arguments as in `molecule_metrics`."""
    apart = shortest(positions[:, 1:] - positions[:, :1], cell)
    is_whole = np.linalg.norm(apart, axis=-1) <= BROKEN * bonds_angstrom
    return (is_whole & (apart[..., 2] > 0)).all(axis=1)


def molecule_metrics(
    positions: Float[np.ndarray, "samples atoms 3"],
    bonds_angstrom: Float[np.ndarray, "samples bonds"],
    cell: Cell,
) -> dict[str, float]:
    """Of molecules whose first atom binds to the surface, and all others to the first.

    Args:
        bonds_angstrom: how long the bonds are at rest, where each molecule is.

    Returns:
        `right_end_down_fraction` (the binding atom is the lowest), `dissociated_fraction` (a bond 1.3 times as long as at rest),
        `bond_error_median_angstrom`, `bond_error_p95_angstrom` (of a molecule's worst bond) and `bond_within_0.1_angstrom_fraction`.

    Raises:
        ValueError: no samples.
    """
    require_some(len(positions), "sample")
    apart = shortest(positions[:, 1:] - positions[:, :1], cell)
    lengths = np.linalg.norm(apart, axis=-1)
    errors = np.abs(lengths - bonds_angstrom).max(axis=1)
    return {
        "right_end_down_fraction": float((apart[..., 2] > 0).all(axis=1).mean()),
        "dissociated_fraction": float((lengths > BROKEN * bonds_angstrom).any(axis=1).mean()),
        "bond_error_median_angstrom": float(np.median(errors)),
        "bond_error_p95_angstrom": float(np.quantile(errors, 0.95)),
        "bond_within_0.1_angstrom_fraction": float((errors <= NEAR_ANGSTROM).mean()),
    }
