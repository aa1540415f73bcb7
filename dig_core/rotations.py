"""Rotations in three dimensions, and Brownian motion on them (IGSO(3)).

One convention everywhere. A rotation is a matrix [..., 3, 3] that acts from the left. Noise comes from the right, R_t = R_0 Exp(w), in
the frame of the body: the rotation vector w (radians) and the score, which is a vector in that frame, do not change when R_0
and R_t are turned together. `sigma` is that of Brownian motion: for small sigma each component of w has variance sigma^2. In the series
over l below its weight is exp(-l (l + 1) sigma^2 / 2); the literature on proteins writes exp(-l (l + 1) eps^2), so that sigma^2 = 2 eps^2.
Densities are relative to the Haar measure, whose total is 1: far from the start, at large sigma, they are 1.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_SIGMA = 4.0  # beyond, terms of the sum cancel; the density is 1 within 1e-6 there
IMAGES = 6  # turns of 2 pi on each side that are summed
SMALLEST_ANGLE = 1e-3  # below, the score is linear in the angle
ANGLES = 2048  # of the table that is inverted to draw an angle


def exponential(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation about an axis by an angle, both given by a rotation vector in radians."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.linalg.matrix_exp(torch.stack(rows, dim=-1).unflatten(-1, (3, 3)))


def logarithm(rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The rotation vector in radians, of length pi at most."""
    real, imaginary = quaternions(rotations).split([1, 3], dim=-1)
    sine = imaginary.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, real)
    # angle / sin(angle / 2) goes to 2 where both vanish.
    return imaginary * torch.where(sine > 1e-7, angle / sine.clamp(min=1e-7), 2.0)


def quaternions(rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions (w, x, y, z) with w >= 0.

    All four rows of 4 q q^T can be read from the matrix; the one with the largest norm is used (Bar-Itzhack 2000 finds the same
    vector as an eigenvector).
    """
    r = rotations
    trace = r.diagonal(dim1=-2, dim2=-1).sum(-1)
    turn = torch.stack(
        [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1
    )
    identity = torch.eye(3, dtype=r.dtype, device=r.device)
    block = r + r.mT + (1 - trace)[..., None, None] * identity
    first = torch.cat([1 + trace[..., None], turn], dim=-1)
    outer = torch.cat([first[..., None, :], torch.cat([turn[..., :, None], block], dim=-1)], dim=-2)
    chosen = outer.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.take_along_dim(outer, chosen[..., None, None], dim=-2).squeeze(-2)
    unit = row / row.norm(dim=-1, keepdim=True)
    return torch.where(unit[..., :1] < 0, -unit, unit)


def angle_between(
    first: Float[Tensor, "*batch 3 3"], second: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, " *batch"]:
    """Length of the geodesic between two rotations in radians, 0 to pi."""
    return logarithm(first.mT @ second).norm(dim=-1)


def interpolated(
    first: Float[Tensor, "*batch 3 3"], second: Float[Tensor, "*batch 3 3"], share: float | Tensor
) -> Float[Tensor, "*batch 3 3"]:
    """The rotation at a share (0 to 1) of the geodesic from the first to the second."""
    return first @ exponential(share * logarithm(first.mT @ second))


def log_density(angle: Float[Tensor, " *batch"], sigma: Float[Tensor, " *batch"]) -> Float[Tensor, " *batch"]:
    """ln of the density of IGSO(3) at an angle from the start, relative to the Haar measure.

    f(w) = sum_l (2 l + 1) exp(-l (l + 1) sigma^2 / 2) sin((l + 1/2) w) / sin(w / 2) (Nikolayev and Savyolova 1997), here by
    Poisson's summation as a sum over turns of 2 pi, which needs few terms for small sigma. In float64. Raises ValueError for a sigma
    that is not between 0 and `LARGEST_SIGMA`.
    """
    angle, variance = _checked(angle, sigma)
    shifted, weight = _images(angle, variance)
    total = (weight * shifted).sum(-1)
    prefactor = variance / 8 + 0.5 * math.log(2 * math.pi) - 1.5 * variance.log()
    return prefactor - angle**2 / (2 * variance) + total.log() - torch.sin(angle / 2).log()


def score_of_angle(
    angle: Float[Tensor, " *batch"], sigma: Float[Tensor, " *batch"]
) -> Float[Tensor, " *batch"]:
    """d ln f / d w, the length of the score along the axis of w; negative, towards the start. In float64."""
    bounded, variance = _checked(angle.clamp(min=SMALLEST_ANGLE), sigma)
    shifted, weight = _images(bounded, variance)
    slope = (weight * (1 - shifted**2 / variance[..., None])).sum(-1) / (weight * shifted).sum(-1)
    return (slope - 0.5 / torch.tan(bounded / 2)) * angle / bounded


def score(vectors: Float[Tensor, "*batch 3"], sigma: Float[Tensor, " *batch"]) -> Float[Tensor, "*batch 3"]:
    """Gradient of ln f in the frame of the body at R_0 Exp(w); -w / sigma^2 for small sigma. The dtype is that of `vectors`."""
    angle = vectors.double().norm(dim=-1)
    length = score_of_angle(angle, sigma)
    return (vectors * (length / angle.clamp(min=1e-12))[..., None]).to(vectors.dtype)


def brownian(sigma: Float[Tensor, " batch"], generator: torch.Generator) -> Float[Tensor, "batch 3"]:
    """Rotation vectors w of IGSO(3), in float64: angles by inversion of their distribution, axes from all directions alike."""
    axis = torch.randn(len(sigma), 3, generator=generator, dtype=torch.float64, device=sigma.device)
    uniform = torch.rand(len(sigma), 1, generator=generator, dtype=torch.float64, device=sigma.device)
    grid = torch.linspace(0, 1, ANGLES, dtype=torch.float64, device=sigma.device)[1:]
    # The density is below 1e-13 of its maximum beyond eight sigma.
    angles = grid * (8 * sigma.double()).clamp(max=math.pi)[:, None]
    density = angle_density(angles, sigma[:, None].expand_as(angles))
    cumulative = torch.cumulative_trapezoid(density, angles, dim=1)
    cumulative = torch.nn.functional.pad(cumulative / cumulative[:, -1:], (1, 0))
    above = torch.searchsorted(cumulative, uniform).clamp(1, ANGLES - 2)
    low, high = (torch.take_along_dim(cumulative, k, 1) for k in (above - 1, above))
    start, end = (torch.take_along_dim(angles, k, 1) for k in (above - 1, above))
    angle = start + (end - start) * ((uniform - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return angle * axis / axis.norm(dim=1, keepdim=True)


def angle_density(
    angle: Float[Tensor, " *batch"], sigma: Float[Tensor, " *batch"]
) -> Float[Tensor, " *batch"]:
    """Density of the angle itself on 0 to pi: f(w) times (1 - cos w) / pi of the Haar measure."""
    return log_density(angle, sigma).exp() * (1 - torch.cos(angle.double())) / math.pi


def _checked(angle: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    if not ((sigma > 0) & (sigma <= LARGEST_SIGMA)).all():
        raise ValueError(
            f"expected 0 < sigma <= {LARGEST_SIGMA}; got {sigma.min().item():g} to {sigma.max().item():g}. Correct the process"
        )
    return angle.double().clamp(min=1e-6), sigma.double() ** 2


def _images(angle: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """w - 2 pi k and (-1)^k exp(-(w - 2 pi k)^2 / 2 sigma^2) / exp(-w^2 / 2 sigma^2) for the turns k: what remains is finite for small sigma."""
    turns = torch.arange(-IMAGES, IMAGES + 1, dtype=torch.float64, device=angle.device)
    shifted = angle[..., None] - 2 * math.pi * turns
    exponent = (angle[..., None] ** 2 - shifted**2) / (2 * variance[..., None])
    return shifted, (1 - 2 * (turns % 2)) * torch.exp(exponent)
