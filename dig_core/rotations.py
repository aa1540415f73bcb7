"""Rotations in three dimensions, and Brownian motion on them (IGSO(3)).

One convention everywhere. A rotation is a matrix [..., 3, 3] that acts from the left. Noise comes from the right, R_t = R_0 Exp(w), in
the frame of the body: the rotation vector w (radians) and the score, which is a vector in that frame, do not change when R_0
and R_t are turned together. `sigma` is that of Brownian motion: for small sigma each component of w has variance sigma^2. In the series
over l below its weight is exp(-l (l + 1) sigma^2 / 2); the literature on proteins writes exp(-l (l + 1) eps^2), so that sigma^2 = 2 eps^2.
Densities are relative to the Haar measure, whose total is 1: far from the start, at large sigma, they are 1.
"""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_SIGMA = 4.0  # beyond, terms of the sum cancel; the density is 1 within 1e-6 there
IMAGES = 6  # turns of 2 pi on each side that are summed
SMALLEST_ANGLE = 1e-3  # below, the score is linear in the angle
# Of the tables: a smaller sigma is that of a normal distribution within 1e-6, a longer normal vector has a probability of 1e-6.
SMALLEST_SIGMA, LONGEST_RADIUS = 1e-3, 5.5
SIGMAS, RADII = 1025, 221


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


def from_quaternions(quaternions: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations of quaternions (w, x, y, z) of any length but 0; uniform (Haar) for normal ones, whose directions are uniform."""
    w, x, y, z = (quaternions / quaternions.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


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
    """Rotation vectors w of IGSO(3), in float64."""
    normal = torch.randn(len(sigma), 3, generator=generator, dtype=torch.float64, device=generator.device)
    return from_normal(normal.to(sigma.device), sigma)


def from_normal(
    normal: Float[Tensor, "*batch 3"], sigma: Float[Tensor, " *batch"]
) -> Float[Tensor, "*batch 3"]:
    """The map that turns N(0, I) into IGSO(3): the same axis, and the angle with the same share of smaller ones; odd.

    For small sigma it is sigma times the vector. The angle is interpolated (within 5e-5 of itself) in `_angles`. The dtype is
    that of `normal`. Raises ValueError for a sigma that is not between 0 and `LARGEST_SIGMA`.
    """
    _check_sigma(sigma)
    radius = normal.double().norm(dim=-1)
    ratio = _interpolated(_angles(sigma.device), radius, sigma.double())
    angle = (ratio * sigma * radius).clamp(max=math.pi)
    return (normal * (angle / radius.clamp(min=1e-12))[..., None]).to(normal.dtype)


def score_scale(sigma: Float[Tensor, " *batch"]) -> Float[Tensor, " *batch"]:
    """c, the root mean square over IGSO(3) of a component of sigma times the score: c^2 = E |sigma score|^2 / 3.

    1 for small sigma; 0.025 at 2.33, where the score hardly tells the start. Interpolated in float64, given in the dtype of sigma.
    Raises ValueError as `from_normal` does.
    """
    _check_sigma(sigma)
    table = _log_scales(sigma.device)[:, None].expand(-1, 2)
    return _interpolated(table, torch.zeros_like(sigma.double()), sigma.double()).exp().to(sigma.dtype)


@functools.cache
def _angles(device: torch.device) -> Float[Tensor, "sigmas radii"]:
    """Angle A over sigma r such that IGSO(3) has as many smaller angles as N(0, I) has vectors shorter than r.

    By a Runge-Kutta method on dA/dr = chi_3(r) / p(A): both sides of the densities' change of variables. It starts where both densities
    grow as squares: A = r (2 sqrt(2 pi) / f(0))^(1/3).
    """
    sigma, radii = _table_sigmas(), torch.linspace(0, LONGEST_RADIUS, RADII, dtype=torch.float64)
    first = (2 * math.sqrt(2 * math.pi) * torch.exp(-log_density(torch.zeros_like(sigma), sigma))) ** (1 / 3)
    rows = [first * radii[1]]
    for radius in radii[1:-1].tolist():
        rows.append(_further(rows[-1], radius, float(radii[1]), sigma))
    ratios = torch.stack(rows, dim=1) / (sigma[:, None] * radii[1:])
    return torch.cat([(first / sigma)[:, None], ratios], dim=1).to(device)


def _further(angle: Tensor, radius: float, step: float, sigma: Tensor) -> Tensor:
    """The angle at radius + step."""

    def slope(shift: float, angle: Tensor) -> Tensor:
        """dA/dr at radius + shift."""
        return _chi_density(radius + shift) / angle_density(angle.clamp(max=math.pi), sigma)

    first = slope(0.0, angle)
    second = slope(step / 2, angle + step / 2 * first)
    third = slope(step / 2, angle + step / 2 * second)
    fourth = slope(step, angle + step * third)
    return (angle + step / 6 * (first + 2 * second + 2 * third + fourth)).clamp(max=math.pi)


@functools.cache
def _log_scales(device: torch.device) -> Float[Tensor, " sigmas"]:
    """ln c of `score_scale`, an integral over the radii of the table."""
    sigma, radii = _table_sigmas(), torch.linspace(0, LONGEST_RADIUS, RADII, dtype=torch.float64)
    width = sigma[:, None].expand(-1, RADII)
    angle = (_angles(torch.device("cpu")) * width * radii).clamp(max=math.pi)
    squares = (width * score_of_angle(angle, width)) ** 2 / 3
    density = torch.tensor([_chi_density(radius) for radius in radii.tolist()], dtype=torch.float64)
    return 0.5 * torch.trapezoid(density * squares, radii, dim=1).log().to(device)


def _table_sigmas() -> Float[Tensor, " sigmas"]:
    ends = math.log(SMALLEST_SIGMA), math.log(LARGEST_SIGMA)
    return torch.linspace(*ends, SIGMAS, dtype=torch.float64).exp().clamp(max=LARGEST_SIGMA)


def _chi_density(radius: float) -> float:
    """Density of the length of a normal vector in three dimensions."""
    return math.sqrt(2 / math.pi) * radius**2 * math.exp(-(radius**2) / 2)


def _interpolated(table: Tensor, radius: Tensor, sigma: Tensor) -> Tensor:
    """Bilinear in the radius and in ln sigma, the value at the border beyond."""
    share = torch.log(sigma / SMALLEST_SIGMA) / math.log(LARGEST_SIGMA / SMALLEST_SIGMA)
    places = 2 * torch.stack([radius / LONGEST_RADIUS, share], dim=-1).reshape(1, 1, -1, 2) - 1
    found = torch.nn.functional.grid_sample(
        table[None, None], places, padding_mode="border", align_corners=True
    )
    return found.reshape(sigma.shape)


def angle_density(
    angle: Float[Tensor, " *batch"], sigma: Float[Tensor, " *batch"]
) -> Float[Tensor, " *batch"]:
    """Density of the angle itself on 0 to pi: f(w) times (1 - cos w) / pi of the Haar measure."""
    return log_density(angle, sigma).exp() * (1 - torch.cos(angle.double())) / math.pi


def _checked(angle: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    _check_sigma(sigma)
    return angle.double().clamp(min=1e-6), sigma.double() ** 2


def _check_sigma(sigma: Tensor) -> None:
    if not ((sigma > 0) & (sigma <= LARGEST_SIGMA)).all():
        raise ValueError(
            f"expected 0 < sigma <= {LARGEST_SIGMA}; got {sigma.min().item():g} to {sigma.max().item():g}. Correct the process"
        )


def _images(angle: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """w - 2 pi k and (-1)^k exp(-(w - 2 pi k)^2 / 2 sigma^2) / exp(-w^2 / 2 sigma^2) for the turns k: what remains is finite for small sigma."""
    turns = torch.arange(-IMAGES, IMAGES + 1, dtype=torch.float64, device=angle.device)
    shifted = angle[..., None] - 2 * math.pi * turns
    exponent = (angle[..., None] ** 2 - shifted**2) / (2 * variance[..., None])
    return shifted, (1 - 2 * (turns % 2)) * torch.exp(exponent)
