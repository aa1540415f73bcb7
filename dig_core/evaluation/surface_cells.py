"""Distances over the cell of a surface, which repeats in the plane.

A surface cell has the two in-plane lattice vectors as rows, in Angstrom; z is perpendicular to them. Positions are Cartesian, in Angstrom,
periodic in x and y, not in z.
"""

from itertools import product

import numpy as np
from jaxtyping import Float, Int

Cell = Float[np.ndarray, "2 2"]

Map = Float[np.ndarray, "n1 n2"]

STEPS = np.array(
    list(product((-1, 0, 1), repeat=2))
)  # to the 8 neighbours on a map or a lattice, and to itself


def shortest(vectors: Float[np.ndarray, "*points 3"], cell: Cell) -> Float[np.ndarray, "*points 3"]:
    """The shortest periodic image of each vector (Angstrom), exact for cells however skewed; z stays.

    Raises:
        ValueError: the cell has no area.
    """
    basis = reduced(cell)
    plane = vectors[..., :2] - np.round(vectors[..., :2] @ np.linalg.inv(basis)) @ basis
    best = plane
    for shift in STEPS @ basis:  # farther images are longer, as the basis is reduced
        image = plane + shift
        nearer = (image**2).sum(axis=-1) < (best**2).sum(axis=-1)
        best = np.where(nearer[..., None], image, best)
    return np.concatenate([best, vectors[..., 2:]], axis=-1)


def distances(
    points: Float[np.ndarray, "points 3"], others: Float[np.ndarray, "others 3"], cell: Cell
) -> Float[np.ndarray, "points others"]:
    """Distance (Angstrom) of every point to the nearest image of every other one.

    Raises:
        ValueError: the cell has no area.
    """
    return np.linalg.norm(shortest(points[:, None] - others, cell), axis=-1)


def nearest_site(
    samples: Float[np.ndarray, "samples 3"], sites: Float[np.ndarray, "sites 3"], cell: Cell
) -> tuple[Int[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """The number of the site nearest to each sample, and the distance to it (Angstrom, in three dimensions).

    The distance of a sample with NaN is NaN.

    Raises:
        ValueError: no samples or no sites; a cell without area.
    """
    require_some(len(samples), "sample")
    require_some(len(sites), "site")
    lengths = distances(samples, sites, cell)
    return lengths.argmin(axis=1), lengths.min(axis=1)


def require_some(count: int, what: str) -> None:
    """Raise ValueError where there are none."""
    if count < 1:
        raise ValueError(f"expected at least one {what}; got none. Check the step that should have made them")


def reduced(cell: Cell) -> Cell:
    """The shortest basis of the lattice (Lagrange and Gauss): Euclid's algorithm for vectors."""
    short, long = cell.astype(np.float64)
    if not abs(short[0] * long[1] - short[1] * long[0]) > 1e-6:  # NaN is not more
        raise ValueError(
            f"expected two in-plane lattice vectors that span an area; got {cell.tolist()}. Give those of the slab"
        )
    while True:
        long = long - np.round(short @ long / (short @ short)) * short
        if long @ long >= short @ short:
            return np.stack([short, long])
        short, long = long, short
