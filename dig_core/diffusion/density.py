"""Log density of structures under the probability flow of a score."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.divergence import (
    Divergence,
    ExactDivergence,
    HutchinsonDivergence,
    curvatures,
    subspace_basis,
)
from dig_core.diffusion.flow import Flow, growth
from dig_core.diffusion.integration import ErrorNorm, integrate
from dig_core.diffusion.processes import Process, Score, State


@dataclass(frozen=True)
class LogDensity:
    """Log densities in nats, and how they were found.

    `standard_error` is that of the random probes alone (0 for an exact divergence). Each of the `evaluations` is one of
    the score with its divergence, for the whole batch. `latent` is the end of the flow, x at the maximal time.
    """

    log_density: Float[Tensor, " batch"]
    standard_error: Float[Tensor, " batch"]
    evaluations: int
    latent: State


@torch.no_grad()
def log_density(
    score: Score,
    process: Mapping[str, Process],
    state: State,
    divergence: Divergence | None = None,
    tolerance: float = 1e-3,
) -> LogDensity:
    """log p of structures with respect to their own (scaled) coordinates in the subspace of each process, in nats.

    log p(y) = log N(z_1; 0, I) + int div(dz/du) du - sum_fields d ln s_0 along the flow from z_0 = y/s_0 (DiG, arXiv
    2306.05445, density equation; Song et al. 2021, arXiv 2011.13456, eq. 39; z, u and s as in `flow`). A mean-free field of n
    atoms has d = 3n - 3 dimensions, and its density is one on that subspace (with its Euclidean volume). For
    coordinates in another unit add d ln(scale) to -log p. The flow starts at the minimal time, not at 0: the
    result is the density of the data blurred by tau = sigma/alpha there (sigma_min of a variance-exploding process),
    at `state`; and samplers that end with a denoised mean draw from a slightly sharper one. At the far
    end stands the prior, whose mismatch (`Process.prior_mismatch_nats`) is an error of the model, not of this function.

    Args:
        state: structures, mean-free where their process is.
        divergence: `ExactDivergence` (the default) or `HutchinsonDivergence`; its directions are fixed along the path.
        tolerance: largest error of one step, of the mean log density of any structure in nats, and of its coordinates
            (root mean square) relative to the noise. The error of the result is a few times larger.

    Raises:
        ValueError: a single probe, wrong fields, a state outside of the subspace, a score that is not finite or has no gradient.
    """
    flow, divergence = Flow(score, process, state), divergence or ExactDivergence()
    if isinstance(divergence, HutchinsonDivergence) and divergence.probes < 2:
        raise ValueError(
            "expected probes >= 2; got 1. One probe has no standard error; 20 are usual for a density."
        )
    z = flow.start(state)
    basis = subspace_basis(flow.projected, z)
    directions, size = divergence.directions(basis, len(z)), z.shape[1]

    def slope(u: float, values: Tensor) -> Tensor:
        """dz/du beside the estimates of its divergence: [batch, coordinates + estimates], as `values`."""
        velocity, along = curvatures(
            lambda z: flow.velocity(u, z), values[:, :size], directions, divergence.rows
        )
        return torch.cat([velocity, divergence.estimates(along)], dim=1)

    zeros = divergence.estimates(z.new_zeros(directions.shape[:2]))
    norm = _error_norm(flow, size, tolerance)
    end, evaluations = integrate(slope, torch.cat([z, zeros], dim=1), flow.range, norm)
    scaling = (basis.square().sum(dim=0) * flow.per_coordinate(growth, flow.range[0]).log()).sum()
    values = log_normal(end[:, :size], len(basis))[:, None] + end[:, size:] - scaling
    return LogDensity(values.mean(dim=1), standard_error(values), evaluations, flow.latent(end[:, :size]))


def log_normal(z: Tensor, dimension: int) -> Float[Tensor, " batch"]:
    """log N(z; 0, I) in a subspace of this dimension."""
    return -0.5 * (z.square().sum(dim=1) + dimension * math.log(2.0 * math.pi))


def standard_error(estimates: Float[Tensor, "batch estimates"]) -> Float[Tensor, " batch"]:
    """Standard error of the mean of independent estimates; 0 for a single, exact one."""
    count = estimates.shape[1]
    return estimates.std(dim=1) / math.sqrt(count) if count > 1 else torch.zeros_like(estimates[:, 0])


def _error_norm(flow: Flow, size: int, tolerance: float) -> ErrorNorm:
    """The larger of the errors of the coordinates and of the mean log density (nats), in units of the tolerance."""
    coordinates = flow.error_norm(tolerance)

    def norm(error: Tensor, u: float, after: float) -> float:
        """Of an error [batch, coordinates + estimates]; 1 is the largest that is accepted."""
        nats = error[:, size:].mean(dim=1).abs().max() / tolerance
        # Unlike max() of Python, this one keeps a NaN.
        return nats.clamp(min=coordinates(error[:, :size], u, after)).item()

    return norm
