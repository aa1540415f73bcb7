"""Physics-informed diffusion pre-training (PIDP): the Fokker-Planck equation of a forward process as a loss.

The density q_t of dx = f x dt + g dw obeys, with s = grad log q_t and D free coordinates,

    d log q/dt = -f D - f x.s + (g^2/2) (div s + ||s||^2),

and its gradient is the paper's equation for the score (DiG, arXiv 2306.05445, section 2.2 and SI section B.1). Everything
here is divided by g^2, so that it has no scale that depends on the schedule alone. A score network takes the gradient of the
equation; a potential log q + constant takes the equation itself, which keeps the weights of modes that are apart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.divergence import Divergence, subspace_basis
from dig_core.diffusion.processes import Process, Score, State, leading, over_trailing

Potential = Callable[[State, Tensor], Tensor]


def potential_score(potential: Potential) -> Score:
    """The score s = grad phi of a potential phi(state, time) [batch]."""

    def score(state: State, time: Tensor) -> State:
        """Gradient of the potential: fields [batch, ...] as the state's, at times [batch]."""
        return torch.func.grad(lambda x: potential(x, time).sum())(state)

    return score


def fokker_planck_residual(
    score: Score,
    process: Mapping[str, Process],
    state: State,
    time: Float[Tensor, " batch"],
    divergence: Divergence,
) -> State:
    """(ds/dt - grad(d log q/dt)) / g^2 of each field [batch, ...]: 0 for the score of a solution.

    Unbiased for random probes; its square is not (see `product_of_estimates`). A third of its cost without second
    derivatives: `reverse_step_residual`.
    """
    traced = Traced(process, state, divergence)

    def growth(x: State) -> Tensor:
        """The part of d log q/dt that depends on x, summed over the batch: its gradient is each structure's own."""
        return traced.growth(score, x, time).sum()

    wanted = torch.func.grad(growth)(state)
    _, change = torch.func.jvp(lambda t: score(state, t), (time,), (torch.ones_like(time),))
    return {
        field: (change[field] - wanted[field]) / over_trailing(own.diffusion(time) ** 2, wanted[field])
        for field, own in process.items()
    }


@dataclass(frozen=True)
class ReverseStep:
    """A short step of the reverse process: `size` is the standard deviation of its noise over sigma, `pairs` of opposite noise."""

    generator: torch.Generator
    size: float = 0.2
    pairs: int = 1


def reverse_step_residual(
    score: Score,
    process: Mapping[str, Process],
    state: State,
    time: Float[Tensor, " batch"],
    step: ReverseStep,
) -> State:
    """The residual of a score that is a gradient, (ds/dt - grad(d log q/dt)) / g^2, from values of the score alone.

    Along the reverse process dx = (-f x + g^2 s) dr + g dw, r = -t, Ito's formula gives the equation another form: the drift of
    s is f s, so that without f the score is a martingale. Hence, for a step of length d,

        residual = -(<s(x + (-f x + g^2 s) d + g sqrt(d) v, t - d)> - s(x, t) - f s d) / (g^2 d) + O(size^2),

    with the mean over v from pairs of opposite noise: 1 + 2 pairs evaluations, and no derivative at all. It is unbiased for random
    v up to the length of the step, its square is not. Times below the first step are taken as that step's.

    On rotations the same holds for the components of the score in the frame of the body, with f = 0: the Laplacian commutes with the
    turns x -> x Exp(v), and what two of these do not commute by is the cross product of the score with itself.
    """
    own = leading(process)
    length = (step.size * own.sigma(time) / own.diffusion(time)) ** 2
    time = torch.maximum(time, own.minimal_time + length)
    here = score(state, time)
    drift = {f: p.drift(state[f], time) for f, p in process.items()}
    growth = {f: over_trailing(p.drift_rate(time), here[f]) * here[f] for f, p in process.items()}
    rates = {f: over_trailing(p.diffusion(time), here[f]) for f, p in process.items()}
    later = {f: over_trailing(length, here[f]) for f in process}
    change = {f: torch.zeros_like(x) for f, x in here.items()}
    for _ in range(step.pairs):
        noise = {f: p.noise(state[f], step.generator) for f, p in process.items()}
        for sign in (1.0, -1.0):
            moves = {
                f: (rates[f] ** 2 * here[f] - drift[f]) * later[f]
                + sign * rates[f] * later[f].sqrt() * noise[f]
                for f in process
            }
            moved = {f: p.displaced(state[f], moves[f]) for f, p in process.items()}
            there = score(moved, time - length)
            change = {f: total + (there[f] - here[f]) / (2 * step.pairs) for f, total in change.items()}
    return {f: (growth[f] - change[f] / later[f]) / rates[f] ** 2 for f in process}


def potential_residual(
    potential: Potential,
    process: Mapping[str, Process],
    state: State,
    time: Float[Tensor, " batch"],
    divergence: Divergence,
) -> Float[Tensor, " batch"]:
    """(d phi/dt - d log q/dt) / g^2 (first field's g): 0 if phi - log q_t is a constant, the same for all times."""
    traced = Traced(process, state, divergence)
    wanted = traced.growth(potential_score(potential), state, time) - traced.expansion(time)
    change = torch.func.grad(lambda t: potential(state, t).sum())(time)
    return (change - wanted) / next(iter(process.values())).diffusion(time) ** 2


def product_of_estimates(first: State, second: State) -> Float[Tensor, " batch"]:
    """Mean over elements of the product of two independent estimates of a residual: unbiased for its square.

    The square of one estimate with K probes is too large by its variance, which falls as 1/K.
    """
    products = [(first[field] * second[field]).flatten(start_dim=1) for field in first]
    return torch.cat(products, dim=1).mean(dim=1)


def energy_boundary(
    score: Score,
    state: State,
    time: Float[Tensor, " batch"],
    forces_per_kT: State,
) -> Float[Tensor, " batch"]:
    """Mean over elements of || s - F/kT ||^2 / (1 + mean (F/kT)^2) at a small time (DiG, boundary loss).

    `forces_per_kT` are those of the clean structures, in units of the state (its length over kT). The denominator keeps
    strained structures, whose forces span decades, from carrying the mean.
    """
    slope, forces = (_joined(x, forces_per_kT) for x in (score(state, time), forces_per_kT))
    return (slope - forces).square().mean(dim=1) / (1.0 + forces.square().mean(dim=1))


def absolute_boundary(
    score: Score, state: State, time: Float[Tensor, " batch"], forces_per_kT: State
) -> Float[Tensor, " batch"]:
    """Mean over elements of || s - F/kT ||^2: the largest forces carry the mean. Arguments as `energy_boundary`."""
    slope, forces = (_joined(x, forces_per_kT) for x in (score(state, time), forces_per_kT))
    return (slope - forces).square().mean(dim=1)


def direction_boundary(
    score: Score, state: State, time: Float[Tensor, " batch"], forces_per_kT: State
) -> Float[Tensor, " batch"]:
    """1 - cos of the angle between s and F: their sizes are free (DiG SI, for t -> 0). Arguments as `energy_boundary`."""
    slope, forces = (_joined(x, forces_per_kT) for x in (score(state, time), forces_per_kT))
    return 1.0 - torch.nn.functional.cosine_similarity(slope, forces, dim=1)


def _joined(state: State, fields: Iterable[str]) -> Float[Tensor, "batch coordinates"]:
    """The fields side by side, in this order."""
    return torch.cat([state[field].flatten(start_dim=1) for field in fields], dim=1)


BOUNDARIES = {"relative": energy_boundary, "absolute": absolute_boundary, "direction": direction_boundary}


class Traced:
    """The right-hand side of the equation for one batch, with directions for its divergence that stay the same."""

    def __init__(self, process: Mapping[str, Process], state: State, divergence: Divergence):
        self.process, self.divergence = process, divergence
        self.shapes = {field: x.shape[1:] for field, x in state.items()}
        flat = _joined(state, state).detach()
        self.basis = subspace_basis(self._projected, flat)
        self.directions = self._state(divergence.directions(self.basis, len(flat)))

    def growth(self, score: Score, state: State, time: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """-f x.s + (g^2/2) (div s + ||s||^2), the part of d log q/dt that depends on x."""

        slope, transposed = torch.func.vjp(lambda x: score(x, time), state)
        rates = {field: 0.5 * own.diffusion(time) ** 2 for field, own in self.process.items()}
        # v.J v as (J^T v).v: backwards all directions share one evaluation, and cost half of what they do forwards.
        (pulled,) = torch.vmap(transposed)(
            {field: over_trailing(rates[field], v[0]) * v for field, v in self.directions.items()}
        )
        curvatures = sum(_products(pulled[field], v, 2) for field, v in self.directions.items())
        total = self.divergence.estimates(curvatures).mean(dim=1)
        for field, own in self.process.items():
            transport = _products(own.drift(state[field], time), slope[field], 1)
            total = total + rates[field] * _products(slope[field], slope[field], 1) - transport
        return total

    def expansion(self, time: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """f D, summed over the fields."""
        shares = self._state(self.basis.square().sum(dim=0, keepdim=True))
        return sum(own.drift_rate(time) * shares[field].sum() for field, own in self.process.items())

    def _state(self, flat: Float[Tensor, "*batch coordinates"]) -> State:
        parts = flat.split([shape.numel() for shape in self.shapes.values()], dim=-1)
        return {f: part.unflatten(-1, self.shapes[f]) for f, part in zip(self.shapes, parts, strict=True)}

    def _projected(self, flat: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        parts = self._state(flat)
        return _joined({f: self.process[f].projection(x) for f, x in parts.items()}, parts)


def _products(first: Tensor, second: Tensor, axes: int) -> Tensor:
    """Scalar products over all but the first axes."""
    return (first * second).flatten(start_dim=axes).sum(dim=-1)
