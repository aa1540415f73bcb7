"""Where a path between two states runs on a free-energy landscape of two torsions.

The landscape is periodic: bins at opposite borders are neighbours.
"""

import numpy as np
from jaxtyping import Float, Int

from dig_core.evaluation.landscape import Landscape
from dig_core.evaluation.statistics import TorsionRegion

Bin = tuple[int, int]


def lowest_bin(landscape: Landscape, region: TorsionRegion) -> Bin:
    """The most probable bin whose centre lies in the region. Raises ValueError where the region has no probability."""
    inside = region.contains(_centres(landscape)).reshape(landscape.probability.shape)
    share = np.where(inside, landscape.probability, 0.0)
    if not share.any():
        raise ValueError(
            f"expected structures with phi {region.phi_deg} and psi {region.psi_deg} degrees; got none. "
            "Choose another state, or simulate longer"
        )
    column, row = np.unravel_index(share.argmax(), share.shape)
    return int(column), int(row)


def saddle(energy: Float[np.ndarray, "columns rows"], start: Bin, end: Bin) -> float:
    """The lowest value at which two bins are connected on a periodic grid, in the unit of `energy`.

    The smallest, over all paths from bin to neighbouring bin (four of them), of the largest value along the path. The landscape
    is flooded: bins are added from the lowest up, connected ones joined (Kruskal, Proc. Am. Math. Soc. 7, 48, 1956), until the
    ends are joined. Infinite where finite bins do not connect them.
    """
    shape, flat = energy.shape, energy.ravel()
    pools = _Pools(len(flat))
    first, last = (int(np.ravel_multi_index(place, shape)) for place in (start, end))
    for place in np.argsort(flat, kind="stable").tolist():
        if not np.isfinite(flat[place]):
            break
        pools.flood(place, _neighbours(place, shape))
        if pools.joined(first, last):
            return float(flat[place])
    return float("inf")


def barrier(landscape: Landscape, start: TorsionRegion, end: TorsionRegion) -> float:
    """Free energy of the lowest saddle between the lowest bins of two states, in kcal/mol above the lowest bin of all.

    Infinite where filled bins do not connect them. Raises ValueError where a state has no probability.
    """
    ends = (lowest_bin(landscape, region) for region in (start, end))
    return saddle(landscape.free_energy_kcal_per_mol, *ends)


def free_energy_along(
    torsions: Float[np.ndarray, "*path 2"], landscape: Landscape
) -> Float[np.ndarray, "*path"]:
    """Free energy (kcal/mol) of the bins in which points (radians) lie; infinite in empty bins."""
    column, row = np.moveaxis(bins_of(torsions, landscape), -1, 0)
    return landscape.free_energy_kcal_per_mol[column, row]


def bins_of(torsions: Float[np.ndarray, "*path 2"], landscape: Landscape) -> Int[np.ndarray, "*path 2"]:
    """Column and row of the bins in which points (radians, any period) lie."""
    found = []
    for axis, edges in enumerate((landscape.x_edges, landscape.y_edges)):
        within = np.mod(torsions[..., axis] - edges[0], 2 * np.pi) + edges[0]
        found.append(np.clip(np.searchsorted(edges, within, side="right") - 1, 0, len(edges) - 2))
    return np.stack(found, axis=-1)


def frames_by_probability(
    torsions: Float[np.ndarray, "frames 2"],
    weights: Float[np.ndarray, "frames"],
    landscape: Landscape,
    count: int,
) -> Int[np.ndarray, "chosen"]:
    """Frames in the most probable bin of the landscape; those of the next bins too, until there are `count`, or all."""
    columns, rows = bins_of(torsions, landscape).T
    height = landscape.probability[columns, rows] * (weights > 0)
    order = np.argsort(-height, kind="stable")
    last = height[order[min(count, len(order)) - 1]] if len(order) else 0.0
    return np.flatnonzero((height >= last) & (height > 0))


class _Pools:
    """Disjoint sets of flooded places."""

    def __init__(self, size: int):
        self.parent = np.full(size, -1)

    def root(self, place: int) -> int:
        """The place that stands for the pool of a flooded place."""
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]  # halves the way for the next search
            place = int(self.parent[place])
        return place

    def flood(self, place: int, neighbours: list[int]) -> None:
        """Flood a place and join the pools of those neighbours that are flooded already."""
        self.parent[place] = place
        for other in neighbours:
            if self.parent[other] >= 0:
                self.parent[self.root(other)] = self.root(place)

    def joined(self, first: int, second: int) -> bool:
        """Whether both places are flooded, and in one pool."""
        dry = min(self.parent[first], self.parent[second]) < 0
        return not dry and self.root(first) == self.root(second)


def _neighbours(place: int, shape: tuple[int, ...]) -> list[int]:
    columns, rows = shape
    column, row = divmod(place, rows)
    sides = ((column + 1, row), (column - 1, row), (column, row + 1), (column, row - 1))
    return [(i % columns) * rows + j % rows for i, j in sides]


def _centres(landscape: Landscape) -> Float[np.ndarray, "bins 2"]:
    middle = [(edges[1:] + edges[:-1]) / 2 for edges in (landscape.x_edges, landscape.y_edges)]
    return np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, 2)
