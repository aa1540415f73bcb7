"""Samplers: from a state at the noisiest time to clean structures, for any score and product of processes.

All have the signature (score, process, start, times, generator) -> State. `times` decreases strictly; `start`
is the state at times[0] (a draw from `Process.prior`), and the result is the denoised mean E[x_0 | x] at
times[-1]. Every formula is written in y = x/alpha and tau = sigma/alpha, in which variance-preserving and
variance-exploding processes are one: y = x_0 + tau eps. D stands for the denoised mean E[x_0 | x_t],
and r = tau_s/tau_t < 1 for a step t -> s. A sum of points, a y + (1 - a) D, is the point of the way from y to D at which the
share a is left, and noise is a step from there: `Process.between` and `displaced`, which on rotations go along geodesics. Coefficients of a step are 0-dimensional float64 tensors: accurate,
and without effect on the type of the state.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Generators, Process, Score, State, denoised, leading

Sampler = Callable[..., State]


def sampling_times(process: Mapping[str, Process], steps: int, rho: float = 7.0) -> Float[Tensor, " steps"]:
    """Decreasing float64 times, evenly spaced in tau^(1/rho) of the first field (Karras et al. 2022, eq. 5).

    From the process's maximal to its minimal time. `steps` is the number of times, and of score evaluations
    of all samplers but `probability_flow`. Raises ValueError if steps < 2 or rho <= 0.
    """
    if steps < 2 or rho <= 0.0:
        raise ValueError(
            f"expected steps >= 2 and rho > 0; got {steps} and {rho}. 25 steps and rho 7 are usual."
        )
    field = leading(process)
    ends = torch.tensor([field.maximal_time, field.minimal_time], dtype=torch.float64)
    first, last = field.noise_to_signal(ends).pow(1.0 / rho).tolist()
    times = field.time(torch.linspace(first, last, steps, dtype=torch.float64) ** rho)
    # The ends are known: no rounding may carry them out of the process's range.
    times[0], times[-1] = ends
    return times


@torch.no_grad()
def ancestral(
    score: Score,
    process: Mapping[str, Process],
    start: State,
    times: Float[Tensor, " steps"],
    generator: Generators,
) -> State:
    """Discrete reverse process (DiG, arXiv 2306.05445, eq. 2; Ho et al. 2020): `steps` evaluations.

    x_s = (x_t + b score)/a + sqrt(b) eps with a = alpha_t/alpha_s, b = sigma_t^2 - a^2 sigma_s^2 (VP: a is
    sqrt(1 - b)). In y: mean r^2 y + (1 - r^2) D, variance (tau_t^2 - tau_s^2) (1 + tau_s^2)/(1 + tau_t^2). So
    written it is the paper's step for VP, serves every process, and is exact at any step size for Gaussian
    data of unit variance. With few steps total variance and weights of modes hold, but narrow modes come out
    too wide (their variance by 2 % at 500 steps, 25 % at 50); the smaller variance of q(x_s | x_t, x_0) would
    lose a fifth of the total variance at 50 steps.
    """
    times = _checked(process, start, times)
    y = _signal(process, start, times[0])
    for now, after in pairwise(times):
        clean = _clean(score, process, y, now)
        for field, own in process.items():
            tau, tau_next = _levels(own, now, after)
            share = (tau_next / tau) ** 2
            spread = torch.sqrt((tau**2 - tau_next**2) * (1.0 + tau_next**2) / (1.0 + tau**2))
            noise = own.noise(y[field], generator)
            y[field] = own.displaced(own.between(y[field], clean[field], share), spread * noise)
    return _clean(score, process, y, times[-1])


@torch.no_grad()
def probability_flow(
    score: Score,
    process: Mapping[str, Process],
    start: State,
    times: Float[Tensor, " steps"],
    generator: Generators | None = None,
) -> State:
    """Heun's method on the probability-flow ODE, dy/dtau = -sigma score: 2 steps - 1 evaluations.

    DiG, eq. 3, in the coordinates of DDIM; Karras et al. 2022, algorithm 1. Deterministic, second order: the
    generator is not used.
    """
    times = _checked(process, start, times)
    y = _signal(process, start, times[0])
    for now, after in pairwise(times):
        slope = _slope(score, process, y, now)
        trial = {
            field: own.displaced(y[field], _interval(own, now, after) * slope[field])
            for field, own in process.items()
        }
        slope_next = _slope(score, process, trial, after)
        y = {
            field: own.displaced(
                y[field], 0.5 * _interval(own, now, after) * (slope[field] + slope_next[field])
            )
            for field, own in process.items()
        }
    return _clean(score, process, y, times[-1])


@torch.no_grad()
def dpm_solver(
    score: Score,
    process: Mapping[str, Process],
    start: State,
    times: Float[Tensor, " steps"],
    generator: Generators | None = None,
) -> State:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2): `steps` evaluations.

    y_s = r y_t + (1 - r) D', D' extrapolated from the last two evaluations. Deterministic, second order: the
    generator is not used. The first step and the last (to the denoised mean) are of first order.
    """
    times = _checked(process, start, times)
    y = _signal(process, start, times[0])
    history: list[tuple[Tensor, State]] = []
    for now, after in pairwise(times):
        history = [*history[-1:], (now, _clean(score, process, y, now))]
        for field, own in process.items():
            tau, tau_next = _levels(own, now, after)
            ratio = tau_next / tau
            y[field] = own.between(y[field], _extrapolated(own, field, y, history, after), ratio)
    return _clean(score, process, y, times[-1])


@torch.no_grad()
def sde_dpm_solver(
    score: Score,
    process: Mapping[str, Process],
    start: State,
    times: Float[Tensor, " steps"],
    generator: Generators,
) -> State:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, section 6): `steps` evaluations, stochastic.

    y_s = r^2 y_t + (1 - r^2) D' + tau_s sqrt(1 - r^2) eps, D' as in `dpm_solver`: the exact solution of the
    reverse SDE for constant D'. New noise at every step forgets earlier errors of the score, which the ODE
    carries to the end.
    """
    times = _checked(process, start, times)
    y = _signal(process, start, times[0])
    history: list[tuple[Tensor, State]] = []
    for now, after in pairwise(times):
        history = [*history[-1:], (now, _clean(score, process, y, now))]
        ahead = {field: _extrapolated(own, field, y, history, after) for field, own in process.items()}
        y = _down(process, y, ahead, generator, (now, after))
    return _clean(score, process, y, times[-1])


@torch.no_grad()
def predictor_corrector(
    score: Score,
    process: Mapping[str, Process],
    start: State,
    times: Float[Tensor, " steps"],
    generator: Generators,
    correctors: int = 4,
) -> State:
    """A step of the reverse SDE, then `correctors` steps of Langevin dynamics at the new level: 1 + (steps - 1) (1 + correctors) evaluations.

    Song et al. 2021, arXiv 2011.13456, algorithm 1. What went wrong above a level is mended there. The Langevin steps are those of Leimkuhler and
    Matthews 2013 (Appl. Math. Res. Express 2013, 34, the limit of large friction), whose variance is exact for Gaussian data at any length;
    that of the usual ones is wrong by half the length. The step between levels is that of `sde_dpm_solver` of first order.
    """
    times = _checked(process, start, times)
    y = _signal(process, start, times[0])
    for levels in pairwise(times):
        y = _down(process, y, _clean(score, process, y, levels[0]), generator, levels)
        above = _somewhat_above(process, *levels)
        for _ in range(correctors):
            y = _langevin(score, process, y, generator, (above, levels[1]))
    return _clean(score, process, y, times[-1])


SAMPLERS: dict[str, Sampler] = {
    "ancestral": ancestral,
    "probability_flow": probability_flow,
    "dpm_solver": dpm_solver,
    "sde_dpm_solver": sde_dpm_solver,
    "predictor_corrector": predictor_corrector,
}


def _checked(process: Mapping[str, Process], start: State, times: Tensor) -> Tensor:
    """The times in float64 on the CPU, or a ValueError that says what is wrong with the call."""
    if set(start) != set(process):
        raise ValueError(
            f"expected a start for the fields {sorted(process)}; got {sorted(start)}. "
            "Draw each field from its Process.prior."
        )
    times = times.detach().to("cpu", torch.float64)
    if len(times) < 1 or not bool((times[1:] < times[:-1]).all()) or not 0.0 < float(times[0]) <= 1.0:
        raise ValueError(
            f"expected strictly decreasing times in [0, 1]; got {times.tolist()}. Use sampling_times."
        )
    if any(
        float(own.noise_to_signal(times[-1])) <= 0.0 or float(times[-1]) < 0.0 for own in process.values()
    ):
        raise ValueError(
            f"expected noise at the last time; got time {float(times[-1])}. End at minimal_time."
        )
    return times


def _down(
    process: Mapping[str, Process],
    y: State,
    clean: State,
    generator: Generators,
    levels: tuple[Tensor, Tensor],
) -> State:
    """A step of the reverse SDE between two times, exact for constant D: r^2 y + (1 - r^2) D + tau_s sqrt(1 - r^2) eps."""
    lower = {}
    for field, own in process.items():
        tau, tau_next = _levels(own, *levels)
        share = (tau_next / tau) ** 2
        noise = tau_next * torch.sqrt(1.0 - share) * own.noise(y[field], generator)
        lower[field] = own.displaced(own.between(y[field], clean[field], share), noise)
    return lower


def _langevin(
    score: Score,
    process: Mapping[str, Process],
    y: State,
    generator: Generators,
    levels: tuple[Tensor, Tensor],
) -> State:
    """A step of Langevin dynamics at the second of two times, for which the score is asked at the first, where there is more noise.

    x = y + w, then y <- c x + (1 - c) D + w, with one w = sqrt(tau^2 - tau_s^2) eps and c = 2 (tau_s/tau)^2 - 1.
    """
    steps, shares = {}, {}
    for field, own in process.items():
        tau, tau_next = _levels(own, *levels)
        steps[field] = torch.sqrt(tau**2 - tau_next**2) * own.noise(y[field], generator)
        shares[field] = 2.0 * (tau_next / tau) ** 2 - 1.0
    x = {field: own.displaced(y[field], steps[field]) for field, own in process.items()}
    clean = _clean(score, process, x, levels[0])
    return {
        field: own.displaced(own.between(x[field], clean[field], shares[field]), steps[field])
        for field, own in process.items()
    }


def _somewhat_above(process: Mapping[str, Process], now: Tensor, after: Tensor) -> Tensor:
    """The time between two at which tau^2 of the first field is twice that of the second, or the first of them if it is never as much."""
    own = leading(process)
    return torch.minimum(now, own.time(2.0**0.5 * own.noise_to_signal(after)))


def _signal(process: Mapping[str, Process], start: State, time: Tensor) -> State:
    """y = x/alpha; a new dictionary, so that the caller's start stays as it is."""
    return {field: start[field] / own.alpha(time) for field, own in process.items()}


def _clean(score: Score, process: Mapping[str, Process], y: State, time: Tensor) -> State:
    """The denoised mean D(y, t), of the type and on the device of the state."""
    x = {field: y[field] * own.alpha(time) for field, own in process.items()}
    first = next(iter(x.values()))
    return denoised(score, process, x, first.new_full((len(first),), float(time)))


def _slope(score: Score, process: Mapping[str, Process], y: State, time: Tensor) -> State:
    """dy/dtau = (y - D)/tau."""
    clean = _clean(score, process, y, time)
    # The way from D to y and the one from y to D are opposite vectors, in the frame of a body at either end.
    return {
        field: own.displacement(clean[field], y[field]) / own.noise_to_signal(time)
        for field, own in process.items()
    }


def _levels(process: Process, now: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """tau before and after a step."""
    return process.noise_to_signal(now), process.noise_to_signal(after)


def _interval(process: Process, now: Tensor, after: Tensor) -> Tensor:
    """tau after a step less tau before it; negative."""
    return process.noise_to_signal(after) - process.noise_to_signal(now)


def _extrapolated(
    process: Process, field: str, y: State, history: list[tuple[Tensor, State]], after: Tensor
) -> Tensor:
    """D' = D_i + h/(2 h_previous) (D_i - D_{i-1}), h = the step in -log tau; D_i in the first step."""
    now, clean = history[-1]
    if len(history) == 1:
        return clean[field]
    before, earlier = history[0]
    level, level_now, level_after = (process.noise_to_signal(time).log() for time in (before, now, after))
    weight = 0.5 * (level_after - level_now) / (level_now - level)
    return process.extrapolated(y[field], clean[field], earlier[field], weight)
