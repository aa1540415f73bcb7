"""Log density of structures by quadrature along their path: the divergence is computed at few points only.

The change of log p is the integral of the divergence along a path that can be found without it. So the path is solved
to a tight tolerance first, which is cheap, and the divergence, tens of times dearer, integrated over u = ln tau by
nested Clenshaw-Curtis rules (Numerische Mathematik 2, 197, 1960): the points of a rule are also points of the next, with
twice as many intervals, and the difference of the two tells each structure whether it needs more.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dig_core.diffusion.density import log_normal, standard_error
from dig_core.diffusion.divergence import Divergence, ExactDivergence, curvatures, subspace_basis
from dig_core.diffusion.flow import Flow, growth
from dig_core.diffusion.integration import integrate
from dig_core.diffusion.processes import Process, Score, State

FEWEST_INTERVALS = 8
MOST_INTERVALS = 64
PATH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class QuadratureDensity:
    """Log densities in nats, as `LogDensity`, with their cost and error per structure.

    `standard_error` is that of random probes (0 for an exact divergence). `change` is what the last doubling of the rule
    changed, most often several times more than the error of the result (two rules may agree by chance); it is above the
    tolerance only where the finest rule was not enough. `evaluations` counts those of the divergence.
    """

    log_density: Float[Tensor, " batch"]
    standard_error: Float[Tensor, " batch"]
    change: Float[Tensor, " batch"]
    evaluations: Int[Tensor, " batch"]


@torch.no_grad()
def log_density_by_quadrature(
    score: Score,
    process: Mapping[str, Process],
    state: State,
    divergence: Divergence | None = None,
    tolerance: float = 0.5,
) -> QuadratureDensity:
    """log p of structures as `density.log_density` has it (same definition, units, errors), a few times cheaper.

    Args:
        state: structures, mean-free where their process is.
        divergence: `ExactDivergence` (the default) or `HutchinsonDivergence`.
        tolerance: the rule is doubled for a structure until that changes its log density by less, in nats.
    """
    flow, divergence = Flow(score, process, state), divergence or ExactDivergence()
    z = flow.start(state)
    basis = subspace_basis(flow.projected, z)
    path = _Path(flow, z, divergence, divergence.directions(basis, len(z)))
    values, end, change, evaluations = _integrals(path, tolerance)
    scaling = (basis.square().sum(dim=0) * flow.per_coordinate(growth, flow.range[0]).log()).sum()
    values = log_normal(end, len(basis))[:, None] + values - scaling
    return QuadratureDensity(values.mean(dim=1), standard_error(values), change, evaluations)


@dataclass(frozen=True)
class _Path:
    """The paths of a batch, from z, and what is asked along them."""

    flow: Flow
    z: Float[Tensor, "batch coordinates"]
    divergence: Divergence
    directions: Float[Tensor, "directions batch coordinates"]

    def part(self, chosen: Bool[Tensor, " batch"]) -> "_Path":
        """The paths of the chosen structures, with their directions."""
        return _Path(self.flow, self.z[chosen], self.divergence, self.directions[:, chosen])

    def slopes(
        self, nodes: list[float], wanted: list[bool]
    ) -> tuple[Float[Tensor, "wanted batch estimates"], Float[Tensor, "batch coordinates"]]:
        """Estimates of the divergence at the wanted nodes, and z at the last node."""
        z, found, norm = self.z, [], self.flow.error_norm(PATH_TOLERANCE)
        for (before, u), is_wanted in zip(itertools.pairwise([nodes[0], *nodes]), wanted, strict=True):
            if u != before:
                z, _ = integrate(self.flow.velocity, z, (before, u), norm, 1.0)
            if is_wanted:
                found.append(self._slope(u, z))
        return torch.stack(found), z

    def _slope(self, u: float, z: Tensor) -> Float[Tensor, "batch estimates"]:
        _, along = curvatures(lambda z: self.flow.velocity(u, z), z, self.directions, self.divergence.rows)
        return self.divergence.estimates(along)


def _integrals(path: _Path, tolerance: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Integrals [batch, estimates], ends of the paths, last changes, and numbers of points, per structure."""
    count = 2 * FEWEST_INTERVALS
    nodes = _nodes(path.flow.range, count)
    slopes, end = path.slopes(nodes, [True] * len(nodes))
    values = _rule(slopes, path.flow.range)
    change = (values - _rule(slopes[::2], path.flow.range)).mean(dim=1).abs()
    evaluations = torch.full_like(change, len(nodes), dtype=torch.long)
    return _refined(path, tolerance, (slopes, values, end, change, evaluations))


def _refined(path: _Path, tolerance: float, found: tuple[Tensor, ...]):
    """Double the rule for the unsettled structures until all are settled or the finest rule is reached."""
    slopes, values, end, change, evaluations = found
    unsettled = change > tolerance
    slopes = slopes[:, unsettled]
    while unsettled.any() and len(slopes) <= MOST_INTERVALS:
        count, own = 2 * (len(slopes) - 1), path.part(unsettled)
        between, end[unsettled] = own.slopes(
            _nodes(path.flow.range, count), [bool(k % 2) for k in range(count + 1)]
        )
        both = slopes.new_empty(count + 1, *slopes.shape[1:])
        both[::2], both[1::2] = slopes, between
        finer = _rule(both, path.flow.range)
        change[unsettled] = (finer - values[unsettled]).mean(dim=1).abs()
        values[unsettled], evaluations[unsettled] = finer, count + 1
        still = change[unsettled] > tolerance
        slopes, unsettled = both[:, still], unsettled & (change > tolerance)
    return values, end, change, evaluations


def _nodes(ends: tuple[float, float], intervals: int) -> list[float]:
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    inner = [middle - half * math.cos(math.pi * k / intervals) for k in range(1, intervals)]
    return [ends[0], *inner, ends[1]]


def _rule(
    slopes: Float[Tensor, "nodes batch estimates"], ends: tuple[float, float]
) -> Float[Tensor, "batch estimates"]:
    """Clenshaw-Curtis rule with an even number of intervals: the integral of the interpolating polynomial."""
    intervals = len(slopes) - 1
    k = torch.arange(intervals + 1, dtype=torch.float64)[:, None]
    j = torch.arange(1, intervals // 2 + 1, dtype=torch.float64)[None]
    halved = torch.where(j == intervals // 2, 1.0, 2.0)
    weights = 1.0 - (halved / (4.0 * j**2 - 1.0) * torch.cos(2.0 * math.pi * j * k / intervals)).sum(dim=1)
    weights[1:-1] *= 2.0
    weights *= (ends[1] - ends[0]) / (2.0 * intervals)
    return torch.einsum("n,nbe->be", weights.to(slopes), slopes)
