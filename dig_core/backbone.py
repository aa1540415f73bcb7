"""Residues as rigid bodies: frames from N, CA and C, and the backbone that frames stand for.

A frame is the position of CA (Angstrom) and a rotation [3, 3] whose columns are the axes of the body in the laboratory: the first from CA
to C, the second towards N at a right angle to it, the third their cross product (Jumper et al. 2021, SI algorithm 21). Lengths and
angles of the ideal residue are those of Engh and Huber 1991, averaged over residues.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

N_CA, CA_C, C_O, CA_CB = 1.458, 1.525, 1.231, 1.530  # Angstrom
N_CA_C, CB_CA_N, CB_CA_C = (math.radians(degrees) for degrees in (111.2, 110.5, 110.1))
ATOMS = ("N", "CA", "C", "O", "CB")


def frames_of(
    nitrogen: Float[Tensor, "*batch 3"], alpha: Float[Tensor, "*batch 3"], carbon: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """Rotations of residues from the positions of N, CA and C; turned as these are turned."""
    first = normalize(carbon - alpha, dim=-1)
    towards = nitrogen - alpha
    second = normalize(towards - (towards * first).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def backbone(
    alpha: Float[Tensor, "*batch residues 3"], rotations: Float[Tensor, "*batch residues 3 3"]
) -> Float[Tensor, "*batch residues 5 3"]:
    """Positions of N, CA, C, O and CB (see `ATOMS`) in Angstrom; glycine has a CB as well, for the caller to leave out.

    O lies in the plane of CA, C and the next N, on the line that halves the angle outside; that of the last residue in the plane of N, CA and C,
    as far from N as it can be.
    """
    ideal = ideal_residue().to(alpha)
    placed = alpha[..., None, :] + torch.einsum("...ij,aj->...ai", rotations, ideal)
    nitrogen, carbon, beta = placed.unbind(-2)
    following = torch.cat([nitrogen[..., 1:, :], _beyond(nitrogen, alpha, carbon)[..., -1:, :]], dim=-2)
    outside = normalize(alpha - carbon, dim=-1) + normalize(following - carbon, dim=-1)
    oxygen = carbon - C_O * normalize(outside, dim=-1)
    return torch.stack([nitrogen, alpha, carbon, oxygen, beta], dim=-2)


def ideal_residue() -> Float[Tensor, "3 3"]:
    """N, C and CB in the frame of a residue, with CA at the origin; L as all of life."""
    nitrogen = torch.tensor([N_CA * math.cos(N_CA_C), N_CA * math.sin(N_CA_C), 0.0])
    along = CA_CB * math.cos(CB_CA_C)
    across = (CA_CB * math.cos(CB_CA_N) - along * math.cos(N_CA_C)) / math.sin(N_CA_C)
    above = -math.sqrt(CA_CB**2 - along**2 - across**2)
    return torch.stack([nitrogen, torch.tensor([CA_C, 0.0, 0.0]), torch.tensor([along, across, above])])


def _beyond(nitrogen: Tensor, alpha: Tensor, carbon: Tensor) -> Tensor:
    """Where the next N would be if it were in the plane of N, CA and C on the side of N: O is on the other side."""
    inward = normalize(alpha - carbon, dim=-1)
    towards = nitrogen - alpha
    side = normalize(towards - (towards * inward).sum(-1, keepdim=True) * inward, dim=-1)
    angle = math.radians(117.2)  # CA-C-N
    return carbon + 1.329 * (math.cos(angle) * inward + math.sin(angle) * side)
