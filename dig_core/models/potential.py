"""A small network for densities in few dimensions: a potential, or a score, of a point and its noise level."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEVEL_FREQUENCIES = 8


class PointNetwork(nn.Module):
    """Three hidden layers over coordinates and sines and cosines of ln tau.

    Args:
        dimension: of a point.
        outputs: 1 for a potential, `dimension` for a score.
        width: of the hidden layers.
    """

    def __init__(self, dimension: int, outputs: int, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dimension + 2 * LEVEL_FREQUENCIES, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, outputs),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(
        self, points: Float[Tensor, "batch dimension"], noise: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch outputs"]:
        """Outputs for points in units of the data's standard deviation at noise-to-signal ratios tau; 0 when untrained."""
        return self.layers(torch.cat([points, level_features(noise)], dim=1))


class PairNetwork(nn.Module):
    """Particles by the distances of their pairs: a potential that no rotation or permutation changes, or a score that turns along.

    A message per pair from its distance and the level; each particle sums its messages; a scalar per pair from its message
    and the sums of both. The potential is the sum of the scalars; the score pulls each pair along its separation by them.

    Args:
        basis: orthonormal columns [particles * space, free] that take a point to positions with their centre at rest.
        space: number of coordinates of a particle.
        outputs: 1 for a potential, `free` for a score.
        width: of the hidden layers.
    """

    def __init__(self, basis: Float[Tensor, "coordinates free"], space: int, outputs: int, width: int = 64):
        super().__init__()
        self.space, self.is_potential = space, outputs == 1
        first, second = torch.triu_indices(len(basis) // space, len(basis) // space, offset=1)
        identity = torch.eye(len(basis) // space)
        self.register_buffer("basis", basis.float())
        self.register_buffer("difference", identity[first] - identity[second])  # pairs, particles
        self.message = nn.Sequential(
            nn.Linear(1 + 2 * LEVEL_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.scalar = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 1))
        nn.init.zeros_(self.scalar[-1].weight)
        nn.init.zeros_(self.scalar[-1].bias)

    def forward(
        self, points: Float[Tensor, "batch free"], noise: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch outputs"]:
        """Outputs for points in units of the data's standard deviation at noise-to-signal ratios tau; 0 when untrained."""
        positions = (points @ self.basis.T).unflatten(1, (-1, self.space))
        separations = self.difference @ positions
        # Smooth where two particles meet.
        distances = (separations.square().sum(dim=-1, keepdim=True) + 1e-4).sqrt()
        level = level_features(noise)[:, None].expand(-1, distances.shape[1], -1)
        messages = self.message(torch.cat([distances, level], dim=-1))
        ends = self.difference.abs()
        scalars = self.scalar(torch.cat([messages, ends @ (ends.T @ messages)], dim=-1))
        if self.is_potential:
            return scalars.sum(dim=1)
        return (self.difference.T @ (scalars * separations)).flatten(start_dim=1) @ self.basis


def level_features(noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch features"]:
    """Sines and cosines of ln tau."""
    frequencies = torch.logspace(-1.0, 0.6, LEVEL_FREQUENCIES, dtype=noise.dtype, device=noise.device)
    phase = noise.log()[:, None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], dim=1)
