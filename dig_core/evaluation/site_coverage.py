"""How well samples cover the sites of a surface; cells and positions as in `surface_cells`."""

import numpy as np
from jaxtyping import Bool, Float, Int

from dig_core.evaluation.surface_cells import Cell, distances, nearest_site, require_some

DESORBED_ABOVE, BURIED_BELOW = 3.5, -0.5  # Angstrom from the uppermost layer


def site_coverage(
    samples: Float[np.ndarray, "samples 3"],
    sites: Float[np.ndarray, "sites 3"],
    cell: Cell,
    per_site: int,
    within_angstrom: float = 0.5,
) -> float:
    """The share of sites that have a sample within a distance, when `per_site` samples per site are drawn.

    The samples are cut into consecutive groups of `per_site * sites`, as many as they fill; those left over
    do not count. The result is the mean over the groups.

    Raises:
        ValueError: too few samples for one group, or no sites; a cell without area.
    """
    return _covered(distances(samples, sites, cell) <= within_angstrom, per_site)


def site_coverage_relaxed(visited: Int[np.ndarray, " samples"], sites: int, per_site: int) -> float:
    """The same share of sites to which a sample relaxes, by the number of the site in whose basin each lies (-1: of none).

    Raises:
        ValueError: too few samples for one group, or no sites.
    """
    return _covered(visited[:, None] == np.arange(sites), per_site)


def _covered(reached: Bool[np.ndarray, "samples sites"], per_site: int) -> float:
    count, sites = reached.shape
    size = per_site * sites
    if not 1 <= size <= count:
        raise ValueError(
            f"expected 1 to {count} samples, as there are, for a group; got {per_site} for each of {sites} sites. "
            "Draw more samples, or ask for fewer per site"
        )
    groups = count // size
    return float(reached[: groups * size].reshape(groups, size, sites).any(axis=1).mean())


def site_precision(
    samples: Float[np.ndarray, "samples 3"],
    sites: Float[np.ndarray, "sites 3"],
    cell: Cell,
    within_angstrom: float = 0.5,
) -> float:
    """The share of samples within a distance of a site. Raises ValueError like `nearest_site`."""
    return float((nearest_site(samples, sites, cell)[1] <= within_angstrom).mean())


def site_rmsd_angstrom(
    samples: Float[np.ndarray, "samples 3"],
    sites: Float[np.ndarray, "sites 3"],
    cell: Cell,
    within_angstrom: float = np.inf,
) -> float:
    """Root mean square distance (Angstrom) to the nearest site, of all samples or of those within a distance.

    NaN where none is within it, and where a sample has NaN. Raises ValueError like `nearest_site`.
    """
    found = nearest_site(samples, sites, cell)[1]
    near = found[~(found > within_angstrom)]  # keeps NaN: a broken sample must show
    return float(np.sqrt((near**2).mean())) if len(near) else float("nan")


def anomalies(
    heights_angstrom: Float[np.ndarray, " samples"],
    top_height_angstrom: float,
    desorbed_above_angstrom: float = DESORBED_ABOVE,
    buried_below_angstrom: float = BURIED_BELOW,
) -> dict[str, float]:
    """`desorbed_fraction`, `buried_fraction`: shares of samples too far above and below the uppermost layer.

    Args:
        heights_angstrom: z of the samples; NaN is neither.
        top_height_angstrom: z of the uppermost layer, from which both limits count.

    Raises:
        ValueError: no samples.
    """
    require_some(len(heights_angstrom), "sample")
    above = heights_angstrom - top_height_angstrom
    return {
        "desorbed_fraction": float((above > desorbed_above_angstrom).mean()),
        "buried_fraction": float((above < buried_below_angstrom).mean()),
    }


def random_placement(
    count: int, cell: Cell, heights_angstrom: tuple[float, float], generator: np.random.Generator
) -> Float[np.ndarray, "count 3"]:
    """Positions (Angstrom) uniform over the cell and between two heights: what any sampler must beat.

    Raises:
        ValueError: the second height is below the first.
    """
    low, high = heights_angstrom
    if not low <= high:
        raise ValueError(f"expected heights (low, high); got ({low}, {high}). Exchange them")
    drawn = generator.random((count, 3))
    return np.column_stack([drawn[:, :2] @ cell, low + (high - low) * drawn[:, 2]])
