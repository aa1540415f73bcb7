"""Paths between two structures through the latent space of the probability flow (DiG, arXiv 2306.05445, interpolation)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.flow import Flow
from dig_core.diffusion.integration import accepted_steps, integrate, integrate_through
from dig_core.diffusion.processes import Process, Score, State

TOLERANCE = 1e-5
Between = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def encode(score: Score, process: Mapping[str, Process], state: State, tolerance: float = TOLERANCE) -> State:
    """Latent states, x at the maximal time, of structures, along the probability flow.

    `tolerance`: largest error of one step (root mean square over coordinates) relative to the noise. Raises ValueError for wrong
    fields, a state outside of the subspace of its process, or a score that is not finite.
    """
    flow = Flow(score, process, state)
    z, _ = integrate(flow.velocity, flow.start(state), flow.range, flow.error_norm(tolerance))
    return flow.latent(z)


@torch.no_grad()
def decode(
    score: Score, process: Mapping[str, Process], latent: State, tolerance: float = TOLERANCE
) -> State:
    """Structures of latent states: the inverse of `encode`, with the same tolerance and errors.

    Unlike a sampler it ends on the flow, not with a denoised mean.
    """
    flow = Flow(score, process, latent)
    z, _ = integrate(flow.velocity, flow.end(latent), flow.range[::-1], flow.error_norm(tolerance))
    return flow.structures(z)


@torch.no_grad()
def decoding_steps(
    score: Score, process: Mapping[str, Process], latent: State, tolerance: float = TOLERANCE
) -> tuple[float, ...]:
    """The steps in ln tau with which `decode` meets the tolerance for these latent states; errors as there."""
    flow = Flow(score, process, latent)
    return accepted_steps(flow.velocity, flow.end(latent), flow.range[::-1], flow.error_norm(tolerance))


@torch.no_grad()
def decode_through(
    score: Score, process: Mapping[str, Process], latent: State, steps: tuple[float, ...]
) -> State:
    """Structures of latent states with the steps of others (`decoding_steps`): the same map for all batches.

    Where the flow tears states apart, neighbours can be followed as closely as numbers allow only under one map. Errors are not
    controlled, but for those states. Raises ValueError as `encode` does.
    """
    flow = Flow(score, process, latent)
    return flow.structures(integrate_through(flow.velocity, flow.end(latent), steps))


def linear(
    start: Float[Tensor, "batch *shape"], end: Float[Tensor, "batch *shape"], shares: Float[Tensor, " points"]
) -> Float[Tensor, "points batch *shape"]:
    """(1 - share) start + share end: the path of DiG.

    Halfway between two independent draws of a normal distribution the norm has shrunk to 0.71: such latent states
    are not typical of the prior.
    """
    share = shares.to(start).reshape(-1, *[1] * start.ndim)
    return (1.0 - share) * start + share * end


def slerp(
    start: Float[Tensor, "batch *shape"], end: Float[Tensor, "batch *shape"], shares: Float[Tensor, " points"]
) -> Float[Tensor, "points batch *shape"]:
    """Directions (sin((1 - share) w) a + sin(share w) b) / sin(w) (Shoemake 1985), norms in proportion to the share.

    a and b are the directions of start and end, w the angle between them, for each structure of a batch. With the states
    themselves in the formula, opposite ones of unequal norm would lead far out of the prior. For (anti)parallel states the path
    is the straight line.
    """
    share = shares.to(start).reshape(-1, *[1] * start.ndim)
    norms = [_norm(state).reshape(-1, *[1] * (start.ndim - 1)) for state in (start, end)]
    first, second = start / norms[0], end / norms[1]
    angle = _angle(first.flatten(1), second.flatten(1)).reshape_as(norms[0])
    sine = torch.sin(angle)
    arc = (torch.sin((1.0 - share) * angle) * first + torch.sin(share * angle) * second) / sine
    return torch.where(sine > 1e-6, linear(*norms, shares) * arc, linear(start, end, shares))


def _norm(state: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    return state.flatten(1).norm(dim=1)


def _angle(
    first: Float[Tensor, "batch size"], second: Float[Tensor, "batch size"]
) -> Float[Tensor, " batch"]:
    """Angle between unit vectors by atan2 (Kahan): accurate for nearly parallel ones as well."""
    return 2.0 * torch.atan2(_norm(first - second), _norm(first + second))


PATHS: dict[str, Between] = {"linear": linear, "slerp": slerp}


@dataclass(frozen=True)
class LatentPath:
    """How to go from one latent state to another: `kind` of PATHS, and the number of points, ends included."""

    points: int = 21
    kind: str = "slerp"
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if self.kind not in PATHS or self.points < 2:
            raise ValueError(
                f"expected one of {', '.join(PATHS)} and at least 2 points; got {self.kind} and {self.points}. "
                "Choose one of these."
            )


def interpolate(
    score: Score, process: Mapping[str, Process], start: State, end: State, path: LatentPath
) -> State:
    """Structures along paths from `start` to `end` [batch, ...]: each field [points, batch, ...].

    The ends are encoded, their latent states joined field by field, and all points decoded; the first and last points are
    the given structures to within the tolerance. Superpose `end` on `start` before (`geometry.superposed`), and number
    equivalent atoms alike, or the path also turns the molecule. Raises ValueError as `encode` does, and for batches of
    different size.
    """
    if any(start[field].shape != end[field].shape for field in process if field in start and field in end):
        raise ValueError(
            "expected as many ends as starts, of the same shape; got others. Pair them one to one."
        )
    latents = [encode(score, process, state, path.tolerance) for state in (start, end)]
    shares = torch.linspace(0.0, 1.0, path.points, dtype=torch.float64)
    along = {field: PATHS[path.kind](*(latent[field] for latent in latents), shares) for field in process}
    flat = decode(score, process, {field: x.flatten(0, 1) for field, x in along.items()}, path.tolerance)
    return {field: x.unflatten(0, (path.points, -1)) for field, x in flat.items()}
