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
    left, _, right = torch.linalg.svd(centred.mT @ (reference - centre))
    handedness = torch.ones_like(left[..., 0])
    handedness[..., 2] = torch.linalg.det(left @ right)
    return centred @ (left * handedness[..., None, :]) @ right + centre
