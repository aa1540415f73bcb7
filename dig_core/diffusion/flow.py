"""The probability flow of any score and product of processes, solved to a stated tolerance in either direction.

In y = x/alpha and tau = sigma/alpha the flow is dy/dtau = (y - D)/tau = -sigma score (DiG, arXiv 2306.05445, eq. 3; Song et
al. 2021, arXiv 2011.13456, eq. 13), as in `samplers`. Here it is written for z = y/sqrt(1 + tau^2), which keeps unit
variance where the data have it, and whose prior is N(0, I) for every process, in u = ln tau of the first field:

    dz/du = -(tau/s) (sigma score + (tau/s) z),   s = sqrt(1 + tau^2)

times d ln tau_field/du for the other fields. Structures are y at the minimal time, so they belong to the data blurred by
tau there; latent states are x at the maximal time, where a sampler starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.integration import ErrorNorm
from dig_core.diffusion.processes import Process, Score, State, leading

SUBSPACE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Flow:
    """The flow of states like `like`, as one float64 tensor z [batch, coordinates] of all fields.

    The score sees the type and device of `like`. Raises ValueError if its fields are not those of the process.
    """

    score: Score
    process: Mapping[str, Process]
    like: State

    def __post_init__(self) -> None:
        check_fields(self.process, self.like)
        for field, own in self.process.items():
            like = self.like[field]
            if own.drift(like, like.new_tensor(own.maximal_time)).shape != like.shape:
                raise ValueError(
                    f"expected fields in which points are vectors; got {field}. Take log_density_of_bodies."
                )

    @cached_property
    def range(self) -> tuple[float, float]:
        """u = ln tau of the first field at its minimal and its maximal time."""
        return level_range(self.process)

    def flat(self, state: State) -> Float[Tensor, "batch coordinates"]:
        """All fields side by side, in float64."""
        return torch.cat([state[field].flatten(1).double() for field in self.process], dim=1)

    def state(self, flat: Float[Tensor, "batch coordinates"]) -> State:
        """The fields again, of the type of `like`."""
        sizes = [self.like[field][0].numel() for field in self.process]
        parts = zip(self.process, flat.split(sizes, dim=1), strict=True)
        return {f: part.to(self.like[f].dtype).reshape(-1, *self.like[f].shape[1:]) for f, part in parts}

    def projected(self, flat: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        """Projection of each field onto the subspace of its process."""
        sizes = [self.like[field][0].numel() for field in self.process]
        shaped = zip(self.process.items(), flat.split(sizes, dim=1), strict=True)
        parts = [
            own.projection(part.reshape(-1, *self.like[f].shape[1:])).flatten(1) for (f, own), part in shaped
        ]
        return torch.cat(parts, dim=1)

    def time(self, u: float) -> Float[Tensor, ""]:
        """The time at which ln tau of the first field is u."""
        return level_time(self.process, u)

    def per_coordinate(
        self, value: Callable[[Process, Tensor], Tensor], u: float
    ) -> Float[Tensor, " coordinates"]:
        """A function of process and time, for each coordinate."""
        time = self.time(u)
        parts = [value(own, time).double().expand(self.like[f][0].numel()) for f, own in self.process.items()]
        return torch.cat(parts).to(next(iter(self.like.values())).device)

    def velocity(self, u: float, z: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        """dz/du. Raises ValueError where a gradient is asked for that the score does not have."""
        x = self.state(z * self.per_coordinate(_deviation, u))
        first = next(iter(x.values()))
        slope = self.flat(self.score(x, first.new_full((len(first),), float(self.time(u)))))
        check_gradient(z, slope)
        noise, sigma = self.per_coordinate(noise_share, u), self.per_coordinate(_sigma, u)
        rate = self.per_coordinate(level_rate, u) / float(level_rate(leading(self.process), self.time(u)))
        return -rate * noise * (sigma * self.projected(slope) + noise * z)

    def start(self, structures: State) -> Float[Tensor, "batch coordinates"]:
        """z of structures (y at the minimal time); ValueError if they do not lie in the subspace."""
        return self._inside(structures) / self.per_coordinate(growth, self.range[0])

    def structures(self, z: Float[Tensor, "batch coordinates"]) -> State:
        """Structures of z at the minimal time."""
        return self.state(z * self.per_coordinate(growth, self.range[0]))

    def end(self, latent: State) -> Float[Tensor, "batch coordinates"]:
        """z of latent states (x at the maximal time); ValueError if they do not lie in the subspace."""
        return self._inside(latent) / self.per_coordinate(_deviation, self.range[1])

    def latent(self, z: Float[Tensor, "batch coordinates"]) -> State:
        """Latent states of z at the maximal time."""
        return self.state(z * self.per_coordinate(_deviation, self.range[1]))

    def _inside(self, state: State) -> Tensor:
        flat = self.flat(state)
        outside = (flat - self.projected(flat)).abs().max().item()
        if not outside <= SUBSPACE_TOLERANCE * max(1.0, flat.abs().max().item()):
            raise ValueError(
                f"expected states in the subspace of their process; got {outside:.2g} outside of it. "
                "Apply the process's projection (mean_free: subtract the centre)."
            )
        return flat

    def error_norm(self, tolerance: float) -> ErrorNorm:
        """Largest root mean square over a batch, in units of `tolerance` times the noise in z (the smaller of two ends)."""

        def norm(error: Tensor, u: float, after: float) -> float:
            """Of an error [batch, coordinates]; 1 is the largest that is accepted."""
            allowed = tolerance * self.per_coordinate(noise_share, min(u, after))
            return (error / allowed).square().mean(dim=1).sqrt().max().item()

        return norm


def check_fields(process: Mapping[str, Process], state: State) -> None:
    """Raise ValueError if the fields of a state are not those of the process."""
    if set(state) != set(process):
        raise ValueError(
            f"expected a state of the fields {sorted(process)}; got {sorted(state)}. "
            "Give each field and no other."
        )


def level_range(process: Mapping[str, Process]) -> tuple[float, float]:
    """u = ln tau of the first field at its minimal and its maximal time."""
    own = leading(process)
    ends = torch.tensor([own.minimal_time, own.maximal_time], dtype=torch.float64)
    low, high = own.noise_to_signal(ends).log().tolist()
    return low, high


def level_time(process: Mapping[str, Process], u: float) -> Float[Tensor, ""]:
    """The time at which ln tau of the first field is u."""
    own = leading(process)
    time = own.time(torch.tensor(u, dtype=torch.float64).exp())
    # No rounding may carry it out of the process's range.
    return time.clamp(own.minimal_time, own.maximal_time)


def growth(process: Process, time: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """s = sqrt(1 + tau^2) = y/z."""
    return torch.sqrt(1.0 + process.noise_to_signal(time) ** 2)


def noise_share(process: Process, time: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """tau/s, the standard deviation of the noise in z."""
    return process.noise_to_signal(time) / growth(process, time)


def _deviation(process: Process, time: Tensor) -> Tensor:
    """alpha s = x/z; at the maximal time the prior's standard deviation."""
    return process.alpha(time) * growth(process, time)


def check_gradient(at: Tensor, slope: Tensor) -> None:
    """Raise ValueError where a gradient with respect to `at` is asked for that the score does not have."""
    if at.requires_grad and not slope.requires_grad:
        raise ValueError(
            "expected a score that depends on the state with a gradient; got one without. "
            "Take torch.no_grad out of it, and put create_graph=True into torch.autograd.grad."
        )


def level_rate(process: Process, time: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """d ln tau/dt = g^2 / (2 sigma^2)."""
    return 0.5 * (process.diffusion(time) / process.sigma(time)) ** 2


def _sigma(process: Process, time: Tensor) -> Tensor:
    """sigma, the standard deviation of the noise in x."""
    return process.sigma(time)
