"""Brownian motion in the plane of a surface as a field of the diffusion: points that repeat with a two-dimensional lattice.

A field is [batch, atoms, 2], fractional coordinates in [0, 1); noise, scores and the raw output of a network are Cartesian vectors, in the unit of the
lattice, so that the noise is the same in all directions whatever the shape of the cell. The end of the process is uniform over the cell.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Projection, VarianceExploding, identity
from dig_core.diffusion.torus import LONGEST, WrappedNormal

REACH = 5.0  # standard deviations of noise within which images are counted
POINTS = 48  # of the cell along every axis, for averages over it
LEVELS = 65  # of noise at which these are tabulated
SMALLEST = 1e-3  # of the scale of scores: smaller ones are rounding, and nothing is learned from them


@dataclass(frozen=True)
class WrappedPlane(WrappedNormal):
    """dx = g(t) dw modulo the lattice, sigma(t) = sigma_min (sigma_max/sigma_min)^t.

    Args:
        lattice: its two vectors as rows, short ones.
    """

    projection: Projection = identity
    lattice: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))

    def __post_init__(self) -> None:
        VarianceExploding.__post_init__(self)  # sigma is a length, and may be larger than a period

    def _lattice(self, like: Tensor) -> Float[Tensor, "2 2"]:
        return torch.tensor(self.lattice, dtype=torch.float64).to(like)

    @cached_property
    def area(self) -> float:
        """Of the cell."""
        (a, b), (c, d) = self.lattice
        return abs(a * d - b * c)

    @cached_property
    def images(self) -> Float[Tensor, "images 2"]:
        """Lattice translations that any noise up to sigma_max makes count, with those to the neighbouring cells."""
        lattice = torch.tensor(self.lattice, dtype=torch.float64)
        spacing = 1.0 / torch.linalg.inv(lattice).norm(dim=0)  # between lines of the lattice
        reach = (REACH * self.sigma_max / spacing + 1.0).ceil().int().tolist()
        axes = [torch.arange(-k, k + 1, dtype=torch.float64) for k in reach]
        return torch.cartesian_prod(*axes) @ lattice

    def cartesian(self, fractional: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
        """In the unit of the lattice."""
        return fractional @ self._lattice(fractional)

    def shortest(self, vector: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
        """The shortest of all vectors to the same point and its images."""
        lattice = self._lattice(vector)
        fractional = vector @ torch.linalg.inv(lattice)
        near = (fractional - fractional.round()) @ lattice
        step = torch.tensor([-1.0, 0.0, 1.0]).to(vector)
        others = near[..., None, :] + torch.cartesian_prod(step, step) @ lattice
        nearest = others.square().sum(-1).argmin(-1)[..., None, None]
        return others.take_along_dim(nearest, dim=-2)[..., 0, :]

    def kernel_score(
        self, vector: Float[Tensor, "*shape 2"], sigma: Float[Tensor, "*#shape 1"]
    ) -> Float[Tensor, "*shape 2"]:
        """d/dw ln sum_T exp(-|w + T|^2 / (2 sigma^2)) over lattice translations T."""
        apart = self.shortest(vector)[..., None, :] + self.images.to(vector)
        weights = torch.softmax(-0.5 * apart.square().sum(-1) / sigma**2, dim=-1)
        return -(weights[..., None] * apart).sum(-2) / sigma**2

    def kernel_log_density(
        self, vector: Float[Tensor, "*shape 2"], sigma: Float[Tensor, "*#shape 1"]
    ) -> Float[Tensor, "*shape"]:
        """ln sum_T N(w + T; 0, sigma^2) over lattice translations T."""
        apart = self.shortest(vector)[..., None, :] + self.images.to(vector)
        exponents = -0.5 * apart.square().sum(-1) / sigma**2
        return torch.logsumexp(exponents, dim=-1) - (2 * math.pi * sigma[..., 0] ** 2).log()

    @cached_property
    def _points(self) -> Float[Tensor, "points 2"]:
        """Evenly spread over the cell, for averages."""
        axis = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
        return self.cartesian(torch.cartesian_prod(axis, axis))

    @cached_property
    def _tabulated_scale(self) -> Float[Tensor, " levels"]:
        """c = sigma sqrt(E |score|^2 / 2) at levels that are even in ln sigma."""
        levels = self.sigma(torch.linspace(0.0, 1.0, LEVELS, dtype=torch.float64))
        found = []
        for sigma in levels:
            density = self.kernel_log_density(self._points, sigma[None]).exp()
            squares = self.kernel_score(self._points, sigma[None]).square().sum(-1) / 2
            # Narrow kernels fall between the points, and are normal distributions.
            narrow = sigma < 3.0 * math.sqrt(self.area) / POINTS
            mean = (density * squares).mean() / density.mean()
            found.append(torch.ones_like(sigma) if narrow else (sigma * mean.sqrt()).clamp(SMALLEST, 1.0))
        return torch.stack(found)

    def score_scale(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """c(t): 1 for small noise, towards 0 where the kernel is uniform."""
        table = self._tabulated_scale.log().to(time)
        place = time * (LEVELS - 1)
        first = place.floor().long().clamp(0, LEVELS - 2)
        return torch.lerp(table[first], table[first + 1], place - first).exp()

    def prior_mismatch_nats(self, data_second_moment: float, dimension: int) -> float:
        """KL(kernel at the maximal time || uniform) in nats, a bound for any data; `dimension` is two for each atom."""
        sigma = self.sigma(torch.tensor([self.maximal_time], dtype=torch.float64))
        log_ratio = self.kernel_log_density(self._points, sigma) + math.log(self.area)
        return 0.5 * dimension * (log_ratio.exp() * log_ratio).mean().item()

    def prior_log_density(self, y: Float[Tensor, "batch *shape"], dimension: int) -> Float[Tensor, " batch"]:
        """ln of 1/area for each atom."""
        return torch.full_like(y.flatten(start_dim=1)[:, 0], -0.5 * dimension * math.log(self.area))

    def displaced(
        self, x: Float[Tensor, "*shape"], vector: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """The point at the end of a Cartesian vector, in the cell."""
        moved = x + vector @ torch.linalg.inv(self._lattice(vector))
        return torch.remainder(torch.remainder(moved, 1.0), 1.0)  # twice: -1e-9 % 1.0 is 1.0

    def displacement(
        self, x: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """The shortest Cartesian vector from x to a target."""
        return self.shortest(self.cartesian(target - x))

    def within_half(self, vector: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The vector, shorter than half a period along each lattice vector."""
        lattice = self._lattice(vector)
        return (vector @ torch.linalg.inv(lattice)).clamp(-LONGEST, LONGEST) @ lattice
