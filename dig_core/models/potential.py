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
        frequencies = torch.logspace(-1.0, 0.6, LEVEL_FREQUENCIES, dtype=noise.dtype, device=noise.device)
        phase = noise.log()[:, None] * frequencies
        return self.layers(torch.cat([points, phase.sin(), phase.cos()], dim=1))
