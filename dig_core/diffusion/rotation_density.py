"""Log density of bodies, whose rotations are a field beside their positions, along the probability flow.

Along the flow dy/du = V of `body_flow` d ln p/du = -div V. The divergence is the trace of the derivative of V along the vectors of the flow:
on rotations along R Exp(h e_k), k = 1, 2, 3, the fields that keep the Haar measure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.body_flow import BodyFlow
from dig_core.diffusion.density import standard_error
from dig_core.diffusion.divergence import Divergence, ExactDivergence, curvatures, subspace_basis
from dig_core.diffusion.processes import Process, Score, State

Slope = Callable[[float, State], tuple[Tensor, Tensor]]

FEWEST_STEPS = 10
MOST_STEPS = 160


@dataclass(frozen=True)
class BodyDensity:
    """Log densities in nats, and how they were found.

    `standard_error` is that of the random probes alone (0 for an exact divergence). `change` is what the last doubling of the
    steps changed, more than the error of the result; it is above the tolerance only where `MOST_STEPS` were not enough. Each of the
    `evaluations` is one of the score with its divergence, for the whole batch. `latent` is the end of the flow.
    """

    log_density: Float[Tensor, " batch"]
    standard_error: Float[Tensor, " batch"]
    change: Float[Tensor, " batch"]
    evaluations: int
    latent: State


@torch.no_grad()
def log_density_of_bodies(
    score: Score,
    process: Mapping[str, Process],
    state: State,
    divergence: Divergence | None = None,
    tolerance: float = 0.01,
) -> BodyDensity:
    """log p of structures with respect to positions (scaled, in the subspace of their process) and the Haar measure of rotations.

    log p(y) = log p_simple(y_1) + int div V du along the flow from y, the structure (DiG, arXiv 2306.05445, density equation;
    Song et al. 2021, arXiv 2011.13456, eq. 39); p_simple = 1 for rotations. As `density.log_density` it is the density of the data blurred by
    sigma at the minimal time. The flow takes equal steps in ln tau, doubled until no log density changes by more than
    `tolerance` in nats.

    Args:
        divergence: `ExactDivergence` (the default) or `HutchinsonDivergence`; its directions are fixed along the path.

    Raises:
        ValueError: wrong fields, or a score that is not finite or has no gradient.
    """
    flow, divergence = BodyFlow(score, process, state), divergence or ExactDivergence()
    basis = subspace_basis(flow.projected, flow.still)
    directions, dimensions = divergence.directions(basis, len(flow.still)), flow.dimensions(basis)

    def found(steps: int) -> tuple[Tensor, State]:
        """Estimates [batch, estimates] of the log densities with this many steps, and the end of the flow."""
        end, change = _through(flow, directions, divergence, steps)
        priors = sum(own.prior_log_density(end[f], dimensions[f]) for f, own in process.items())
        values = change + priors[:, None]
        if not values.isfinite().all():
            raise ValueError("expected finite log densities; got NaN or infinity. Check the score.")
        return values, end

    steps, (values, end) = FEWEST_STEPS, found(FEWEST_STEPS)
    evaluations, change = 4 * steps, torch.full_like(values[:, 0], float("inf"))
    while steps < MOST_STEPS and not change.max().item() <= tolerance:
        steps, before = 2 * steps, values
        values, end = found(steps)
        evaluations, change = evaluations + 4 * steps, (values - before).mean(dim=1).abs()
    return BodyDensity(values.mean(dim=1), standard_error(values), change, evaluations, flow.latent(end))


def _through(
    flow: BodyFlow, directions: Tensor, divergence: Divergence, steps: int
) -> tuple[State, Float[Tensor, "batch estimates"]]:
    """The end of the flow, and the integral of div V, by equal steps in u."""

    def slope(u: float, y: State) -> tuple[Tensor, Tensor]:
        """V, and estimates of its divergence."""
        velocity, along = curvatures(
            lambda vectors: flow.velocity(u, flow.displaced(y, vectors)),
            flow.still,
            directions,
            divergence.rows,
        )
        return velocity, divergence.estimates(along)

    y, change = flow.points(), divergence.estimates(flow.still.new_zeros(directions.shape[:2]))
    nodes = torch.linspace(*flow.range, steps + 1, dtype=torch.float64).tolist()
    for u, after in pairwise(nodes):
        y, gained = _step(flow, slope, u, after - u, y)
        change = change + gained
    return y, change


def _step(flow: BodyFlow, slope: Slope, u: float, step: float, y: State) -> tuple[State, Tensor]:
    """A step of a Runge-Kutta method of fourth order that moves along vectors only, and the integral over it.

    Celledoni, Marthinsen and Owren 2003 (Future Generation Computer Systems 19, 341), section 3: the classical method where points
    are vectors themselves.
    """
    first, div_first = slope(u, y)
    halfway = flow.displaced(y, 0.5 * step * first)
    second, div_second = slope(u + 0.5 * step, halfway)
    third, div_third = slope(u + 0.5 * step, flow.displaced(y, 0.5 * step * second))
    fourth, div_fourth = slope(u + step, flow.displaced(halfway, step * (third - 0.5 * first)))
    middle = flow.displaced(y, step / 12.0 * (3.0 * first + 2.0 * second + 2.0 * third - fourth))
    end = flow.displaced(middle, step / 12.0 * (-first + 2.0 * second + 2.0 * third + 3.0 * fourth))
    return end, step / 6.0 * (div_first + 2.0 * div_second + 2.0 * div_third + div_fourth)
