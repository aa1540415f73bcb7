"""Energies with a known truth, to test samplers, densities and training by energies against.

All have the signature of `OpenMMEnergy`: energy(positions [batch, ...]) -> energies [batch], forces like the positions.
They are in reduced units: energies in kT, so that the equilibrium density is exp(-energy) / Z, lengths without unit.
Forces are closed forms; everything is double precision and vectorised over the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, softmax

from dig_core.energies.calls import counted_positions

Positions = Float[np.ndarray, "batch *shape"]
EnergiesAndForces = tuple[Float[np.ndarray, " batch"], Float[np.ndarray, "batch *shape"]]
Distances = Float[np.ndarray, "batch pairs"]

# Müller and Brown, "Location of saddle points and minimum energy paths by a constrained simplex optimization
# procedure", Theoretica Chimica Acta 53, 75 (1979), note 7. A column for each of the four terms.
MUELLER_BROWN = {
    "height": np.array([-200.0, -100.0, -170.0, 15.0]),
    "xx": np.array([-1.0, -1.0, -6.5, 0.7]),
    "xy": np.array([0.0, 0.0, 11.0, 0.6]),
    "yy": np.array([-10.0, -10.0, -6.5, 0.7]),
    "x": np.array([1.0, 0.0, -0.5, -1.0]),
    "y": np.array([0.0, 0.5, 1.5, 1.0]),
}


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """-log p of a mixture of isotropic Gaussians, p = sum_k weights_k N(means_k, standard_deviations_k^2 I).

    The normalisation is part of the energy: Z = 1.

    Raises:
        ValueError: weights that are not positive with sum 1, another number of means than of weights, or standard
            deviations that are not positive.
    """

    weights: Float[np.ndarray, " modes"]
    means: Float[np.ndarray, "modes space"]
    standard_deviations: Float[np.ndarray, " modes"] | float = 1.0
    calls: int = field(default=0, init=False)

    log_z: ClassVar[float] = 0.0

    def __post_init__(self):
        if not ((self.weights > 0).all() and np.isclose(self.weights.sum(), 1.0, rtol=0.0, atol=1e-9)):
            raise ValueError(
                f"expected positive weights with sum 1; got {self.weights}. Divide them by their sum"
            )
        if len(self.means) != len(self.weights):
            raise ValueError(
                f"expected one mean per weight; got {len(self.means)} means and {len(self.weights)} weights. Correct one"
            )
        if np.shape(self.standard_deviations) not in {(), self.weights.shape}:
            raise ValueError(
                "expected one standard deviation, or one per weight; "
                f"got shape {np.shape(self.standard_deviations)}. Give a number, or as many as weights"
            )
        if not np.all(np.asarray(self.standard_deviations) > 0):
            raise ValueError(
                f"expected positive standard deviations; got {self.standard_deviations}. Correct them"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one structure: [space]."""
        return self.means.shape[1:]

    def __call__(self, positions: Positions) -> EnergiesAndForces:
        """-log p and grad log p of positions [batch, space]."""
        shifts = self.means - counted_positions(self, positions)[:, None]  # batch, modes, space
        variances = np.broadcast_to(np.square(self.standard_deviations), self.weights.shape)
        normalisation = np.log(self.weights) - 0.5 * self.shape[0] * np.log(2 * np.pi * variances)
        exponents = normalisation - 0.5 * (shifts**2).sum(axis=-1) / variances
        pulls = softmax(exponents, axis=1) / variances
        return -logsumexp(exponents, axis=1), np.einsum("bk,bks->bs", pulls, shifts)

    def draw(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "count space"]:
        """Independent samples, [count, space]; not counted as calls."""
        modes = generator.choice(len(self.weights), size=count, p=self.weights)
        deviations = np.broadcast_to(self.standard_deviations, self.weights.shape)[modes]
        return self.means[modes] + deviations[:, None] * generator.standard_normal((count, *self.shape))


@dataclass(frozen=True, eq=False)
class MuellerBrown:
    """The surface of Müller and Brown (1979) in two dimensions, divided by `scale` (its kT).

    Unscaled it has the minima -146.70 at (-0.558, 1.442), -108.17 at (0.623, 0.028) and -80.77 at (-0.050, 0.467) and
    saddle points -40.66 at (-0.822, 0.624) and -72.25 at (0.212, 0.293). The last term grows as exp(0.7 r^2): far
    outside energies are infinite.
    """

    scale: float = 1.0
    calls: int = field(default=0, init=False)

    shape: ClassVar[tuple[int, ...]] = (2,)

    def __call__(self, positions: Positions) -> EnergiesAndForces:
        """Energies and forces of positions [batch, 2]."""
        of = MUELLER_BROWN
        x, y = counted_positions(self, positions).T[:, :, None]
        x, y = x - of["x"], y - of["y"]  # batch, terms
        terms = of["height"] / self.scale * np.exp(of["xx"] * x**2 + of["xy"] * x * y + of["yy"] * y**2)
        along_x = terms * (2 * of["xx"] * x + of["xy"] * y)
        along_y = terms * (of["xy"] * x + 2 * of["yy"] * y)
        return terms.sum(axis=1), -np.stack([along_x.sum(axis=1), along_y.sum(axis=1)], axis=1)


@dataclass(frozen=True, eq=False)
class DoubleWell:
    """Particles whose pairs each have two good distances: sum over i < j of a s + b s^2 + c s^4, s = d_ij - offset.

    The sum is divided by `temperature`. The defaults are DW4 of Köhler, Klein and Noé, "Equivariant flows: exact
    likelihood generative learning for symmetric densities", ICML 2020, arXiv 2006.02425: 4 particles in 2
    dimensions, (a, b, c) = (0, -4, 0.9), offset 4, temperature 1. Their sum runs over (i, j) and (j, i) with a
    factor 1/2, which is the sum here. With a = 0 a pair has its minima -b^2 / 4c at s = +-sqrt(-b / 2c).
    Two particles in one place have no force (nan).
    """

    particles: int = 4
    space: int = 2
    coefficients: tuple[float, float, float] = (0.0, -4.0, 0.9)
    offset: float = 4.0
    temperature: float = 1.0
    calls: int = field(default=0, init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one structure: [particles, space]."""
        return (self.particles, self.space)

    def __call__(self, positions: Positions) -> EnergiesAndForces:
        """Energies and forces of positions [batch, particles, space]."""
        energies, forces = _sum_over_pairs(counted_positions(self, positions), self._pair)
        return energies / self.temperature, forces / self.temperature

    def _pair(self, distances: Distances) -> tuple[Distances, Distances]:
        a, b, c = self.coefficients
        stretch = distances - self.offset
        return a * stretch + b * stretch**2 + c * stretch**4, a + 2 * b * stretch + 4 * c * stretch**3


@dataclass(frozen=True, eq=False)
class LennardJones:
    """A Lennard-Jones cluster, tethered to its own centre so that no particle evaporates.

    (sum over i < j of well_depth ((r / d_ij)^12 - 2 (r / d_ij)^6) + tether / 2 sum_i |x_i - centre|^2) / temperature,
    r = minimum_distance. The cluster as a whole moves freely.

    The defaults are LJ13 of Köhler, Klein and Noé (see `DoubleWell`) with all parameters 1, as in bgflow, the code of
    their group. Their sum runs over (i, j) and (j, i) with a factor 1/2, which is the sum here. Some codes leave that
    factor out (by default DEM of Akhound-Sadegh et al., ICML 2024), which is well_depth = 2 here.
    A pair is the usual 4 well_depth ((s / d)^12 - (s / d)^6) with r = 2^(1/6) s. Without the tether the global minimum
    of 13 particles is therefore the icosahedron, -44.326801 well_depth (Wales and Doye, Journal of Physical Chemistry
    A 101, 5111 (1997)). Two particles in one place have infinite energy and no force (nan).
    """

    particles: int = 13
    well_depth: float = 1.0
    minimum_distance: float = 1.0
    tether: float = 1.0
    temperature: float = 1.0
    calls: int = field(default=0, init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one structure: [particles, 3]."""
        return (self.particles, 3)

    def __call__(self, positions: Positions) -> EnergiesAndForces:
        """Energies and forces of positions [batch, particles, 3]."""
        positions = counted_positions(self, positions)
        energies, forces = _sum_over_pairs(positions, self._pair)
        from_centre = positions - positions.mean(axis=1, keepdims=True)
        energies = energies + 0.5 * self.tether * (from_centre**2).sum(axis=(1, 2))
        return energies / self.temperature, (forces - self.tether * from_centre) / self.temperature

    def _pair(self, distances: Distances) -> tuple[Distances, Distances]:
        power = (self.minimum_distance / distances) ** 6
        # As products, so that a clash is infinite and not inf - inf.
        slopes = -12 * self.well_depth * power * (power - 1) / distances
        return self.well_depth * power * (power - 2), slopes


def _sum_over_pairs(
    positions: Float[np.ndarray, "batch particles space"],
    pair: Callable[[Distances], tuple[Distances, Distances]],
) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, "batch particles space"]]:
    """Energies and forces of a function of distances that returns the energy of each pair and its derivative."""
    first, second = np.triu_indices(positions.shape[1], k=1)
    # One row per pair, +1 and -1 at its particles: it takes positions to separations, its transpose pulls to forces.
    identity = np.eye(positions.shape[1])
    differences = identity[first] - identity[second]
    separations = differences @ positions
    distances = np.linalg.norm(separations, axis=-1)
    energies, slopes = pair(distances)
    return energies.sum(axis=1), -differences.T @ (separations * (slopes / distances)[..., None])
