"""Adsorption sites: minima of the energy map over a surface cell, their basins, populations and names.

Cells and positions are as in `surface_cells`. A map has n1 x n2 values at the fractional coordinates (i/n1, j/n2): the lowest energy over height,
and the height at which it is reached.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp

from dig_core.evaluation.surface_cells import (
    STEPS,
    Cell,
    Map,
    distances,
    nearest_site,
    reduced,
    require_some,
    shortest,
)

# Beside the neighbours the knight's moves: in a cell of 60 degrees the way down from a saddle may run between neighbours.
KNIGHTS = [(u, v) for u, v in product((-2, -1, 1, 2), repeat=2) if abs(u) != abs(v)]
DIRECTIONS = np.concatenate([STEPS, KNIGHTS])
FLAT_EV = 1e-9  # a curvature, per squared step of the map, below which it has no bowl


@dataclass(frozen=True)
class Sites:
    """Sites of one surface, lowest first; energies are relative to that."""

    positions_angstrom: Float[np.ndarray, "sites 3"]
    energies_eV: Float[np.ndarray, " sites"]


def minima(
    energies_eV: Map,
    heights_angstrom: Map,
    cell: Cell,
    window_eV: float = 0.5,
    apart_angstrom: float = 0.5,
) -> Sites:
    """Local minima of a periodic map, at most `window_eV` above the lowest one, lowest first.

    A minimum is a grid point that is not higher than its 8 neighbours and those a knight's move away; a plateau is one minimum, and none
    where it has a lower neighbour. Position and energy are those of the quadratic form with the central
    differences of the 3 x 3 points around it; where that has no minimum among them, those of the grid point.
    Heights are interpolated linearly.

    Args:
        apart_angstrom: a minimum nearer than this, in the plane, to a lower site is not a site of its own.

    Raises:
        ValueError: a map with fewer than 4 points along an axis, or with values that are not finite; a cell
            without area.
    """
    _require_map(heights_angstrom)
    places = np.argwhere(_is_bottom(_descent(energies_eV, cell)))
    offsets, energies = _refined(energies_eV.astype(np.float64), places)
    steps = places + offsets
    heights = map_coordinates(heights_angstrom.astype(np.float64), steps.T, order=1, mode="grid-wrap")
    positions = _on_map(steps, energies_eV.shape, cell)
    order = np.argsort(energies, kind="stable")
    order = order[energies[order] <= energies.min() + window_eV]
    kept = order[_first_apart(positions[order], cell, apart_angstrom)]
    positions[:, 2] = heights  # only now: sites are told apart in the plane
    return Sites(positions[kept], energies[kept] - energies.min())


def basins(
    energies_eV: Map, sites: Float[np.ndarray, "sites 3"], cell: Cell, apart_angstrom: float = 0.5
) -> Int[np.ndarray, "n1 n2"]:
    """The number of the site to which steepest descent leads from each point of a map, -1 for elsewhere.

    A step goes to that of the points around to which the energy falls most per Angstrom. The minimum at the
    end belongs to the site that is nearest in the plane, if that is within `apart_angstrom` or a step of the
    map: so what `minima` merged counts for a site. Minima near no site, as those above the window, are
    elsewhere.

    Raises:
        ValueError: no sites; a bad map or cell, as for `minima`.
    """
    ends = _descent(energies_eV, cell)
    bottoms, which = np.unique(ends, return_inverse=True)
    places = np.stack(np.unravel_index(bottoms, ends.shape), axis=-1)
    number, distance = nearest_site(_on_map(places, ends.shape, cell), sites * [1.0, 1.0, 0.0], cell)
    reach = max(apart_angstrom, float(_step_lengths(ends.shape, cell).max()))
    return np.where(distance <= reach, number, -1)[which].reshape(ends.shape)


def populations(
    log_weights: Map, basins: Int[np.ndarray, "n1 n2"], sites: int
) -> Float[np.ndarray, " sites"]:
    """The share of each site: the weights of the points of its basin over those of all points.

    What is missing to 1 is elsewhere (-1 in `basins`).

    Args:
        log_weights: -E/kT, or better -F/kT of a free energy over the plane, or a log density; a constant
            added to all of them does not count.
        sites: how many there are; one without a basin gets 0.

    Raises:
        ValueError: NaN or +infinity among the weights, or no weight at all.
    """
    values = log_weights.astype(np.float64)
    if not values.max() < np.inf or values.max() == -np.inf:  # NaN is not less
        raise ValueError(
            f"expected log weights below infinity, some of them finite; got a maximum of {values.max()}. Check the energies and kT"
        )
    shares = np.exp(values - logsumexp(values))
    return np.bincount(basins.ravel() + 1, weights=shares.ravel(), minlength=sites + 1)[1:]


def visited(
    samples: Float[np.ndarray, "samples 3"], basins: Int[np.ndarray, "n1 n2"], cell: Cell
) -> Int[np.ndarray, " samples"]:
    """The number of the site in whose basin each sample lies, whatever its height; -1 for elsewhere."""
    steps = samples[:, :2] @ np.linalg.inv(cell) * basins.shape
    first, second = np.rint(steps).astype(int).T
    return basins[first % basins.shape[0], second % basins.shape[1]]


def site_type(
    position: Float[np.ndarray, "3"],
    top: Float[np.ndarray, "atoms 3"],
    cell: Cell,
    second: Float[np.ndarray, "below 3"] | None = None,
    tolerance_angstrom: float = 0.25,
) -> str:
    """The name of a site: "top", "bridge", "hollow" for one, two, more nearest atoms of the uppermost layer.

    Nearest are all atoms, and images of atoms, that are farther than the nearest one by at most the
    tolerance, in three dimensions. With a second layer, a hollow of three atoms is "hcp" where an atom of
    that layer lies at most 0.5 Angstrom from it in the plane, "fcc" elsewhere; others stay "hollow".

    Args:
        top, second: positions (Angstrom) of the atoms of the uppermost layer, and of the one below.

    Raises:
        ValueError: no atoms in a layer; a cell without area.
    """
    require_some(len(top), "atom in the uppermost layer")
    to_images = shortest(position - top, cell)[:, None]  # in a small cell one atom is several neighbours
    shifts = np.pad(STEPS @ reduced(cell), ((0, 0), (0, 1)))
    lengths = np.linalg.norm(to_images + shifts, axis=-1)
    count = int((lengths <= lengths.min() + tolerance_angstrom).sum())
    if count != 3 or second is None:
        return {1: "top", 2: "bridge"}.get(count, "hollow")
    flat = np.array([1.0, 1.0, 0.0])
    _, beside = nearest_site((position * flat)[None], second * flat, cell)
    return "hcp" if beside[0] <= 0.5 else "fcc"


def _around(values: np.ndarray, steps: np.ndarray = STEPS) -> np.ndarray:
    """Of each point of a periodic map the values at these steps from it, in front."""
    return np.stack([np.roll(values, (-u, -v), axis=(0, 1)) for u, v in steps])


def _on_map(steps: np.ndarray, shape: tuple[int, ...], cell: Cell) -> Float[np.ndarray, "points 3"]:
    """Positions at z = 0, in the cell, of places that are given in steps of a map."""
    return np.pad(np.mod(steps / shape, 1.0) @ cell, ((0, 0), (0, 1)))


def _step_lengths(shape: tuple[int, ...], cell: Cell, steps: np.ndarray = STEPS) -> Float[np.ndarray, " _"]:
    return np.linalg.norm(steps / shape @ cell, axis=1)


def _descent(energies_eV: Map, cell: Cell) -> Int[np.ndarray, "n1 n2"]:
    """The flat number of the point at which steepest descent from each point ends."""
    _require_map(energies_eV)
    energies = energies_eV.astype(np.float64)
    around, lengths = _around(energies, DIRECTIONS), _step_lengths(energies.shape, cell, DIRECTIONS)
    lengths[len(STEPS) // 2] = 1.0  # the point itself, to which nothing falls
    slopes = (energies - around) / lengths[:, None, None]
    numbers = _around(np.arange(energies.size).reshape(energies.shape), DIRECTIONS)
    steepest = np.take_along_axis(numbers, slopes.argmax(axis=0)[None], axis=0).ravel()
    falls = (slopes.max(axis=0) > 0).ravel()
    target = np.where(falls, steepest, _exits(around == energies, numbers, falls))
    while (target[target] != target).any():
        target = target[target]
    return target.reshape(energies.shape)


def _exits(
    level: Bool[np.ndarray, "directions n1 n2"],
    numbers: Int[np.ndarray, "directions n1 n2"],
    falls: Bool[np.ndarray, " points"],
) -> Int[np.ndarray, " points"]:
    """For each point one of its plateau: one from which the energy falls, if there is one, else the first."""
    own = np.broadcast_to(numbers[len(STEPS) // 2], level.shape)
    edges = (own[level], numbers[level])
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(falls.size, falls.size))
    plateau = connected_components(graph, directed=False)[1]
    order = np.lexsort((~falls, plateau))
    first = np.unique(plateau[order], return_index=True)[1]
    return order[first][plateau]


def _is_bottom(ends: Int[np.ndarray, "n1 n2"]) -> Bool[np.ndarray, "n1 n2"]:
    return ends == np.arange(ends.size).reshape(ends.shape)


def _refined(
    energies: Map, places: Int[np.ndarray, "minima 2"]
) -> tuple[Float[np.ndarray, "minima 2"], Float[np.ndarray, " minima"]]:
    """Steps from grid points to the minima of quadratic forms around them, 0 without one; the energies there.

    The derivatives of a form are the central differences of the 3 x 3 points. A least-squares fit to all 9
    takes cubic terms for tilt: with steps of 0.2 Angstrom it misses shallow minima by five times as much,
    and noise moves both alike.
    """
    around = _around(energies)[:, *places.T].reshape(3, 3, -1)
    here = around[1, 1]
    slope = np.stack([around[2, 1] - around[0, 1], around[1, 2] - around[1, 0]], axis=-1) / 2
    bend = (around[2, 2] - around[2, 0] - around[0, 2] + around[0, 0]) / 4
    along = (around[2, 1] - 2 * here + around[0, 1], bend, bend, around[1, 2] - 2 * here + around[1, 0])
    curvature = np.stack(along, axis=-1).reshape(-1, 2, 2)
    bowl = np.linalg.eigvalsh(curvature)[:, 0] > FLAT_EV
    step = -np.linalg.solve(np.where(bowl[:, None, None], curvature, np.eye(2)), slope[..., None])[..., 0]
    inside = bowl & (np.abs(step) <= 1).all(axis=1)
    step = np.where(inside[:, None], step, 0.0)
    return step, here + (slope * step).sum(axis=1) / 2


def _first_apart(
    positions: Float[np.ndarray, "minima 3"], cell: Cell, apart_angstrom: float
) -> Int[np.ndarray, " kept"]:
    """The numbers of those that have no earlier one, of those kept, nearer than a distance."""
    lengths = distances(positions, positions, cell)
    kept: list[int] = []
    for number, row in enumerate(lengths):
        if not (row[kept] < apart_angstrom).any():
            kept.append(number)
    return np.array(kept, dtype=np.int64)


def _require_map(values: Map) -> None:
    if min(values.shape) < 4:
        raise ValueError(
            f"expected a map of at least 4 points along both axes; got {values.shape}. Use a finer grid"
        )
    if broken := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"expected a finite map; got NaN or infinity at {broken} points. Compute them again, or leave the surface out"
        )
