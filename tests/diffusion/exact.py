"""Exact scores of Gaussian mixtures under any process: what samplers and losses are tested against."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core import rotations
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


@dataclass(frozen=True)
class PoseMixture:
    """Of poses of one body, sum_k weights_k N(positions_k, spreads_k^2) IGSO(3)(rotations_k, widths_k); float64.

    States are {"positions": [batch, 1, 3], "rotations": [batch, 1, 3, 3]}.
    """

    weights: Float[Tensor, "poses"]
    positions: Float[Tensor, "poses 3"]
    rotations: Float[Tensor, "poses 3 3"]
    spreads: Float[Tensor, "poses"]
    widths: Float[Tensor, "poses"]

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        pose = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, 3, generator=generator, dtype=torch.float64)
        turns = rotations.exponential(rotations.brownian(self.widths[pose], generator))
        positions = self.positions[pose] + self.spreads[pose, None] * noise
        return {"positions": positions[:, None], "rotations": (self.rotations[pose] @ turns)[:, None]}

    def log_density(self, state: dict[str, Tensor], sigma: Tensor, sigma_turn: Tensor) -> Tensor:
        """Of the mixture with noise of these sigmas [batch] of positions and rotations, in nats; rotations relative to Haar."""
        return self._terms(state, sigma, sigma_turn)[0].logsumexp(dim=0)

    def score(self, process: dict[str, Process]) -> Score:
        """Of both fields."""

        def score(state: dict[str, Tensor], time: Tensor) -> dict[str, Tensor]:
            sigmas = (process[field].sigma(time) for field in ("positions", "rotations"))
            logarithms, slope, turn = self._terms(state, *sigmas)
            share = torch.softmax(logarithms, dim=0)[..., None]
            parts = {"positions": slope, "rotations": turn}
            return {field: (share * part).sum(dim=0)[:, None] for field, part in parts.items()}

        return score

    def _terms(
        self, state: dict[str, Tensor], sigma: Tensor, sigma_turn: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """ln of each pose's part of the density [poses, batch], and both scores of the pose alone [poses, batch, 3]."""
        variance = self.spreads[:, None] ** 2 + sigma**2
        width = torch.sqrt(self.widths[:, None] ** 2 + sigma_turn**2)
        shift = state["positions"][:, 0] - self.positions[:, None]
        turn = rotations.logarithm(self.rotations.mT[:, None] @ state["rotations"][:, 0])
        positions = -0.5 * shift.square().sum(-1) / variance - 1.5 * torch.log(2 * torch.pi * variance)
        orientations = rotations.log_density(turn.norm(dim=-1), width)
        logarithms = self.weights.log()[:, None] + positions + orientations
        return logarithms, -shift / variance[..., None], rotations.score(turn, width)


def two_poses(apart: float = 2.2, share: float = 1.0) -> PoseMixture:
    """Weights 0.7 and 0.3, positions `apart`, orientations a share of 2.03 radians apart."""
    weights = torch.tensor([0.7, 0.3], dtype=torch.float64)
    positions = torch.tensor([[-0.3, 0.2, 0.1], [0.7, -0.4, -0.3]], dtype=torch.float64)
    positions = positions * (apart / (positions[1] - positions[0]).norm())
    ends = rotations.exponential(torch.tensor([[0.3, -0.5, 0.2], [1.2, 0.9, -1.0]], dtype=torch.float64))
    orientations = torch.stack([ends[0], rotations.interpolated(ends[0], ends[1], share)])
    spreads, widths = torch.tensor([[0.15, 0.20], [0.15, 0.25]], dtype=torch.float64)
    return PoseMixture(weights, positions, orientations, spreads, widths)


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
