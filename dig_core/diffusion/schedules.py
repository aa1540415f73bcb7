"""Noise schedules of the variance-preserving process: beta(t), its integral, and the inverse of the integral.

A schedule is written for continuous time t in [0, 1]. With B(t) = int_0^t beta, the process has alpha^2 =
exp(-B). All formulas stay accurate in float32 down to t = 0, where B is small: nothing close to one is
subtracted from one.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

NEWTON_STEPS = 5


@runtime_checkable
class Schedule(Protocol):
    """The rate beta(t) at which a variance-preserving process forgets, per unit of time."""

    def beta(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """beta(t)."""
        ...

    def integral(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """B(t) = int_0^t beta."""
        ...

    def time(self, integral: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The time at which B(t) reaches `integral`."""
        ...


def check_rates(beta_start: float, beta_end: float) -> None:
    """Raise ValueError unless 0 < beta_start < beta_end."""
    if not 0.0 < beta_start < beta_end:
        raise ValueError(
            f"expected 0 < beta_start < beta_end; got {beta_start} and {beta_end}. Swap or correct them."
        )


@dataclass(frozen=True)
class Linear:
    """beta(t) = beta_start + (beta_end - beta_start) t (Song et al. 2021, arXiv 2011.13456, eq. 33)."""

    beta_start: float = 0.1
    beta_end: float = 20.0

    def __post_init__(self) -> None:
        check_rates(self.beta_start, self.beta_end)

    def beta(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """beta(t)."""
        return self.beta_start + (self.beta_end - self.beta_start) * time

    def integral(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """B(t) = beta_start t + (beta_end - beta_start) t^2 / 2."""
        return self.beta_start * time + 0.5 * (self.beta_end - self.beta_start) * time**2

    def time(self, integral: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Positive root of the quadratic, in the form without cancellation at small B."""
        root = torch.sqrt(self.beta_start**2 + 2.0 * (self.beta_end - self.beta_start) * integral)
        return 2.0 * integral / (self.beta_start + root)


@dataclass(frozen=True)
class Cosine:
    """alpha(t) = cos(u)/cos(u_0), u = (t + s)/(1 + s) pi/2 (Nichol and Dhariwal, arXiv 2102.09672, eq. 17).

    beta = pi/(1 + s) tan(u) diverges at t = 1. It is cut at `beta_max`, so that alpha(1) is about
    1.2/beta_max and not 0. A larger cut only adds times that are pure noise, on which a sampler of few steps
    would spend a part of them.
    """

    offset: float = 0.008
    beta_max: float = 100.0

    def __post_init__(self) -> None:
        if self.offset <= 0.0 or self.beta_max <= self._rate * math.tan(self._start):
            raise ValueError(
                f"expected offset > 0 and beta_max above beta(0); got {self.offset} and {self.beta_max}. "
                "Use 0.008 and 100."
            )

    @property
    def _rate(self) -> float:
        """pi/(1 + s): beta is this times tan(u), and u grows by half of it from t = 0 to 1."""
        return math.pi / (1.0 + self.offset)

    @property
    def _start(self) -> float:
        """u at t = 0."""
        return 0.5 * self._rate * self.offset

    @property
    def _cut(self) -> float:
        """Time from which beta is constant."""
        return (math.atan(self.beta_max / self._rate) - self._start) / (0.5 * self._rate)

    def beta(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """beta(t), cut at beta_max."""
        angle = self._start + 0.5 * self._rate * time.clamp(max=self._cut)
        return self._rate * torch.tan(angle)

    def integral(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """B(t) = -2 log(cos(u)/cos(u_0)), with cos(u)/cos(u_0) = cos(d) - sin(d) tan(u_0) and d = u - u_0."""
        turn = 0.5 * self._rate * time.clamp(max=self._cut)
        lost = 2.0 * torch.sin(0.5 * turn) ** 2 + torch.sin(turn) * math.tan(self._start)
        return -2.0 * torch.log1p(-lost) + self.beta_max * (time - self._cut).clamp(min=0.0)

    def time(self, integral: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """From tan(u), with sin^2(u) = sin^2(u_0) + cos^2(u_0) (1 - exp(-B)); linear beyond the cut."""
        at_cut = self.integral(torch.tensor(self._cut, dtype=torch.float64)).item()
        curved = integral.clamp(max=at_cut)
        sine = torch.sqrt(math.sin(self._start) ** 2 - math.cos(self._start) ** 2 * torch.expm1(-curved))
        angle = torch.atan2(sine, math.cos(self._start) * torch.exp(-0.5 * curved))
        beyond = (integral - at_cut).clamp(min=0.0) / self.beta_max
        return (angle - self._start) / (0.5 * self._rate) + beyond


@dataclass(frozen=True)
class Sigmoid:
    """The schedule of DiG (supplementary information of arXiv 2306.05445), b_i for i = 1 ... N, i/N = t:

    b_i = (b_end - b_start) / (1 + exp(12 (0.5 - i/N))) + b_start, and beta(t) = N b(t).
    It ends at alpha(1) = 0.082 (0.080 as a discrete product), not at 0: see `Process.prior_mismatch_nats`.
    """

    beta_start: float = 1e-7
    beta_end: float = 0.02
    steps: int = 500

    def __post_init__(self) -> None:
        check_rates(self.beta_start, self.beta_end)
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1; got {self.steps}. The paper uses 500 or 5000.")

    @property
    def _span(self) -> float:
        """N (b_end - b_start)."""
        return self.steps * (self.beta_end - self.beta_start)

    def beta(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """beta(t) = N b(t)."""
        return self._span * torch.sigmoid(12.0 * (time - 0.5)) + self.steps * self.beta_start

    def integral(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """B(t); softplus(v) - softplus(-6) = log1p(sigmoid(-6) (exp(v + 6) - 1)), v + 6 = 12 t."""
        rise = torch.log1p(_SIGMOID_MINUS_6 * torch.expm1(12.0 * time))
        return self._span / 12.0 * rise + self.steps * self.beta_start * time

    def time(self, integral: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Closed form without the b_start t term, then Newton's steps (B is convex: they converge)."""
        start = torch.expm1(12.0 / self._span * integral) / _SIGMOID_MINUS_6
        time = torch.log1p(start) / 12.0
        for _ in range(NEWTON_STEPS):
            time = time - (self.integral(time) - integral) / self.beta(time)
        return time


_SIGMOID_MINUS_6 = 1.0 / (1.0 + math.exp(6.0))

SCHEDULES = {"linear": Linear, "cosine": Cosine, "sigmoid": Sigmoid}
