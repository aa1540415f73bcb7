"""An adaptive Runge-Kutta method for ordinary differential equations of a batch."""

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

Slope = Callable[[float, Tensor], Tensor]
# Norm of the error of a step between two values of u, in units of what is allowed.
ErrorNorm = Callable[[Tensor, float, float], float]
MOST_STEPS = 2000

# Dormand and Prince (1980), as in Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, table 5.2.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate(
    slope: Slope,
    start: Float[Tensor, "batch values"],
    ends: tuple[float, float],
    norm: ErrorNorm,
    first_share: float = 0.02,
) -> tuple[Float[Tensor, "batch values"], int]:
    """Solve dv/du = slope(u, v) from ends[0] to ends[1] by the adaptive Dormand-Prince method of order 5(4).

    One step size for the batch; a step is accepted if norm(error, u, u after it) <= 1. The first one tried is `first_share` of
    the whole: 1 where the ends are close.

    Returns:
        The values at ends[1], and the number of evaluations of the slope.

    Raises:
        ValueError: the slope is not finite, or the end is not reached within MOST_STEPS steps.
    """
    (u, last), values = ends, start
    first, step, evaluations = slope(u, values), first_share * (ends[1] - ends[0]), 1
    for _ in range(MOST_STEPS):
        # A last step as long as the rest, and none that leaves next to nothing for another.
        step = last - u if abs(last - u) < 1.01 * abs(step) else step
        trial, stages = _trial(slope, u, values, step, first)
        evaluations += len(STAGES) - 1
        error = norm(step * _weighted(ERROR, stages), u, u + step)
        if not error < float("inf"):
            raise ValueError(
                f"expected a finite slope; got NaN or infinity at ln tau {u:.3f}. Check the score."
            )
        if error <= 1.0:
            if step == last - u:
                return trial, evaluations
            u, values, first = u + step, trial, stages[-1]
        step *= min(5.0, max(0.2, 0.9 * max(error, 1e-10) ** -0.2))
    raise ValueError(
        f"expected to reach ln tau {last:.3f} within {MOST_STEPS} steps; got to {u:.3f}. "
        "Raise the tolerance, or check that the score is smooth."
    )


def accepted_steps(
    slope: Slope, start: Float[Tensor, "batch values"], ends: tuple[float, float], norm: ErrorNorm
) -> tuple[float, ...]:
    """The values of u between which `integrate` steps, both ends included; errors as there."""
    nodes = [ends[0]]

    def noted(error: Tensor, u: float, after: float) -> float:
        """The norm of an error; where it is accepted, the end of its step is kept."""
        size = norm(error, u, after)
        if size <= 1.0:
            nodes.append(after)
        return size

    integrate(slope, start, ends, noted)
    return tuple(nodes)


def integrate_through(
    slope: Slope, start: Float[Tensor, "batch values"], nodes: tuple[float, ...]
) -> Float[Tensor, "batch values"]:
    """The values at the last node by the same method with given steps, whatever their errors.

    One smooth map of the start: with steps that follow the batch, neighbours in different batches take different errors.
    """
    first, values = slope(nodes[0], start), start
    for u, after in pairwise(nodes):
        values, stages = _trial(slope, u, values, after - u, first)
        first = stages[-1]
    return values


def _trial(slope: Slope, u: float, values: Tensor, step: float, first: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Values after a step, and the slopes of its seven stages, the last of which is the next step's first."""
    stages, point = [first], values
    for node, weights in zip(NODES[1:], STAGES[1:], strict=True):
        point = values + step * _weighted(weights, stages)
        stages.append(slope(u + node * step, point))
    return point, stages


def _weighted(weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    return sum(weight * stage for weight, stage in zip(weights, stages, strict=True) if weight)
