"""Training from energies alone (PIDP): the Fokker-Planck equation at all times, the energy at the smallest noise.

Two forms after DiG (arXiv 2306.05445, section 2.2). The free score is that of the paper: it finds the modes of a density,
but nothing in its equation sees the weights of modes that are apart. The potential, log q_t + constant, sees the values of
the energy at the boundary, and its equation carries them on: it finds the weights as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.fokker_planck import (
    BOUNDARIES,
    Potential,
    potential_score,
    product_of_estimates,
)
from dig_core.diffusion.losses import Batch
from dig_core.diffusion.processes import Process, Score, State, leading, over_trailing
from dig_core.energies.calls import Energy

FIELD = "positions"


@dataclass(frozen=True)
class RelevantStructures:
    """Structures of low energy that need not follow any distribution, with energies and forces: one call each.

    `energies_per_kT` [frames], `state` and `forces_per_kT` [frames, ...], the latter per unit of the state.
    """

    state: State
    energies_per_kT: Float[Tensor, " frames"]
    forces_per_kT: State

    def at(self, indices: Int[Tensor, " batch"]) -> "RelevantStructures":
        """Some of them."""
        state, forces = (
            {field: x[indices] for field, x in part.items()} for part in (self.state, self.forces_per_kT)
        )
        return RelevantStructures(state, self.energies_per_kT[indices], forces)


@dataclass(frozen=True)
class Emphasis:
    """How the parts of the loss weigh.

    Args:
        narrowest: width of the narrowest mode about, in units of the state: residuals are measured against scores of
            1 / (sigma + narrowest)^2, which they would reach there.
        residual: weight of the residual against the boundary.
        curriculum: share of training in which the times of the residual grow from the boundary to the end: errors there
            are carried on to all later times.
        free_constant: whether the potential is known up to a constant at each time: batches then have one time each, and
            the residual is measured from its mean.
        boundary: how forces are compared, one of `BOUNDARIES`.
        rescaled: whether residuals are measured in units of what they reach in the narrowest mode at that time.
        warm_up: share of training in which only the boundary is learned.
    """

    narrowest: float = 0.2
    residual: float = 0.17
    curriculum: float = 0.5
    free_constant: bool = False
    boundary: str = "relative"
    rescaled: bool = True
    warm_up: float = 0.1

    def latest(self, progress: float) -> float:
        """The largest time of the residual, as a share of the whole range."""
        return min(1.0, max(0.003, (progress - self.warm_up) / self.curriculum))

    def scale(self, sigma: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Width of the narrowest mode at a noise of sigma."""
        return sigma + self.narrowest


@runtime_checkable
class Form(Protocol):
    """How the output of a network becomes a free score; a `PotentialForm` also knows it as a potential."""

    def score(self, model: nn.Module) -> Score:
        """A score that need not be a gradient."""
        ...


@runtime_checkable
class PotentialForm(Form, Protocol):
    """How the output of a network becomes a potential log q_t + constant, or a free score."""

    def potential(self, model: nn.Module) -> Potential:
        """phi(state, time) [batch]."""
        ...


@dataclass(frozen=True)
class PointForm:
    """Points [batch, dimension]: -x / (alpha^2 + sigma^2) as the score of an untrained network, Gaussian once the signal is gone."""

    process: Mapping[str, Process]
    emphasis: Emphasis

    def potential(self, model: nn.Module) -> Potential:
        """phi = -||x||^2 / 2 (alpha^2 + sigma^2) + alpha / width^2 F(y, tau).

        y = x / sqrt(alpha^2 + sigma^2); F stays of order 1 down to the smallest noise.
        """

        def potential(state: State, time: Tensor) -> Tensor:
            """log q + constant [batch] at times [batch]."""
            base, scale, raw = self._parts(model, state[FIELD], time)
            return 0.5 * (base * state[FIELD]).sum(dim=1) + (scale * raw)[:, 0]

        return potential

    def score(self, model: nn.Module) -> Score:
        """-x / (alpha^2 + sigma^2) + alpha / width^2 F(y, tau)."""

        def score(state: State, time: Tensor) -> State:
            """The score [batch, dimensions] at times [batch]."""
            base, scale, raw = self._parts(model, state[FIELD], time)
            return {FIELD: base + scale * raw}

        return score

    def _parts(self, model: nn.Module, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = self.process[FIELD]
        alpha, sigma = own.alpha(time), own.sigma(time)
        total = (alpha**2 + sigma**2)[:, None]
        raw = model(x / total.sqrt(), own.noise_to_signal(time))
        return -x / total, (alpha / self.emphasis.scale(sigma) ** 2)[:, None], raw


@dataclass(frozen=True)
class EnergyLoss:
    """Boundary and residual of a network as a potential, or as a free score; a loss for `dig_core.training.train`.

    `residual` is `potential_residual` with a divergence for a potential, whose form is a `PotentialForm`; for a score
    `fokker_planck_residual` with a divergence, or `reverse_step_residual` with a step.
    """

    relevant: RelevantStructures
    process: Mapping[str, Process]
    residual: Callable[..., State | Tensor]
    emphasis: Emphasis
    form: Form
    is_potential: bool = True

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the structures of the batch."""
        chosen = self.relevant.at(batch.indices)
        start = torch.full_like(chosen.energies_per_kT, leading(self.process).minimal_time)
        boundary = BOUNDARIES[self.emphasis.boundary]
        loss = boundary(self.score(model), chosen.state, start, chosen.forces_per_kT)
        if self.is_potential:
            loss = loss + value_errors(
                self.form.potential(model)(chosen.state, start), chosen.energies_per_kT
            )
        if batch.progress < self.emphasis.warm_up:
            return loss
        noised, time = self._noised(chosen.state, batch)
        return loss + self.emphasis.residual * self._residual(model, noised, time)

    def score(self, model: nn.Module) -> Score:
        """The gradient of the potential, or the free score."""
        if self.is_potential:
            return potential_score(self.form.potential(model))
        return self.form.score(model)

    def _residual(self, model: nn.Module, noised: State, time: Tensor) -> Float[Tensor, " batch"]:
        """Square of the residual in units of what the terms of the equation reach in the narrowest mode."""
        if self.is_potential:
            potential = self.form.potential(model)
            residual = self.residual(potential, self.process, noised, time)
            residual = residual - residual.mean() if self.emphasis.free_constant else residual
            return (self._width(leading(self.process), time) ** 2 * residual).square()
        first, second = (self._score_residual(model, noised, time) for _ in range(2))
        return product_of_estimates(first, second)

    def _score_residual(self, model: nn.Module, noised: State, time: Tensor) -> State:
        residual = self.residual(self.score(model), self.process, noised, time)
        widths = {field: self._width(own, time) for field, own in self.process.items()}
        return {field: over_trailing(widths[field] ** 3, x) * x for field, x in residual.items()}

    def _width(self, process: Process, time: Tensor) -> Float[Tensor, " batch"]:
        """Unit of length in which the residual of a field is measured."""
        width = self.emphasis.scale(process.sigma(time))
        return width if self.emphasis.rescaled else torch.ones_like(width)

    def _noised(self, clean: State, batch: Batch) -> tuple[State, Tensor]:
        """Structures at times t = t_max u^2: one u in each of as many equal intervals, or the same u for all."""
        own, count = leading(self.process), len(batch.indices)
        drawn = torch.rand(count, generator=batch.generator, device=batch.generator.device)
        strata = (torch.arange(count, device=drawn.device) + drawn) / count
        uniform = drawn[:1].expand(count) if self.emphasis.free_constant else strata
        latest = self.emphasis.latest(batch.progress) * (own.maximal_time - own.minimal_time)
        time = own.minimal_time + latest * uniform.to(next(iter(clean.values()))) ** 2
        noise = {field: self.process[field].noise(x, batch.generator) for field, x in clean.items()}
        return {field: self.process[field].perturb(x, time, noise[field]) for field, x in clean.items()}, time


def within_decades(relevant: RelevantStructures, decades: float) -> RelevantStructures:
    """The structures whose force is within so many decades of the smallest (DiG SI section B.1: three)."""
    forces = torch.cat([x.flatten(start_dim=1) for x in relevant.forces_per_kT.values()], dim=1)
    sizes = forces.norm(dim=1).log10()
    return relevant.at((sizes <= sizes.min() + decades).nonzero()[:, 0])


def value_errors(
    potential: Float[Tensor, " batch"], energies_per_kT: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """(phi + E/kT - constant)^2 relative to (1 + E/kT)^2, E above its smallest; the constant is the best for the batch."""
    weight = (1.0 + energies_per_kT - energies_per_kT.min()) ** -2
    error = potential + energies_per_kT
    return weight * (error - (weight * error).sum() / weight.sum()).square()


def relevant_structures(
    energy: Energy, box: tuple[float, float], count: int, generator: np.random.Generator
) -> RelevantStructures:
    """Structures around all minima of an energy in kT that short dynamics from a box finds, and some far from them.

    Overdamped Langevin dynamics (time 1.5, in steps of 0.005 with forces cut at 30) from `count` / 50 uniform points; copies of
    its ends with noise of 0.1, and every fifth structure from a normal distribution as wide as the ends.
    """
    points = generator.uniform(*box, (max(1, count // 50), *energy.shape))
    for _ in range(300):
        _, forces = energy(points)
        points = points + 5e-3 * np.clip(forces, -30, 30) + 0.1 * generator.standard_normal(points.shape)
    copies = points[generator.integers(len(points), size=count)]
    copies = copies + 0.1 * generator.standard_normal(copies.shape)
    copies[::5] = points.std(axis=0) * generator.standard_normal(copies[::5].shape) + points.mean(axis=0)
    energies, forces = energy(copies)
    state, energies, forces = (torch.tensor(x, dtype=torch.float32) for x in (copies, energies, forces))
    return RelevantStructures({FIELD: state}, energies, {FIELD: forces})
