"""The divergence of a vector field within a linear subspace: exact, or estimated with random probes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Generators, standard_normal

Field = Callable[[Tensor], Tensor]


@runtime_checkable
class Divergence(Protocol):
    """A choice of directions v, and what the values v.J v along them say about the trace of J in a subspace."""

    rows: int

    def directions(
        self, basis: Float[Tensor, "dimension coordinates"], batch: int
    ) -> Float[Tensor, "directions batch coordinates"]:
        """The directions for each structure of a batch."""
        ...

    def estimates(self, curvatures: Float[Tensor, "directions batch"]) -> Float[Tensor, "batch estimates"]:
        """Independent estimates of the trace, whose mean is the result."""
        ...


@dataclass(frozen=True)
class ExactDivergence:
    """The sum of v.J v over an orthonormal basis of the subspace: one pass backwards per dimension.

    `rows` bounds the memory: that many pairs of structure and direction go backwards at a time.
    """

    rows: int = 1024

    def directions(
        self, basis: Float[Tensor, "dimension coordinates"], batch: int
    ) -> Float[Tensor, "directions batch coordinates"]:
        """The basis, for each structure."""
        return basis[:, None].expand(-1, batch, -1)

    def estimates(self, curvatures: Float[Tensor, "directions batch"]) -> Float[Tensor, "batch estimates"]:
        """The trace."""
        return curvatures.sum(dim=0)[:, None]


@dataclass(frozen=True)
class HutchinsonDivergence:
    """Estimates v.J v with `probes` Rademacher vectors, projected onto the subspace (Hutchinson 1990; DiG SI algorithm 3).

    E[v v^T] is the projection, so each is unbiased; their spread gives the standard error, for which it takes two. With one
    generator per structure, its probes do not depend on the batch. Raises ValueError for fewer than one probe.
    """

    generator: Generators
    probes: int = 20
    rows: int = 1024

    def __post_init__(self) -> None:
        if self.probes < 1:
            raise ValueError(f"expected probes >= 1; got {self.probes}. 20 are usual for a density.")

    def directions(
        self, basis: Float[Tensor, "dimension coordinates"], batch: int
    ) -> Float[Tensor, "directions batch coordinates"]:
        """Signs drawn with equal probability, projected."""
        normal = standard_normal(basis.new_zeros(batch, self.probes, basis.shape[1]), self.generator)
        signs = torch.where(normal < 0.0, -1.0, 1.0).to(basis)
        return (signs @ basis.T @ basis).transpose(0, 1)

    def estimates(self, curvatures: Float[Tensor, "directions batch"]) -> Float[Tensor, "batch estimates"]:
        """One estimate per probe."""
        return curvatures.T


def subspace_basis(
    projection: Field, like: Float[Tensor, "batch coordinates"]
) -> Float[Tensor, "dimension coordinates"]:
    """An orthonormal basis of the range of an orthogonal projection of vectors [batch, coordinates].

    Raises ValueError if the projection is not one.
    """
    matrix = projection(torch.eye(like.shape[1], dtype=like.dtype, device=like.device))
    if not (
        torch.allclose(matrix, matrix.T, atol=1e-6) and torch.allclose(matrix @ matrix, matrix, atol=1e-6)
    ):
        raise ValueError(
            "expected an orthogonal projection, P = P^T = P P; got another map. Correct the process's projection."
        )
    values, vectors = torch.linalg.eigh(matrix)
    return vectors[:, values > 0.5].T


def curvatures(
    field: Field,
    at: Float[Tensor, "batch coordinates"],
    directions: Float[Tensor, "directions batch coordinates"],
    rows: int,
) -> tuple[Float[Tensor, "batch coordinates"], Float[Tensor, "directions batch"]]:
    """The vectors field(at), and v.J v for each direction v, J the derivative of the field.

    One evaluation of the field, and vector-Jacobian products of many directions at once through its graph: this needs
    nothing of the field but a gradient, and is the cheapest of the ways (tests/benchmarks/divergence_cost.py).
    """
    with torch.enable_grad():
        at = at.detach().requires_grad_(True)
        value = field(at)
    together = max(1, rows // len(at))
    found = [(part * _products(value, at, part)).sum(dim=-1) for part in directions.split(together)]
    return value.detach(), torch.cat(found)


def _products(value: Tensor, at: Tensor, directions: Tensor) -> Tensor:
    """v^T J for each direction."""
    return torch.autograd.grad(value, at, directions, retain_graph=True, is_grads_batched=True)[0]
