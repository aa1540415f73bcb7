"""Property-guided generation: a gradient that is added to the score draws from p(x_0) q(c | x_0)^s in place of p(x_0).

score(x_t | c) = score(x_t) + s d/dx_t ln q(c | x_t): Dhariwal and Nichol 2021, arXiv 2105.05233, and DiG, section on carbon. It is exact for s = 1 where ln q is
that of noised points; for other s it is what everybody does. ln q may be a predictor that was trained on noised points, or one of clean points
at the denoised estimate (`at_denoised`), which is wrong by what is left of the noise.
"""

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Process, Score, State, denoised, over_trailing

LogLikelihood = Callable[[State, Tensor], Float[Tensor, " batch"]]  # ln q(c | x_t) of every point
LONGEST = 2.0  # of a push, in units of the usual length of the score of noise
Scale = Callable[[Float[Tensor, " batch"]], Float[Tensor, " batch"]]  # s of noise over signal


def guided(
    score: Score, log_likelihood: LogLikelihood, process: Mapping[str, Process], scale: Scale
) -> Score:
    """score + s grad ln q(c | x_t), `limited`, for Euclidean fields and those on a torus; the gradient is that of all fields together.

    Args:
        scale: s as a function of noise over signal of the first field [batch]; the size of the push may change with the level.
    """
    first = next(iter(process.values()))

    def own(state: State, time: Tensor) -> State:
        """The score of every field [batch, ...] at times [batch]."""
        slope, strength = score(state, time), scale(first.noise_to_signal(time))
        if not strength.any():
            return slope
        push = gradient(log_likelihood, state, time)
        return {
            field: x
            + limited(
                over_trailing(strength, x) * process[field].projection(push[field]),
                process[field].sigma(time),
            )
            for field, x in slope.items()
        }

    return own


def limited(
    push: Float[Tensor, "batch *shape"], sigma: Float[Tensor, " batch"]
) -> Float[Tensor, "batch *shape"]:
    """A push of at most LONGEST times the usual length of the score of noise, sqrt(d)/sigma in d dimensions.

    Where ln q is steep beyond what its network has seen, as in cells that noise has made flat, a step of a sampler would otherwise carry the point
    further and further out. What is steep by itself, as between two modes, is as a rule not reached: the push has worked before.
    """
    length = push.flatten(start_dim=1).norm(dim=1)
    most = LONGEST * math.sqrt(push[0].numel()) / sigma
    return over_trailing((most / length.clamp(min=1e-30)).clamp(max=1.0), push) * push


def gradient(function: LogLikelihood, state: State, time: Float[Tensor, " batch"]) -> State:
    """d/dx of every point's own value, with respect to all fields; also where gradients are switched off around it."""
    with torch.inference_mode(False), torch.enable_grad():
        points = {field: x.clone().requires_grad_() for field, x in state.items()}
        total = function(points, time.clone()).sum()
        slopes = torch.autograd.grad(total, list(points.values()), materialize_grads=True)
    return dict(zip(points, slopes, strict=True))


def at_denoised(
    score: Score,
    process: Mapping[str, Process],
    log_likelihood: LogLikelihood,
    variances: Mapping[str, float],
) -> LogLikelihood:
    """ln q(c | E[x_0 | x_t]) from a predictor of clean points (Chung et al. 2023, arXiv 2209.14687), which is told the time as well.

    The denoised point is taken to move with x_t as that of normal data does which have these variances in every field, by 1/(alpha (1 + tau^2/variance)).
    The gradient through a score network would be exact; but far from all data it leads anywhere, and points with it.
    """

    def moving(field: str, x: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """The value of the denoised point, with that gradient."""
        own = process[field]
        gain = 1.0 / (own.alpha(time) * (1.0 + own.noise_to_signal(time) ** 2 / variances[field]))
        return clean + over_trailing(gain, x) * (x - x.detach())

    def own(state: State, time: Tensor) -> Tensor:
        """ln q of every point."""
        with torch.no_grad():
            clean = denoised(score, process, state, time)
        return log_likelihood(
            {field: moving(field, x, clean[field], time) for field, x in state.items()}, time
        )

    return own
