"""A tight reference: a torsion histogram of molecular dynamics much longer than a study can afford.

It is stored as one histogram per block of time of independent replicas, so that its own error is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from dig_core.evaluation.landscape import Landscape, landscape, torsion_edges
from dig_core.evaluation.statistics import TorsionRegion
from dig_core.files import load_arrays


@dataclass(frozen=True)
class TightReference:
    """Sums of frame weights in cells of the torsion plane, per block of time.

    `edges_deg` [cells + 1] from -180 to 180, the same for phi and psi; `histograms` [blocks, cells, cells] on
    one scale for all blocks; `replica` [blocks] numbers the independent simulation of a block.
    """

    edges_deg: Float[np.ndarray, "edges"]
    histograms: Float[np.ndarray, "blocks cells cells"]
    replica: Int[np.ndarray, "blocks"]
    molecule: str = ""  # descriptor hash
    temperature_K: float = float("nan")

    @property
    def probability(self) -> Float[np.ndarray, "cells cells"]:
        """Share of all weight in each cell."""
        total = self.histograms.sum(axis=0, dtype=np.float64)
        return total / total.sum()

    @property
    def centres_rad(self) -> Float[np.ndarray, "cells_squared 2"]:
        """Centres (phi, psi) of all cells in radians, in the order of `probability.ravel()`."""
        middle = np.radians((self.edges_deg[1:] + self.edges_deg[:-1]) / 2).astype(np.float64)
        phi, psi = np.meshgrid(middle, middle, indexing="ij")
        return np.stack([phi.ravel(), psi.ravel()], axis=1)

    def landscape(self, bins: int, temperature_K: float) -> Landscape:
        """The same distribution on bins x bins; each cell goes whole to the bin that holds its centre.

        Exact where the number of cells is a multiple of the bins.
        """
        return landscape(self.centres_rad, torsion_edges(bins), temperature_K, self.probability.ravel())

    def population(self, region: TorsionRegion) -> float:
        """Share of the weight in cells whose centre lies in the region."""
        return float(self.probability.ravel()[region.contains(self.centres_rad)].sum())

    def population_standard_error(
        self, region: TorsionRegion, generator: np.random.Generator, repeats: int = 1000
    ) -> float:
        """Standard error of `population` by drawing blocks with replacement (ratio of sums); 0 for one block."""
        blocks = len(self.histograms)
        if blocks < 2:
            return 0.0
        flat = self.histograms.reshape(blocks, -1).astype(np.float64)
        inside, total = flat[:, region.contains(self.centres_rad)].sum(axis=1), flat.sum(axis=1)
        draws = generator.integers(blocks, size=(repeats, blocks))
        shares = inside[draws].sum(axis=1) / total[draws].sum(axis=1)
        # The resampled variance is that of the blocks divided by n, not n - 1.
        return float(shares.std(ddof=1) * np.sqrt(blocks / (blocks - 1)))

    def draw(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "count 2"]:
        """Points (phi, psi) in radians: a cell by its share, then uniformly within the cell."""
        cells = generator.choice(self.probability.size, size=count, p=self.probability.ravel())
        columns = np.stack(np.unravel_index(cells, self.probability.shape), axis=1)
        low, high = np.radians(self.edges_deg[columns]), np.radians(self.edges_deg[columns + 1])
        return low + (high - low) * generator.random((count, 2))


def condense(
    torsions: Sequence[Float[np.ndarray, "frames 2"]],
    weights: Sequence[Float[np.ndarray, "frames"]],
    blocks: int = 10,
) -> TightReference:
    """Histograms of replicas (phi, psi in radians; weights summing to 1 in each): `blocks` stretches of time per replica.

    Cells of 1.44 degrees: five of them make one bin of a landscape of 50 x 50.
    """
    edges = np.linspace(-180.0, 180.0, 251)
    histograms, replica = [], []
    for number, (points, own) in enumerate(zip(torsions, weights, strict=True), start=1):
        for part in np.array_split(np.arange(len(points)), blocks):
            phi, psi = np.degrees(points[part]).T
            histograms.append(np.histogram2d(phi, psi, bins=[edges, edges], weights=own[part])[0])
            replica.append(number)
    return TightReference(edges, np.array(histograms), np.array(replica))


def read_tight_reference(path: str | Path) -> TightReference:
    """Read a bundled histogram (.npz with `edges_deg`, `histograms`, `replica`, `molecule`,
    `temperature_K`).

    Raises FileNotFoundError or ValueError in one line for a missing, damaged or inconsistent file.
    """
    arrays = load_arrays(path, required=["edges_deg", "histograms", "replica", "molecule", "temperature_K"])
    edges, histograms = arrays["edges_deg"].astype(np.float64), arrays["histograms"]
    cells = len(edges) - 1
    if histograms.shape[1:] != (cells, cells) or not np.allclose(edges[[0, -1]], [-180.0, 180.0]):
        raise ValueError(
            f"expected histograms on cells from -180 to 180 degrees; got shape {histograms.shape} and "
            f"{len(edges)} edges in {path}. Make the file again."
        )
    origin = str(arrays["molecule"]), float(arrays["temperature_K"])
    return TightReference(edges, histograms.astype(np.float64), arrays["replica"], *origin)


def tight_reference_of(path: str | Path, molecule: str, temperature_K: float) -> TightReference | None:
    """Read a bundled histogram if it is of this molecule (descriptor hash) at this temperature; otherwise say so: None.

    A study copied from another one names its histogram without meaning it.
    """
    reference = read_tight_reference(path)
    if (reference.molecule, reference.temperature_K) == (molecule, temperature_K):
        return reference
    print(
        f"{path} is of another molecule or temperature: left out (write `tight_reference: null`)", flush=True
    )
    return None
