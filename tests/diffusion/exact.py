"""Exact scores of Gaussian mixtures under any process: what samplers and losses are tested against."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import (
    Process,
    Score,
    VarianceExploding,
    VariancePreserving,
)

FIELD = "positions"


@dataclass(frozen=True)
class Mixture:
    """sum_k weights_k N(means_k, covariances_k) in `space` dimensions; float64."""

    weights: Float[Tensor, "modes"]
    means: Float[Tensor, "modes space"]
    covariances: Float[Tensor, "modes space space"]

    def mean(self) -> Tensor:
        return self.weights @ self.means

    def covariance(self) -> Tensor:
        shift = self.means - self.mean()
        between = torch.einsum("k,ki,kj->ij", self.weights, shift, shift)
        return torch.einsum("k,kij->ij", self.weights, self.covariances) + between

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        mode = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        factors = torch.linalg.cholesky(self.covariances)
        return self.means[mode] + torch.einsum("nij,nj->ni", factors[mode], noise)

    def marginal(self, alpha: float, sigma: float) -> "Mixture":
        """The law of alpha x_0 + sigma eps."""
        noise = sigma**2 * torch.eye(self.means.shape[1], dtype=torch.float64)
        return Mixture(self.weights, alpha * self.means, alpha**2 * self.covariances + noise)

    def log_density(self, x: Tensor) -> Tensor:
        """Of points [batch, space], in nats."""
        modes = torch.distributions.MultivariateNormal(self.means, self.covariances)
        return torch.logsumexp(modes.log_prob(x[:, None]) + self.weights.log(), dim=1)

    def score(self, process: Process) -> Score:
        """grad log q_t of the field `positions` [batch, space]."""
        variances, axes = torch.linalg.eigh(self.covariances)

        def score(state: dict[str, Tensor], time: Tensor) -> dict[str, Tensor]:
            # Samples along the last axis, [modes, space, batch]: several times faster than small last axes.
            alpha, sigma = process.alpha(time), process.sigma(time)
            scale = alpha**2 * variances[:, :, None] + sigma**2
            along = axes.mT @ (state[FIELD].T - alpha * self.means[:, :, None])
            exponent = self.weights.log()[:, None] - 0.5 * (along**2 / scale + scale.log()).sum(dim=1)
            share = torch.softmax(exponent, dim=0)
            return {FIELD: -(share[:, None] * (axes @ (along / scale))).sum(dim=0).T}

        return score


def gaussian() -> Mixture:
    """One correlated, off-centre Gaussian; a narrow and a wide direction."""
    covariance = torch.tensor([[0.90, 0.30], [0.30, 0.20]], dtype=torch.float64)
    mean = torch.tensor([0.5, -0.3], dtype=torch.float64)
    return Mixture(torch.ones(1, dtype=torch.float64), mean[None], covariance[None])


def two_states() -> Mixture:
    """Weights 0.7 and 0.3, 2.2 apart, 15 standard deviations of a mode; about unit variance along x."""
    weights = torch.tensor([0.7, 0.3], dtype=torch.float64)
    means = torch.tensor([[-0.66, 0.2], [1.54, -0.4]], dtype=torch.float64)
    narrow = torch.tensor([[0.020, 0.010], [0.010, 0.030]], dtype=torch.float64)
    wide = torch.tensor([[0.040, -0.015], [-0.015, 0.020]], dtype=torch.float64)
    return Mixture(weights, means, torch.stack([narrow, wide]))


def in_one_dimension() -> Mixture:
    """Three states of different width and weight on a line."""
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[-1.0], [0.4], [1.9]], dtype=torch.float64)
    widths = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64)
    return Mixture(weights, means, (widths**2)[:, None, None])


def in_ten_dimensions() -> Mixture:
    """Two states with correlated coordinates, widths from 0.1 to 1."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(2, 10, 10, generator=generator, dtype=torch.float64))[0]
    variances = torch.logspace(-2.0, 0.0, 10, dtype=torch.float64)
    means = torch.zeros(2, 10, dtype=torch.float64)
    means[:, 0] = torch.tensor([-0.6, 1.2], dtype=torch.float64)
    weights = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    return Mixture(weights, means, (axes * variances) @ axes.mT)


def as_process(name: str) -> Process:
    """The processes that every property is tested on."""
    return VarianceExploding(0.005, 80.0) if name == "exploding" else VariancePreserving(name)


PROCESSES = ("linear", "cosine", "sigmoid", "exploding")
