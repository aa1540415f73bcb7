"""Targets of denoising with less noise, from the forces on clean structures.

Where data follow exp(-E/kT) and x_t = alpha x_0 + sigma eps, a noised structure comes from clean ones of the density p(x_0 | x_t)
~ exp(-E(x_0)/kT) N(x_t; alpha x_0, sigma^2). The gradient of its logarithm, g = f(x_0)/kT + eps / tau, has the mean 0, as that of
any density has. So K(x_t) g may be taken off the target eps without a change of its mean, the score: a control variate.
K = 0 is denoising, K = tau target score matching (De Bortoli et al. 2024, arXiv 2402.08667); one number for each tau between them
is best where all coordinates are alike (Kahouli et al. 2025, arXiv 2512.20003). A molecule has bonds of 0.03 Angstrom and
torsions of 1: one number serves neither. The variance is least for K = (1/tau^2 + <H>)^-1 / tau, H the Hessian of E/kT, and a
Hessian of springs comes near enough to it.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

CLASSES = 4  # of pairs of atoms: 1, 2, 3, or more bonds apart
KNOTS = 9
FRAMES = 2000  # that tell the variance of distances
START = (1.0, 1.0, 0.1, 0.1)  # factors of the classes


@dataclass(frozen=True)
class Springs:
    """Springs between all atoms of a molecule, as stiff as the distances in its frames let them be.

    `stiffness`: one over the variance of each distance, 0 on the diagonal; `classes`: bonds between two atoms - 1, 3 at most.
    """

    stiffness: Float[Tensor, "atoms atoms"]
    classes: Int[Tensor, "atoms atoms"]

    @classmethod
    def of(
        cls, frames: Float[Tensor, "frames atoms 3"], bonds_apart: Int[Tensor, "atoms atoms"]
    ) -> "Springs":
        """Springs of evenly spaced frames, and the number of bonds on the shortest path between atoms."""
        some = frames[:: max(1, len(frames) // FRAMES)]
        variance = (
            torch.cdist(some, some, compute_mode="donot_use_mm_for_euclid_dist").var(dim=0).clamp(min=1e-10)
        )
        stiffness = torch.where(bonds_apart > 0, 1.0 / variance, 0.0)
        return cls(stiffness, bonds_apart.clamp(1, CLASSES) - 1)


class SpringVariate(nn.Module):
    """K with the Hessian of springs between atoms and of one that holds each atom in its place.

    The stiffness of a spring is multiplied by a factor of its class and of tau. The factors are learned with the network and
    from the same loss: whatever they are, the loss is least at the same score, and the best of them make it smallest.

    Args:
        smallest, largest: the range of tau.
    """

    def __init__(self, smallest: float, largest: float):
        super().__init__()
        knots = torch.linspace(math.log(smallest), math.log(largest), KNOTS)
        self.register_buffer("knots", knots, persistent=False)
        # Nearly no K at large tau before it is learned: there a wrong one would add more noise than it takes.
        in_place = 300.0 * (knots.exp() / 0.02).clamp(min=1.0) ** 2
        factors = torch.cat([torch.tensor(START).expand(KNOTS, CLASSES), in_place[:, None]], dim=1)
        self.tenths = nn.Parameter(
            factors.log() / 10.0
        )  # of the logarithm, which is learned ten times as fast

    def factors(self, tau: Float[Tensor, " batch"]) -> Float[Tensor, "batch factors"]:
        """Factors of the classes, and the stiffness that holds atoms in place: linear between knots of log tau, in the logarithm."""
        place = (tau.log() - self.knots[0]) / (self.knots[1] - self.knots[0])
        distance = (place[:, None] - torch.arange(KNOTS, device=tau.device)).abs()
        return (10.0 * (1.0 - distance).clamp(min=0.0) @ self.tenths).exp()

    def forward(
        self,
        springs: Springs,
        denoised: Float[Tensor, "batch atoms 3"],
        gradient: Float[Tensor, "batch atoms 3"],
        tau: Float[Tensor, " batch"],
    ) -> Float[Tensor, "batch atoms 3"]:
        """K g = (1/tau^2 + H)^-1 g / tau, with the springs of H along the distances in `denoised`.

        `denoised` may be any function of x_t, and of nothing else: with x_0 in it, K g would have a mean.
        """
        factors = self.factors(tau)
        hessian = spring_hessian(denoised, springs.stiffness * factors[:, springs.classes])
        in_place = (tau**-2 + factors[:, CLASSES])[:, None].expand(hessian.shape[:2])
        # From bonds to the softest motions H spans some six decades: all the digits that single precision has.
        whole, flat = (hessian + torch.diag_embed(in_place)).double(), gradient.double().flatten(1)[..., None]
        factor = torch.linalg.cholesky(whole.detach())
        solved = torch.cholesky_solve(flat, factor)
        # A step of iterative refinement: it adds no more than rounding, and carries the derivative without that of the factors.
        solved = solved + torch.cholesky_solve(flat - whole @ solved, factor)
        return solved.view_as(gradient).to(gradient) / tau[:, None, None]


def spring_hessian(
    structure: Float[Tensor, "batch atoms 3"], stiffness: Float[Tensor, "batch atoms atoms"]
) -> Float[Tensor, "batch coordinates coordinates"]:
    """Sum of k_ij u_ij u_ij^T over pairs (as d_i - d_j), u_ij their direction: springs of which none is stretched."""
    apart = structure[:, :, None] - structure[:, None]
    direction = nn.functional.normalize(apart, dim=-1)
    blocks = stiffness[..., None, None] * direction[..., None] * direction[..., None, :]
    own = torch.diag_embed(blocks.sum(dim=2).permute(0, 2, 3, 1)).permute(0, 3, 4, 1, 2)
    return (own - blocks).permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)
