"""Brownian motion of fractional coordinates as a field of the diffusion: points on a torus of period 1 along every axis.

A field is [batch, atoms, 3] in [0, 1); noise, scores and the raw output of a network are vectors in the same coordinates. x_t = x_0 +
sigma(t) eps modulo 1, a wrapped normal distribution, uniform at the end (Jing et al. 2022, arXiv 2206.01729; Jiao et al. 2023,
arXiv 2309.04475, for crystals). Signal is not scaled, alpha = 1 and tau = sigma. A crystal may be shifted as a whole, and is by the
noise: scores have no mean over the atoms.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import (
    Generators,
    Projection,
    VarianceExploding,
    mean_free,
    over_trailing,
    standard_normal,
    uniform,
)

WINDINGS = 4  # of the shortest way that are counted, to either side
LARGEST_SIGMA = 1.0  # beyond it all numbers of the wrapped normal distribution are those of the uniform one
NARROWEST = 0.02  # sigma below which the score has the size of that of a normal distribution
LONGEST = 0.49  # half a period would be as short the other way round


def wrapped(vector: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The shortest vector to the same point, -1/2 to 1/2 along every axis."""
    return vector - vector.round()


def wrapped_normal_score(
    vector: Float[Tensor, "*shape"], sigma: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """d/dw ln sum_k exp(-(w + k)^2 / (2 sigma^2)), each axis by itself."""
    images = wrapped(vector)[..., None] + torch.arange(-WINDINGS, WINDINGS + 1).to(vector)
    variance = (sigma**2)[..., None]
    weights = torch.softmax(-0.5 * images**2 / variance, dim=-1)
    return -(weights * images / variance).sum(dim=-1)


def wrapped_normal_density(
    vector: Float[Tensor, "*shape"], sigma: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """sum_k N(w + k; 0, sigma^2), each axis by itself; 1 on the whole period for large sigma."""
    images = wrapped(vector)[..., None] + torch.arange(-WINDINGS, WINDINGS + 1).to(vector)
    return torch.exp(-0.5 * (images / sigma[..., None]) ** 2).sum(dim=-1) / (sigma * math.sqrt(2 * math.pi))


def score_scale(sigma: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """c = sigma sqrt(E score^2) of the wrapped normal distribution: 1 for small sigma, 2 sqrt(2) pi sigma exp(-2 pi^2 sigma^2) for large."""
    wide = sigma.double().clamp(min=NARROWEST)[..., None]  # narrower ones do not wrap
    points = torch.linspace(-0.5, 0.5, 257, dtype=torch.float64, device=sigma.device)
    points = points.expand(*sigma.shape, -1)
    squares = wrapped_normal_density(points, wide) * wrapped_normal_score(points, wide) ** 2
    squared = torch.trapezoid(squares, points, dim=-1)
    return (wide[..., 0] * squared.sqrt()).clamp(max=1.0).to(sigma.dtype)


@dataclass(frozen=True)
class WrappedNormal(VarianceExploding):
    """dx = g(t) dw modulo 1, sigma(t) = sigma_min (sigma_max/sigma_min)^t in units of the period."""

    sigma_min: float = 0.005
    sigma_max: float = 0.5
    projection: Projection = mean_free

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_max > LARGEST_SIGMA:
            raise ValueError(
                f"expected sigma_max <= {LARGEST_SIGMA}; got {self.sigma_max}. Fractional coordinates have a period of 1: 0.5 is usual."
            )

    def noise(
        self, like: Float[Tensor, "batch *shape"], generator: Generators
    ) -> Float[Tensor, "batch *shape"]:
        """Standard normal noise, of every atom by itself."""
        return standard_normal(like, generator)

    def prior(
        self, like: Float[Tensor, "batch *shape"], generator: Generators
    ) -> Float[Tensor, "batch *shape"]:
        """Independent uniform points, the start of every sampler."""
        return uniform(like, generator)

    def prior_scale(self) -> float:
        """Standard deviation of a uniform coordinate."""
        return 12.0**-0.5

    def prior_mismatch_nats(self, data_second_moment: float, dimension: int) -> float:
        """KL(wrapped normal || uniform) at the maximal time, in nats: as that of `Process`, a bound for any data."""
        points = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)
        density = wrapped_normal_density(
            points, self.sigma(torch.tensor([self.maximal_time], dtype=torch.float64))
        )
        return dimension * torch.trapezoid(density * density.log(), points).item()

    def prior_log_density(self, y: Float[Tensor, "batch *shape"], dimension: int) -> Float[Tensor, " batch"]:
        """0: the uniform distribution on a cell of volume 1."""
        return torch.zeros_like(y.flatten(start_dim=1)[:, 0])

    def perturb(
        self, clean: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"], noise: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """x_0 + sigma eps modulo 1."""
        return self.displaced(clean, over_trailing(self.sigma(time), clean) * noise)

    def displaced(
        self, x: Float[Tensor, "*shape"], vector: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """x + v modulo 1."""
        return torch.remainder(x + vector, 1.0)

    def displacement(
        self, x: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """The shortest vector from x to a target."""
        return self.shortest(target - x)

    def shortest(self, vector: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The shortest of all vectors that lead to the same point."""
        return wrapped(vector)

    def within_half(self, vector: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The vector, shorter than half a period along every axis."""
        return vector.clamp(-LONGEST, LONGEST)

    def kernel_score(
        self, vector: Float[Tensor, "*shape"], sigma: Float[Tensor, "*#shape"]
    ) -> Float[Tensor, "*shape"]:
        """Of the wrapped normal distribution."""
        return wrapped_normal_score(vector, sigma.expand_as(vector))

    def score_scale(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """c = sigma sqrt(E score^2) of the wrapped normal distribution."""
        return score_scale(self.sigma(time))

    def between(
        self, x: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], share: Float[Tensor, ""]
    ) -> Float[Tensor, "*shape"]:
        """The point on the shortest way from x to a target at which `share` of the way is left."""
        return self.displaced(x, (1.0 - share) * self.displacement(x, target))

    def extrapolated(
        self,
        x: Float[Tensor, "*shape"],
        target: Float[Tensor, "*shape"],
        earlier: Float[Tensor, "*shape"],
        weight: Float[Tensor, ""],
    ) -> Float[Tensor, "*shape"]:
        """`target` carried on by `weight` times its way from `earlier`, as seen from x; shifts of the whole crystal do not count."""
        ahead, before = self.displacement(x, target), self.displacement(x, earlier)
        further = weight * self.projection(self.shortest(ahead - before))
        return self.displaced(x, self.within_half(ahead + further))

    def denoised(
        self, x: Float[Tensor, "*shape"], score: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*shape"]:
        """x_t + sigma^2 score modulo 1: x_0 for a single x_0 and small sigma, x_t itself where nothing is known of x_0."""
        step = over_trailing(self.sigma(time), score) ** 2 * self.projection(score)
        return self.displaced(x, self.within_half(step))

    def score_from_raw(
        self, y: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*shape"]:
        """c(sigma) F/sigma with c of `score_scale`, without its mean over atoms."""
        return over_trailing(self.score_scale(time) / self.sigma(time), raw) * self.projection(raw)

    def residual(
        self, score: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"], noise: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """sigma (score - score of the wrapped normal distribution), without its mean over atoms, of which the score says nothing."""
        sigma = over_trailing(self.sigma(time), noise)
        return sigma * (score - self.projection(self.kernel_score(sigma * noise, sigma)))

    def unit_variance_weight(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """1/c^2: with it the mean square of `residual` is that of F - F_target."""
        return self.score_scale(time) ** -2
