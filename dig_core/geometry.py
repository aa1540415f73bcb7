"""Geometry of structures: superposition, distances, and what neither rotation nor translation changes."""

import torch
from jaxtyping import Float
from torch import Tensor

SHORTEST_DISTANCE = 0.01  # closer ones have no derivative


def superposed(
    mobile: Float[Tensor, "*batch atoms 3"], reference: Float[Tensor, "*batch atoms 3"]
) -> Float[Tensor, "*batch atoms 3"]:
    """`mobile`, turned and shifted to the smallest root mean square distance from `reference` (same unit).

    Kabsch, Acta Crystallographica A 32, 922 (1976). Never reflected: a mirror image stays one.
    """
    centre = reference.mean(dim=-2, keepdim=True)
    centred = mobile - mobile.mean(dim=-2, keepdim=True)
    return centred @ rotation(centred, reference - centre) + centre


def rotation(
    mobile: Float[Tensor, "*batch atoms 3"], reference: Float[Tensor, "*batch atoms 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """The rotation that takes `mobile` (from the right, both with their centres at the origin) nearest to `reference`."""
    left, _, right = torch.linalg.svd(mobile.mT @ reference)
    handedness = torch.ones_like(left[..., 0])
    handedness[..., 2] = torch.linalg.det(left @ right)
    return (left * handedness[..., None, :]) @ right


def full_precision(positions: Tensor) -> torch.autocast:
    """A context without autocast: matrix products of positions would lose them in bfloat16."""
    return torch.autocast(positions.device.type, enabled=False)


def distances(positions: Float[Tensor, "batch atoms 3"]) -> Float[Tensor, "batch atoms atoms"]:
    """All distances, from scalar products: a tenth of the work of all differences, and exact enough for mean-free positions."""
    squares = positions.square().sum(-1)
    sums = squares[:, :, None] + squares[:, None]
    products = torch.baddbmm(sums, positions, positions.transpose(1, 2), alpha=-2)
    return products.clamp(min=SHORTEST_DISTANCE**2).sqrt()


def along_pairs(
    strength: Float[Tensor, "batch atoms atoms"], positions: Float[Tensor, "batch atoms 3"]
) -> Float[Tensor, "batch atoms 3"]:
    """sum_j s_ij (x_j - x_i)."""
    return strength @ positions - strength.sum(-1, keepdim=True) * positions


def invariants(vectors: Float[Tensor, "batch atoms heads 3"]) -> Float[Tensor, "batch atoms features"]:
    """Lengths, scalar products of neighbours, and triple products: they change sign in a mirror image, and are small."""
    following, next_one = vectors.roll(1, dims=2), vectors.roll(2, dims=2)
    products = (vectors * following).sum(-1)
    volumes = (vectors * torch.linalg.cross(following, next_one)).sum(-1)
    return torch.cat([vectors.square().sum(-1), products, 4 * volumes], dim=-1)
