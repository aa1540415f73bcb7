"""A molecule as balls and sticks in two dimensions."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes

COLOURS = {1: "#E8E8E8", 6: "#555555", 7: "#0072B2", 8: "#D55E00", 15: "#CC79A7", 16: "#E69F00"}
OTHER = "#009E73"
SIZES_PT2 = {1: 9.0}
HEAVY_SIZE_PT2 = 40.0


def flattened(
    positions: Float[np.ndarray, "atoms 3"], atomic_numbers: Int[np.ndarray, "atoms"]
) -> Float[np.ndarray, "atoms 3"]:
    """Positions (Angstrom) turned so that heavy atoms spread along x, then y, and the last axis is depth.

    Signs are fixed by the order of atoms, so that similar structures are seen from one side; the turn is a proper
    one, which keeps handedness.
    """
    heavy = atomic_numbers > 1 if np.any(atomic_numbers > 1) else np.ones(len(positions), dtype=bool)
    centred = positions - positions[heavy].mean(axis=0)
    axes = np.linalg.svd(centred[heavy], full_matrices=True)[2]
    along, across = axes[0], axes[1]
    body = centred[heavy]
    along = along if (body[-1] - body[0]) @ along >= 0 else -along
    # The atom with the largest distance from the long axis points up.
    across = across if (body @ across)[np.abs(body @ across).argmax()] >= 0 else -across
    return centred @ np.stack([along, across, np.cross(along, across)], axis=1)


def draw_structure(
    axes: Axes,
    positions: Float[np.ndarray, "atoms 3"],
    atomic_numbers: Int[np.ndarray, "atoms"],
    bonds: Int[np.ndarray, "bonds 2"],
) -> None:
    """Draw bonds as lines and atoms as discs coloured by element, the nearer ones over the others."""
    x, y, depth = flattened(positions, atomic_numbers).T
    for i, j in bonds:
        thin = 1 in (atomic_numbers[i], atomic_numbers[j])
        width = 0.8 if thin else 2.0
        order = 10 + (depth[i] + depth[j]) / 2
        axes.plot(x[[i, j]], y[[i, j]], color="0.5" if thin else "0.35", linewidth=width, zorder=order)
    for atom, number in enumerate(atomic_numbers):
        style = {"color": COLOURS.get(int(number), OTHER), "edgecolors": "0.3", "linewidths": 0.4}
        size = SIZES_PT2.get(int(number), HEAVY_SIZE_PT2)
        axes.scatter(x[atom], y[atom], s=size, zorder=10 + depth[atom], **style)
    axes.set_aspect("equal")
    axes.margins(0.12)
    axes.set_axis_off()
