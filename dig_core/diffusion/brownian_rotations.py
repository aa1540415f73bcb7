"""Brownian motion of rotations as a field of the diffusion, beside positions: the orientations of rigid bodies such as residues.

A field is [batch, bodies, 3, 3]; noise, scores and the raw output of a network are vectors in the frame of each body [batch, bodies,
3], in radians and per radian. All conventions are those of `dig_core.rotations`: R_t = R_0 Exp(w), w ~ IGSO(3) with sigma(t) of Brownian
motion, densities relative to the Haar measure. Signal is not scaled, alpha = 1 and tau = sigma, so the flow goes from R_t to R_s = R_t
Exp((sigma_t^2 - sigma_s^2)/2 score) in a small step.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core import rotations
from dig_core.diffusion.processes import (
    Generators,
    Process,
    check_times,
    identity,
    over_trailing,
    standard_normal,
)

# A vector of pi or more would end at the other side, to which the way is a different one.
LONGEST_DISPLACEMENT = 0.99 * math.pi


@dataclass(frozen=True)
class BrownianRotations(Process):
    """dR = R dw with sigma(t) = sigma_min (sigma_max/sigma_min)^t radians, and the uniform distribution at the end.

    DiG, arXiv 2306.05445, SI, for the orientations of residues: eps = sigma/sqrt(2) from 0.02 to 1.65 there. sigma(0) =
    sigma_min: the process starts from data blurred by it. `noise` is a normal vector: steps of samplers add it, and `perturb`
    turns it into a draw of IGSO(3).
    """

    sigma_min: float = 0.03
    sigma_max: float = 2.33
    minimal_time: float = 0.0
    maximal_time: float = 1.0
    projection = staticmethod(identity)

    def __post_init__(self) -> None:
        check_times(self.minimal_time, self.maximal_time)
        if not 0.0 < self.sigma_min < self.sigma_max <= rotations.LARGEST_SIGMA:
            raise ValueError(
                f"expected 0 < sigma_min < sigma_max <= {rotations.LARGEST_SIGMA}; got {self.sigma_min} and "
                f"{self.sigma_max}. Give them in radians; 0.03 and 2.33 are usual."
            )

    def _growth(self) -> float:
        """d log(sigma)/dt."""
        return math.log(self.sigma_max / self.sigma_min)

    def alpha(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """1: the signal is not scaled."""
        return torch.ones_like(time)

    def sigma(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """sigma_min (sigma_max/sigma_min)^t."""
        # No rounding may carry it out of the range of IGSO(3).
        return (self.sigma_min * torch.exp(self._growth() * time)).clamp(max=self.sigma_max)

    def noise_to_signal(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """tau = sigma."""
        return self.sigma(time)

    def time(self, noise_to_signal: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """log(tau/sigma_min) / log(sigma_max/sigma_min)."""
        return torch.log(noise_to_signal / self.sigma_min) / self._growth()

    def drift_rate(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """0."""
        return torch.zeros_like(time)

    def drift(
        self, x: Float[Tensor, "*bodies 3 3"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*bodies 3"]:
        """0."""
        return torch.zeros_like(x[..., 0])

    def diffusion(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """g = sigma sqrt(2 log(sigma_max/sigma_min))."""
        return math.sqrt(2.0 * self._growth()) * self.sigma(time)

    def perturb(
        self,
        clean: Float[Tensor, "*bodies 3 3"],
        time: Float[Tensor, "*batch"],
        noise: Float[Tensor, "*bodies 3"],
    ) -> Float[Tensor, "*bodies 3 3"]:
        """R_t = R_0 Exp(w), w ~ IGSO(3) for normal noise: `rotations.from_normal`. Opposite noise is the opposite turn."""
        return self.displaced(clean, rotations.from_normal(noise, self._widths(time, noise)))

    def noise(
        self, like: Float[Tensor, "batch *bodies 3 3"], generator: Generators
    ) -> Float[Tensor, "batch *bodies 3"]:
        """Standard normal vectors in the frame of each body."""
        return standard_normal(like[..., 0], generator)

    def prior_scale(self) -> float:
        """Root mean square of a component of the rotation vectors of uniform rotations, in radians."""
        return math.sqrt((math.pi**2 / 3.0 + 2.0) / 3.0)

    def prior(
        self, like: Float[Tensor, "batch *bodies 3 3"], generator: Generators
    ) -> Float[Tensor, "batch *bodies 3 3"]:
        """Independent uniform rotations, the start of every sampler."""
        quaternions = standard_normal(like.new_empty(*like.shape[:-2], 4), generator)
        return rotations.from_quaternions(quaternions)

    def prior_mismatch_nats(self, data_second_moment: float, dimension: int) -> float:
        """KL(IGSO(3) || uniform) at the maximal time for dimension/3 bodies, in nats: as that of `Process`, a bound for any data."""
        angle = torch.linspace(0.0, math.pi, 2001, dtype=torch.float64)
        sigma = self.sigma(torch.tensor(self.maximal_time, dtype=torch.float64)).expand_as(angle)
        density = rotations.angle_density(angle, sigma)
        return dimension / 3 * torch.trapezoid(density * rotations.log_density(angle, sigma), angle).item()

    def prior_log_density(
        self, y: Float[Tensor, "batch *bodies 3 3"], dimension: int
    ) -> Float[Tensor, " batch"]:
        """0: the uniform distribution is the measure itself."""
        return torch.zeros_like(y.flatten(start_dim=1)[:, 0])

    def displaced(
        self, x: Float[Tensor, "*bodies 3 3"], vector: Float[Tensor, "*bodies 3"]
    ) -> Float[Tensor, "*bodies 3 3"]:
        """R Exp(v)."""
        return x @ rotations.exponential(vector)

    def displacement(
        self, x: Float[Tensor, "*bodies 3 3"], target: Float[Tensor, "*bodies 3 3"]
    ) -> Float[Tensor, "*bodies 3"]:
        """Log(R^T R'), of length pi at most."""
        return rotations.logarithm(x.mT @ target)

    def between(
        self,
        x: Float[Tensor, "*bodies 3 3"],
        target: Float[Tensor, "*bodies 3 3"],
        share: Float[Tensor, ""],
    ) -> Float[Tensor, "*bodies 3 3"]:
        """R Exp((1 - share) Log(R^T R')): along the geodesic."""
        return self.displaced(x, (1.0 - share) * self.displacement(x, target))

    def extrapolated(
        self,
        x: Float[Tensor, "*bodies 3 3"],
        target: Float[Tensor, "*bodies 3 3"],
        earlier: Float[Tensor, "*bodies 3 3"],
        weight: Float[Tensor, ""],
    ) -> Float[Tensor, "*bodies 3 3"]:
        """As in Euclidean space, with v = Log(R^T R') of both targets in the tangent space at R: R Exp(v + weight (v - v_earlier))."""
        ahead, before = self.displacement(x, target), self.displacement(x, earlier)
        return self.displaced(x, _limited(ahead + weight * (ahead - before)))

    def denoised(
        self,
        x: Float[Tensor, "*bodies 3 3"],
        score: Float[Tensor, "*bodies 3"],
        time: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*bodies 3 3"]:
        """R_t Exp(sigma^2 score): R_0 for a single R_0 and small sigma, and R_t itself where nothing is known of R_0.

        Between, it is the point to which the flow, R_t Exp(-sigma^2 score d ln sigma), heads; not a mean of R_0.
        """
        return self.displaced(x, _limited(over_trailing(self.sigma(time), score) ** 2 * score))

    def score_from_raw(
        self, y: Float[Tensor, "*bodies 3 3"], raw: Float[Tensor, "*bodies 3"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*bodies 3"]:
        """c(sigma) F/sigma, c of `rotations.score_scale`: F has unit variance where the score is that of a single R_0."""
        sigma = self.sigma(time)
        return over_trailing(rotations.score_scale(sigma) / sigma, raw) * raw

    def residual(
        self,
        score: Float[Tensor, "*bodies 3"],
        time: Float[Tensor, "*batch"],
        noise: Float[Tensor, "*bodies 3"],
    ) -> Float[Tensor, "*bodies 3"]:
        """sigma (score - score of IGSO(3) at the w of this noise)."""
        sigma = self._widths(time, noise)
        kernel = rotations.score(rotations.from_normal(noise, sigma), sigma)
        return sigma[..., None] * (score - kernel)

    def unit_variance_weight(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """1/c^2: with it the mean square of `residual` is that of F - F_target, 1 for a network that returns 0."""
        return rotations.score_scale(self.sigma(time)) ** -2

    def _widths(self, time: Tensor, vectors: Tensor) -> Tensor:
        """sigma of each body."""
        return over_trailing(self.sigma(time), vectors[..., 0]).expand(vectors.shape[:-1])


def _limited(vectors: Float[Tensor, "*bodies 3"]) -> Float[Tensor, "*bodies 3"]:
    """The vectors, those that are too long in their direction only."""
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors * (LONGEST_DISPLACEMENT / length.clamp(min=LONGEST_DISPLACEMENT))
