"""Rigid motions of structures."""

import torch
from jaxtyping import Float
from torch import Tensor


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
