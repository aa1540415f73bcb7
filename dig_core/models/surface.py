"""Network of adsorbates: messages from the atoms of a slab and of the adsorbate itself, with all their images within a cutoff.

The slab does not move, so what its atoms know of one another is found once for a target (`encoded`) and serves all samples, noise levels and steps.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.models.elements import element_features
from dig_core.models.periodic import FREQUENCIES, ImageSums, Layer, level_features, normed

Encoded = tuple[Float[Tensor, "1 slab width"], Float[Tensor, "1 slab 3 width"]]


class SurfaceMessages(nn.Module):
    """The score network of adsorbates (before preconditioning)."""

    def __init__(self, layers: int, slab_layers: int, width: int, functions: int, cutoff_angstrom: float):
        super().__init__()
        self.pairs = ImageSums(functions, cutoff_angstrom)
        features = element_features()
        self.register_buffer("known_elements", features, persistent=False)
        self.elements = nn.Sequential(nn.Linear(features.shape[1], width), nn.SiLU(), nn.Linear(width, width))
        self.role = nn.Parameter(torch.zeros(2, width))  # of the slab, of the adsorbate
        self.level = nn.Sequential(
            nn.Linear(4 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.slab = nn.ModuleList(Layer(width, functions) for _ in range(slab_layers))
        self.layers = nn.ModuleList(Layer(width, functions) for _ in range(layers))
        self.ends = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width)])
        self.pull = nn.Sequential(nn.SiLU(), nn.Linear(width, functions))
        self.vector = nn.Linear(width, 1, bias=False)
        for last in (self.pull[1], self.vector):
            nn.init.zeros_(last.weight)
        nn.init.zeros_(self.pull[1].bias)

    def encoded(
        self,
        fractional: Float[Tensor, "1 slab 3"],
        lattice: Float[Tensor, "1 3 3"],
        atomic_numbers: Int[Tensor, "1 slab"],
    ) -> Encoded:
        """Scalars and vectors of the atoms of a slab (lattice in Angstrom)."""
        pairs = self.pairs(fractional, lattice)
        scalars = self.elements(self.known_elements[atomic_numbers]) + self.role[0]
        vectors = scalars.new_zeros(*scalars.shape[:2], 3, scalars.shape[-1])
        still = torch.zeros_like(scalars[:, 0])
        for layer in self.slab:
            scalars, vectors = layer(scalars, vectors, pairs, still)
        return scalars, vectors

    def forward(
        self,
        fractional: Float[Tensor, "batch atoms 3"],
        lattice: Float[Tensor, "1 3 3"],
        levels: Float[Tensor, "batch 2"],
        atomic_numbers: Int[Tensor, "1 adsorbed"],
        slab: Encoded,
    ) -> Float[Tensor, "batch adsorbed 3"]:
        """Raw outputs, Cartesian vectors of the atoms of the adsorbate.

        Args:
            fractional: first those of the slab, then those of the adsorbate.
            levels: ln of the noise of both fields.
        """
        size, first = len(fractional), slab[0].shape[1]
        around = slab[0].expand(size, -1, -1), slab[1].expand(size, -1, -1, -1)
        pairs = self.pairs(fractional, lattice.expand(size, -1, -1), first)
        level = self.level(level_features(levels))
        scalars = self.elements(self.known_elements[atomic_numbers]) + self.role[1] + level[:, None]
        vectors = scalars.new_zeros(*scalars.shape[:2], 3, scalars.shape[-1])
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, pairs, level, around)
        here = self.ends[0](normed(scalars))[:, :, None]
        there = self.ends[1](normed(torch.cat([around[0], scalars], dim=1)))[:, None]
        along = torch.einsum("bijf,bijdf->bid", self.pull(here + there), pairs.vectors)
        return along + self.vector(vectors)[..., 0]
