"""Forward diffusion processes: q(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I) for each field, t in [0, 1].

A state is a dictionary field -> tensor [batch, ...]; a product of independent processes is a mapping field ->
Process. States are scaled to unit variance by the caller, so everything here is dimensionless. `time` has
shape [batch] and acts on all trailing dimensions of x; scalars (0-dimensional tensors) are accepted as well.
How points move and what a network says of them is the process's own: `displaced` to `unit_variance_weight` below are those of a
Euclidean field; `brownian_rotations` has those of rotations.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.schedules import SCHEDULES, Schedule

State = dict[str, Tensor]
Score = Callable[[State, Tensor], State]
Projection = Callable[[Tensor], Tensor]
Generators = torch.Generator | Sequence[torch.Generator]


def identity(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The projection of a process that lives in the whole space."""
    return x


def mean_free(x: Float[Tensor, "*batch atoms space"]) -> Float[Tensor, "*batch atoms space"]:
    """Projection onto configurations with their unweighted centre at the origin (mean over dimension -2)."""
    return x - x.mean(dim=-2, keepdim=True)


def over_trailing(coefficient: Float[Tensor, "*batch"], like: Tensor) -> Tensor:
    """Coefficients [batch] shaped to multiply `like` [batch, ...]; scalars stay scalars."""
    if coefficient.ndim == 0:
        return coefficient
    return coefficient.reshape(coefficient.shape + (1,) * (like.ndim - coefficient.ndim))


def standard_normal(
    like: Float[Tensor, "batch *shape"], generator: Generators
) -> Float[Tensor, "batch *shape"]:
    """N(0, I) of the shape, type and device of `like`.

    With one generator per sample, sample i depends on its own generator only, whatever the batch size. The
    numbers are drawn on the generator's device. Raises ValueError if the number of generators is not the
    batch.
    """
    return _drawn(torch.randn, like, generator)


def uniform(like: Float[Tensor, "batch *shape"], generator: Generators) -> Float[Tensor, "batch *shape"]:
    """Numbers between 0 and 1, otherwise as `standard_normal`."""
    return _drawn(torch.rand, like, generator)


def _drawn(draw: Callable[..., Tensor], like: Tensor, generator: Generators) -> Tensor:
    def one(part: Tensor, own: torch.Generator) -> Tensor:
        """Numbers of the shape of a part, by a generator of its own."""
        return draw(part.shape, generator=own, dtype=part.dtype, device=own.device).to(part.device)

    if isinstance(generator, torch.Generator):
        return one(like, generator)
    if len(generator) != len(like):
        raise ValueError(
            f"expected one generator per sample, {len(like)}; got {len(generator)}. "
            "Give one generator for the batch or one for each sample."
        )
    return torch.stack([one(part, own) for part, own in zip(like, generator, strict=True)])


@runtime_checkable
class Process(Protocol):
    """A diffusion of one field; with the methods given here, dx = f(t) x dt + g(t) dw of a Euclidean one, and its Gaussian kernel.

    The part of x outside the range of `projection` stays zero: noise and prior are projected, clean data must
    be. Samplers and training use times from `minimal_time` (where sigma is still positive) to `maximal_time`.
    """

    projection: Projection
    minimal_time: float
    maximal_time: float

    def alpha(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Factor of the clean signal in x_t."""
        ...

    def sigma(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Standard deviation of the noise in x_t."""
        ...

    def noise_to_signal(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """tau = sigma/alpha, increasing in time."""
        ...

    def time(self, noise_to_signal: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Inverse of `noise_to_signal`."""
        ...

    def drift_rate(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """f(t) = d log(alpha)/dt."""
        ...

    def drift(self, x: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"]) -> Float[Tensor, "*vector"]:
        """f(t) x."""
        return over_trailing(self.drift_rate(time), x) * x

    def diffusion(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """g(t), with g^2 = d(sigma^2)/dt - 2 f sigma^2."""
        ...

    def perturb(
        self, clean: Float[Tensor, "*shape"], time: Float[Tensor, "*batch"], noise: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """x_t = alpha(t) x_0 + sigma(t) eps."""
        return over_trailing(self.alpha(time), clean) * clean + over_trailing(self.sigma(time), clean) * noise

    def noise(
        self, like: Float[Tensor, "batch *shape"], generator: Generators
    ) -> Float[Tensor, "batch *shape"]:
        """Standard normal noise in the subspace of the process."""
        return self.projection(standard_normal(like, generator))

    def prior_scale(self) -> float:
        """Standard deviation of the prior: that of x_1 for data of unit variance (1 for VP)."""
        end = torch.tensor(self.maximal_time, dtype=torch.float64)
        return math.hypot(self.alpha(end).item(), self.sigma(end).item())

    def prior(
        self, like: Float[Tensor, "batch *shape"], generator: Generators
    ) -> Float[Tensor, "batch *shape"]:
        """Draw from p_simple = N(0, prior_scale^2 I), the start of every sampler."""
        return self.prior_scale() * self.noise(like, generator)

    def prior_mismatch_nats(self, data_second_moment: float, dimension: int) -> float:
        """How far the end of the forward process is from the prior, in nats.

        This is the prior term of the variational bound, the mean over data of KL(N(alpha x_0, sigma^2 I) ||
        p_simple) at t = 1 (Ho et al. 2020, arXiv 2006.11239, eq. 5, L_T): an upper bound of KL(q_1 ||
        p_simple), since KL is convex. It needs only `data_second_moment` = mean of x_0^2 per coordinate and
        `dimension` = number of free coordinates. (The KL of a Gaussian with the moments of q_1 would be 0 for
        all data of unit variance.)
        """
        end = torch.tensor(self.maximal_time, dtype=torch.float64)
        prior = self.prior_scale() ** 2
        signal = self.alpha(end).item() ** 2 * data_second_moment / prior
        noise = self.sigma(end).item() ** 2 / prior
        return 0.5 * dimension * (signal + noise - 1.0 - math.log(noise))

    def prior_log_density(self, y: Float[Tensor, "batch *shape"], dimension: int) -> Float[Tensor, " batch"]:
        """ln p_simple of y = x/alpha at the maximal time, in a subspace of this dimension, in nats."""
        variance = (self.prior_scale() / self.alpha(torch.tensor(self.maximal_time).double()).item()) ** 2
        squares = y.flatten(start_dim=1).square().sum(dim=1)
        return -0.5 * (squares / variance + dimension * math.log(2.0 * math.pi * variance))

    def displaced(
        self, x: Float[Tensor, "*shape"], vector: Float[Tensor, "*vector"]
    ) -> Float[Tensor, "*shape"]:
        """The point at the end of a vector, which has the shape of noise and of scores."""
        return x + vector

    def displacement(
        self, x: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*vector"]:
        """The vector from x to a target, the inverse of `displaced`."""
        return target - x

    def between(
        self, x: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], share: Float[Tensor, ""]
    ) -> Float[Tensor, "*shape"]:
        """The point on the way from x to a target at which `share` of the way is left."""
        return share * x + (1.0 - share) * target

    def extrapolated(
        self,
        x: Float[Tensor, "*shape"],
        target: Float[Tensor, "*shape"],
        earlier: Float[Tensor, "*shape"],
        weight: Float[Tensor, ""],
    ) -> Float[Tensor, "*shape"]:
        """`target` carried on by `weight` times its way from `earlier`, as seen from x."""
        return target + weight * (target - earlier)

    def denoised(
        self, x: Float[Tensor, "*shape"], score: Float[Tensor, "*vector"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*shape"]:
        """E[x_0 | x_t] = (x_t + sigma^2 score)/alpha (Tweedie's formula; Efron 2011, eq. 1.4), projected.

        So a score which leaves the subspace of the process does not carry the sample out of it.
        """
        alpha, sigma = over_trailing(self.alpha(time), x), over_trailing(self.sigma(time), x)
        return self.projection((x + sigma**2 * score) / alpha)

    def score_from_raw(
        self, y: Float[Tensor, "*shape"], raw: Float[Tensor, "*vector"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*vector"]:
        """The score of a network's raw output F of unit variance at y = x/alpha; see `preconditioning.preconditioned`.

        (alpha D - x)/sigma^2 with D of eq. 7 there inserted: no large numbers cancel at small or large tau.
        """
        alpha = over_trailing(self.alpha(time), y)
        tau = over_trailing(self.noise_to_signal(time), y)
        total = torch.sqrt(1.0 + tau**2)
        return (self.projection(raw) / (tau * total) - y / total**2) / alpha

    def residual(
        self, score: Float[Tensor, "*vector"], time: Float[Tensor, "*batch"], noise: Float[Tensor, "*vector"]
    ) -> Float[Tensor, "*vector"]:
        """sigma (score - score of the kernel) = sigma score + eps, of a score at `perturb(clean, time, noise)`."""
        return over_trailing(self.sigma(time), score) * score + noise

    def unit_variance_weight(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """1 + tau^2: with it the mean square of `residual` is || F - F_target ||^2, 1 for a network that returns 0.

        Karras et al. 2022, eq. 8: their weight (1 + tau^2)/tau^2 of || D - x_0 ||^2, and sigma score + eps = (D -
        x_0)/tau. F_target has unit variance for data of unit variance.
        """
        return 1.0 + self.noise_to_signal(time) ** 2


@dataclass(frozen=True)
class VariancePreserving(Process):
    """dx = -(beta/2) x dt + sqrt(beta) dw (Ornstein-Uhlenbeck; DiG, arXiv 2306.05445, eq. 1).

    alpha^2 = exp(-B), sigma^2 = 1 - exp(-B), B = int_0^t beta. `schedule` is a Schedule or one of the names
    in SCHEDULES (linear, cosine, sigmoid). sigma(0) = 0, so sampling and training stop at `minimal_time`.
    """

    schedule: Schedule | str = "linear"
    projection: Projection = identity
    minimal_time: float = 1e-3
    maximal_time: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.schedule, str):
            if self.schedule not in SCHEDULES:
                names = ", ".join(SCHEDULES)
                raise ValueError(
                    f"expected a schedule among {names}; got {self.schedule}. Choose one of these."
                )
            # The dataclass is frozen; a name is replaced by its schedule once, here.
            object.__setattr__(self, "schedule", SCHEDULES[self.schedule]())
        check_times(self.minimal_time, self.maximal_time)
        if self.minimal_time == 0.0:
            raise ValueError("expected minimal_time > 0; got 0. The score diverges there: use 1.0e-3.")

    def alpha(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """exp(-B/2)."""
        return torch.exp(-0.5 * self.schedule.integral(time))

    def sigma(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """sqrt(1 - exp(-B))."""
        return torch.sqrt(-torch.expm1(-self.schedule.integral(time)))

    def noise_to_signal(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """tau = sqrt(exp(B) - 1)."""
        return torch.sqrt(torch.expm1(self.schedule.integral(time)))

    def time(self, noise_to_signal: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The time at which B = log(1 + tau^2)."""
        return self.schedule.time(torch.log1p(noise_to_signal**2))

    def drift_rate(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """-beta/2."""
        return -0.5 * self.schedule.beta(time)

    def diffusion(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """sqrt(beta)."""
        return torch.sqrt(self.schedule.beta(time))


@dataclass(frozen=True)
class VarianceExploding(Process):
    """dx = g(t) dw with sigma(t) = sigma_min (sigma_max/sigma_min)^t, alpha = 1 (Song et al. 2021, eq. 31).

    sigma(0) = sigma_min: the process starts from data blurred by sigma_min. Both are in units of the data's
    standard deviation (the state is scaled to unit variance).
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    projection: Projection = identity
    minimal_time: float = 0.0
    maximal_time: float = 1.0

    def __post_init__(self) -> None:
        check_times(self.minimal_time, self.maximal_time)
        if not 0.0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                f"expected 0 < sigma_min < sigma_max; got {self.sigma_min} and {self.sigma_max}. "
                "Give them in units of the data's standard deviation."
            )

    def _growth(self) -> float:
        """d log(sigma)/dt."""
        return math.log(self.sigma_max / self.sigma_min)

    def alpha(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """1: the signal is not scaled."""
        return torch.ones_like(time)

    def sigma(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """sigma_min (sigma_max/sigma_min)^t."""
        return self.sigma_min * torch.exp(self._growth() * time)

    def noise_to_signal(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """tau = sigma."""
        return self.sigma(time)

    def time(self, noise_to_signal: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """log(tau/sigma_min) / log(sigma_max/sigma_min)."""
        return torch.log(noise_to_signal / self.sigma_min) / self._growth()

    def drift_rate(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """0."""
        return torch.zeros_like(time)

    def diffusion(self, time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """g = sigma sqrt(2 log(sigma_max/sigma_min))."""
        return math.sqrt(2.0 * self._growth()) * self.sigma(time)


def check_times(minimal_time: float, maximal_time: float) -> None:
    """Raise ValueError unless 0 <= minimal_time < maximal_time <= 1."""
    if not 0.0 <= minimal_time < maximal_time <= 1.0:
        raise ValueError(
            f"expected 0 <= minimal_time < maximal_time <= 1; got {minimal_time} and {maximal_time}. "
            "Use 1.0e-3 and 1.0."
        )


def leading(process: Mapping[str, Process]) -> Process:
    """The first field's process: all fields share one time, so its tau names the level for all."""
    if not process:
        raise ValueError(
            "expected a process for at least one field; got none. Give a mapping field -> Process."
        )
    return next(iter(process.values()))


def denoised(score: Score, process: Mapping[str, Process], x: State, time: Float[Tensor, " batch"]) -> State:
    """The denoised point of every field, E[x_0 | x_t] of a Euclidean one: `Process.denoised`."""
    slope = score(x, time)
    return {field: process[field].denoised(x[field], slope[field], time) for field in x}
