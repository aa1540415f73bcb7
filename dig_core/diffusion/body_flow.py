"""The probability flow of bodies, whose rotations are a field beside their positions, and paths through its latent states.

Points of a product of fields move along vectors (`Process.displaced`): all fields side by side, 3 for each position and 3 for each
rotation, in the frame of its body. In y = x/alpha and u = ln tau of the first field the flow is

    dy/du = V = -sigma^2 score/alpha

times d ln tau_field/du for the other fields (`flow` has the same in other coordinates). A vector v turns a body by dR = R [v], where [v] w = v x w:
so the adaptive method of `integration` solves it for the nine numbers of each R, which are brought back to a rotation wherever they are
read. Structures are y at the minimal time, latent states x at the maximal time, as in `flow`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dig_core.diffusion.flow import (
    SUBSPACE_TOLERANCE,
    check_fields,
    check_gradient,
    growth,
    level_range,
    level_rate,
    level_time,
)
from dig_core.diffusion.integration import ErrorNorm, accepted_steps, integrate, integrate_through
from dig_core.diffusion.interpolation import PATHS, TOLERANCE, LatentPath
from dig_core.diffusion.processes import Process, Score, State, leading

Path = Callable[[Tensor], State]


@dataclass(frozen=True)
class BodyFlow:
    """The flow of states like `like`: points y in float64; the score sees the type of `like`.

    Raises ValueError if its fields are not those of the process, or it does not lie in their subspace.
    """

    score: Score
    process: Mapping[str, Process]
    like: State

    def __post_init__(self) -> None:
        check_fields(self.process, self.like)
        for field, own in self.process.items():
            outside = (self.like[field] - own.projection(self.like[field])).abs().max().item()
            if not outside <= SUBSPACE_TOLERANCE * max(1.0, self.like[field].abs().max().item()):
                raise ValueError(
                    f"expected {field} in the subspace of their process; got {outside:.2g} outside of it. "
                    "Apply the process's projection (mean_free: subtract the centre)."
                )

    @cached_property
    def range(self) -> tuple[float, float]:
        """u at the minimal and the maximal time."""
        return level_range(self.process)

    @cached_property
    def still(self) -> Float[Tensor, "batch coordinates"]:
        """The vectors of no motion."""
        return torch.cat([part.flatten(1) for part in self._vectors_of_no_motion.values()], dim=1)

    def parts(self, flat: Float[Tensor, "rows coordinates"]) -> State:
        """Flat vectors, field by field, in the shape of their scores."""
        shapes = {f: vectors.shape[1:] for f, vectors in self._vectors_of_no_motion.items()}
        split = flat.split([shape.numel() for shape in shapes.values()], dim=1)
        return {f: part.reshape(-1, *shapes[f]) for f, part in zip(shapes, split, strict=True)}

    def projected(self, flat: Float[Tensor, "rows coordinates"]) -> Float[Tensor, "rows coordinates"]:
        """Projection of each field onto the subspace of its process."""
        parts = self.parts(flat)
        return torch.cat([self.process[f].projection(part).flatten(1) for f, part in parts.items()], dim=1)

    def dimensions(self, basis: Float[Tensor, "dimension coordinates"]) -> dict[str, int]:
        """Of the subspace of each field."""
        return {f: round(part.square().sum().item()) for f, part in self.parts(basis).items()}

    def points(self) -> State:
        """The structures, in float64."""
        return {f: self.like[f].double() for f in self.process}

    def displaced(self, y: State, flat: Float[Tensor, "batch coordinates"]) -> State:
        """The points at the ends of flat vectors."""
        parts = self.parts(flat)
        return {f: own.displaced(y[f], parts[f]) for f, own in self.process.items()}

    def velocity(self, u: float, y: State) -> Float[Tensor, "batch coordinates"]:
        """V = dy/du. Raises ValueError where a gradient is asked for that the score does not have."""
        time, first = level_time(self.process, u), leading(self.process)
        x = {f: (own.alpha(time) * y[f]).to(self.like[f]) for f, own in self.process.items()}
        slope = self.score(x, next(iter(x.values())).new_full((len(self.still),), float(time)))
        velocities = []
        for f, own in self.process.items():
            check_gradient(y[f], slope[f])
            rate = level_rate(own, time) / level_rate(first, time)
            factor = -rate * own.sigma(time) ** 2 / own.alpha(time)
            velocities.append((factor * own.projection(slope[f].double())).flatten(1))
        return torch.cat(velocities, dim=1)

    def structures(self, y: State) -> State:
        """Points at the minimal time, of the type of `like`."""
        return {f: y[f].to(self.like[f]) for f in self.process}

    def latent(self, y: State) -> State:
        """x of points at the maximal time, of the type of `like`."""
        time = level_time(self.process, self.range[1])
        return {f: (own.alpha(time) * y[f]).to(self.like[f]) for f, own in self.process.items()}

    def points_of_latent(self) -> State:
        """y of the states where these are latent ones, in float64."""
        time = level_time(self.process, self.range[1])
        return {f: self.like[f].double() / own.alpha(time) for f, own in self.process.items()}

    def numbers(self, y: State) -> Float[Tensor, "batch numbers"]:
        """Points as flat tensors: nine numbers for each rotation."""
        return torch.cat([y[f].flatten(1) for f in self.process], dim=1)

    def points_at(self, numbers: Float[Tensor, "batch numbers"]) -> State:
        """The points again; what has come to lie beside the rotations is brought back."""
        return {
            f: _orthonormal(part) if self._turns(f) else part
            for f, part in zip(self.process, self._split(numbers), strict=True)
        }

    def slope(self, u: float, numbers: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch numbers"]:
        """dy/du of flat points: each row r of a rotation moves as r x v, which is R [v]."""
        y = self.points_at(numbers)
        vectors = self.parts(self.velocity(u, y))
        moved = {
            f: torch.linalg.cross(y[f], v[..., None, :]) if self._turns(f) else v for f, v in vectors.items()
        }
        return self.numbers(moved)

    def error_norm(self, tolerance: float) -> ErrorNorm:
        """Largest root mean square over a field of a structure, in units of `tolerance`; for positions of that times s = sqrt(1 + tau^2)
        (at the smaller of two ends), the deviation of noisy data.
        """

        def norm(error: Tensor, u: float, after: float) -> float:
            """The largest error of any structure and field."""
            time = level_time(self.process, min(u, after))
            sizes = [1.0 if self._turns(f) else growth(own, time).item() for f, own in self.process.items()]
            squares = [part.flatten(1).square().mean(dim=1).max() for part in self._split(error)]
            return max(s.sqrt().item() / (tolerance * size) for s, size in zip(squares, sizes, strict=True))

        return norm

    def _split(self, numbers: Float[Tensor, "batch numbers"]) -> list[Tensor]:
        """Field by field, in the shape of their points."""
        parts = numbers.split([self.like[f][0].numel() for f in self.process], dim=1)
        return [
            part.reshape(-1, *self.like[f].shape[1:]) for f, part in zip(self.process, parts, strict=True)
        ]

    def _turns(self, field: str) -> bool:
        """Whether points of the field are rotations, which their vectors turn."""
        return self._vectors_of_no_motion[field].shape != self.like[field].shape

    @cached_property
    def _vectors_of_no_motion(self) -> State:
        time = torch.tensor(leading(self.process).maximal_time, dtype=torch.float64)
        return {
            f: torch.zeros_like(own.drift(self.like[f].double(), time)) for f, own in self.process.items()
        }


def _orthonormal(numbers: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation near to a matrix whose first column it has but for its length; turned as the matrix is turned (Gram and Schmidt)."""
    first, second, _ = numbers.unbind(-1)
    first = normalize(first, dim=-1)
    second = normalize(second - (second * first).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def up_to(process: Mapping[str, Process], largest_noise: float | None) -> dict[str, Process]:
    """The process ended where tau of its first field is `largest_noise`, if it comes so far; None: as it is.

    Latent states are then structures with so much noise. Raises ValueError for a noise that is not above the smallest one.
    """
    if largest_noise is None:
        return dict(process)
    own, name = leading(process), next(iter(process))
    least = float(own.noise_to_signal(torch.tensor(own.minimal_time, dtype=torch.float64)))
    if largest_noise <= least:
        raise ValueError(
            f"expected largest_noise above the smallest noise, {least:.3g}; got {largest_noise:.3g}. Raise it"
        )
    end = float(own.time(torch.tensor(largest_noise, dtype=torch.float64)))
    return {**process, name: replace(own, maximal_time=min(end, own.maximal_time))}


@torch.no_grad()
def encode_bodies(
    score: Score, process: Mapping[str, Process], state: State, tolerance: float = TOLERANCE
) -> State:
    """Latent states, x at the maximal time, of structures, along the probability flow.

    `tolerance`: largest error of one step, in radians for rotations, in standard deviations of data of unit variance with their noise for
    positions. Raises ValueError for wrong fields, a state outside of the subspace of its process, or a score that is not finite.
    """
    flow = BodyFlow(score, process, state)
    found, _ = integrate(flow.slope, flow.numbers(flow.points()), flow.range, flow.error_norm(tolerance))
    return flow.latent(flow.points_at(found))


@torch.no_grad()
def decode_bodies(
    score: Score, process: Mapping[str, Process], latent: State, tolerance: float = TOLERANCE
) -> State:
    """Structures of latent states: the inverse of `encode_bodies`, with the same tolerance and errors."""
    flow = BodyFlow(score, process, latent)
    start = flow.numbers(flow.points_of_latent())
    found, _ = integrate(flow.slope, start, flow.range[::-1], flow.error_norm(tolerance))
    return flow.structures(flow.points_at(found))


def joined(
    process: Mapping[str, Process], start: State, end: State, shares: Float[Tensor, " points"], kind: str
) -> State:
    """Points on the ways from `start` to `end` [batch, ...], each field [points, batch, ...].

    Positions by the `kind` of PATHS, rotations along geodesics: half a turn has no definite one.
    """

    def of(own: Process, first: Tensor, last: Tensor) -> Tensor:
        """One field: straight or slerp where points are vectors, along geodesics otherwise."""
        if own.displacement(first, last).shape == first.shape:
            return PATHS[kind](first, last, shares)
        return torch.stack([own.between(first, last, 1.0 - share) for share in shares.to(first)])

    return {f: of(own, start[f], end[f]) for f, own in process.items()}


@torch.no_grad()
def path_of_bodies(
    score: Score, process: Mapping[str, Process], start: State, end: State, path: LatentPath
) -> Path:
    """The path between structures [batch, ...] through their latent states: shares [points] to fields [points, batch, ...].

    Structures with all noise have orientations that are uniform, often more than a right angle from that of the least noise. The geodesic
    between two of them may then run through the orientations that are the least likely; with less noise (`up_to`) it does not.
    All shares are decoded by one map, whose steps meet the tolerance for `path.points` evenly spaced ones: where the flow tears states
    apart, neighbours can be followed as closely as numbers allow only so. Superpose `end` on `start` before, or the path also turns
    the whole. Raises ValueError as `encode_bodies` does, and for batches of different size.
    """
    if any(start[field].shape != end[field].shape for field in process if field in start and field in end):
        raise ValueError(
            "expected as many ends as starts, of the same shape; got others. Pair them one to one."
        )
    latents = [encode_bodies(score, process, state, path.tolerance) for state in (start, end)]

    def flow_at(shares: Tensor) -> BodyFlow:
        """The flow of latent states at these shares, which come one after another in its batch."""
        along = joined(process, *latents, shares, path.kind)
        return BodyFlow(score, process, {f: x.flatten(0, 1) for f, x in along.items()})

    even = flow_at(torch.linspace(0.0, 1.0, path.points, dtype=torch.float64))
    first = even.numbers(even.points_of_latent())
    steps = accepted_steps(even.slope, first, even.range[::-1], even.error_norm(path.tolerance))

    @torch.no_grad()
    def at(shares: Tensor) -> State:
        """Structures at these shares of the path."""
        flow = flow_at(shares)
        found = integrate_through(flow.slope, flow.numbers(flow.points_of_latent()), steps)
        structures = flow.structures(flow.points_at(found))
        return {f: x.unflatten(0, (len(shares), -1)) for f, x in structures.items()}

    return at


def interpolate_bodies(
    score: Score, process: Mapping[str, Process], start: State, end: State, path: LatentPath
) -> State:
    """Structures at evenly spaced shares of `path_of_bodies`, the given ones at its ends: each field [points, batch, ...]."""
    shares = torch.linspace(0.0, 1.0, path.points, dtype=torch.float64)
    return path_of_bodies(score, process, start, end, path)(shares)
