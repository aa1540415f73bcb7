"""Attention over residues as frames in space: what a layer of the network of `dig_core.models.frames` is made of.

Invariant point attention (Jumper et al. 2021, SI algorithm 22) with a bias and values from pairs of residues. Written for many samples of
one sequence: the bias is made once per sequence, pairs are weighed first and projected afterwards, and squared distances of
points are part of the product of queries and keys. The sums are the paper's, without a projection of all pairs.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dig_core.geometry import full_precision
from dig_core.models.graphormer import mlp, zeroed

SMALLEST_SQUARE = 1e-6  # of a length, so that it has a derivative


@dataclass(frozen=True)
class Frames:
    """A batch of structures and its noise, tau of the positions and sigma (radians) of the rotations."""

    positions: Float[Tensor, "batch residues 3"]
    rotations: Float[Tensor, "batch residues 3 3"]
    noise: Float[Tensor, " batch"]
    rotation_noise: Float[Tensor, " batch"]

    def scaled(self, mask: Bool[Tensor, "graphs residues"]) -> "Frames":
        """The same about its centre, in units of the spread of noisy data."""
        weight = mask[..., None].to(self.positions.dtype)
        centre = (self.positions * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        total = torch.sqrt(1 + self.noise**2)[:, None, None]
        return Frames((self.positions - centre) / total, self.rotations, self.noise, self.rotation_noise)


class Layer(nn.Module):
    """Invariant point attention over residues (Jumper et al. 2021, SI algorithm 22), then a feed-forward block.

    Both are modulated by the noise level (adaptive layer norm; Peebles and Xie 2023, arXiv 2212.09748).
    """

    def __init__(self, width: int, pair_width: int, heads: int, points: int):
        super().__init__()
        self.heads, self.points, self.head_width = heads, points, width // heads
        self.sizes = 3 * width, 9 * heads * points
        self.project = nn.Linear(width, sum(self.sizes), bias=False)
        self.bias = nn.Linear(pair_width, heads, bias=False)
        self.pair_value = nn.Parameter(torch.randn(heads, pair_width, self.head_width) * pair_width**-0.5)
        self.sharpness = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))  # softplus of it is 1
        self.out = nn.Linear(width + 4 * heads * points, width)
        self.feed_forward = mlp(width, 2 * width, width)
        self.modulation = zeroed(nn.Linear(width, 6 * width))

    def forward(self, nodes: Tensor, bias: Tensor, pairs: Tensor, frames: Frames, level: Tensor) -> Tensor:
        """Updated nodes [batch, residues, width]; `bias` [graphs, heads, residues, residues], `level` [batch, width]."""
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.modulation(level)[:, None].chunk(6, dim=-1)
        attended = self.attention(modulated(nodes, shift, scale), bias, pairs, frames)
        nodes = torch.addcmul(nodes, attended, 1 + gate)
        fed = self.feed_forward(modulated(nodes, shift_ff, scale_ff))
        return torch.addcmul(nodes, fed, 1 + gate_ff)

    def attention(self, nodes: Tensor, bias: Tensor, pairs: Tensor, frames: Frames) -> Tensor:
        """What each residue hears from the others: values, values of pairs, and points in its own frame."""
        (query, key, value), (from_here, there, seen) = self.queries_keys_values(nodes, frames)
        weight = torch.softmax(self.logits(query, key, from_here, there, bias), dim=-1)
        heard = weight @ torch.cat([by_head(value), by_head(seen)], dim=-1).to(weight.dtype)
        values, seen = heard.split([self.head_width, 3 * self.points], dim=-1)
        values = values.transpose(1, 2) + self.pair_values(weight, pairs)
        seen = seen.unflatten(-1, (3, -1)).permute(0, 2, 3, 1, 4).flatten(3)
        return self.out(torch.cat([values.flatten(2), *local(seen, frames)], dim=-1))

    def queries_keys_values(
        self, nodes: Tensor, frames: Frames
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Queries, keys and values [batch, residues, heads, head_width], and as points in space [batch, residues, 3, heads, points]."""
        scalars, points = self.project(nodes).split(self.sizes, dim=-1)
        with full_precision(nodes):
            points = frames.rotations @ points.to(frames.positions.dtype).unflatten(-1, (3, -1))
            points = points + frames.positions[..., None]
        scalars = scalars.unflatten(-1, (3, self.heads, -1)).unbind(2)
        return scalars, points.unflatten(-1, (3, self.heads, -1)).unbind(3)

    def factors(self) -> tuple[float, Tensor]:
        """What scalar products and half the squared distances [heads] are multiplied with: two parts of equal variance."""
        distances = functional.softplus(self.sharpness) * math.sqrt(2 / (9 * self.points))
        return math.sqrt(0.5 / self.head_width), math.sqrt(0.5) * distances

    def logits(self, query: Tensor, key: Tensor, from_here: Tensor, there: Tensor, bias: Tensor) -> Tensor:
        """q.k a - |p - r|^2 b/2 + bias as one product; |p|^2 is the same for all keys and falls out of the softmax."""
        product, distance = self.factors()
        with full_precision(there):
            squares = by_head(there).square().sum(-1, keepdim=True) * (-0.5 * distance[:, None, None])
            scaled = by_head(from_here) * distance[:, None, None]
            queries = torch.cat([by_head(query * product), scaled, torch.ones_like(squares)], dim=-1)
            keys = torch.cat([by_head(key), by_head(there), squares], dim=-1)
            return (queries @ keys.mT).add_(bias)  # in place: the largest tensors of a long sequence

    def pair_values(self, weight: Tensor, pairs: Tensor) -> Tensor:
        """sum_j w_ij V z_ij for all heads [batch, residues, heads, head_width].

        One product per residue i for all samples of a sequence: [samples x heads, residues] @ [residues, pair_width].
        """
        batch, graphs = len(weight), len(pairs)
        shares = weight.reshape(graphs, -1, *weight.shape[2:]).transpose(1, 2)
        seen = (shares @ pairs.to(weight.dtype)).unflatten(2, (batch // graphs, self.heads))
        values = seen.permute(3, 0, 1, 2, 4).flatten(1, 3) @ self.pair_value
        return values.unflatten(1, seen.shape[:3]).permute(1, 3, 2, 0, 4).flatten(0, 1)


def by_head(values: Tensor) -> Tensor:
    """[batch, residues, .., heads, features] as [batch, heads, residues, .. x features]."""
    return values.movedim(-2, 1).flatten(3)


def local(seen: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
    """Points [batch, residues, 3, points] as each residue sees them [batch, residues, 3 x points], and how far they are."""
    with full_precision(frames.positions):
        own = frames.rotations.mT @ (seen.to(frames.positions.dtype) - frames.positions[..., None])
        return own.flatten(2), length(own, dim=2)


def modulated(nodes: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without parameters of its own, then shift and scale by the noise level."""
    return torch.addcmul(shift, functional.layer_norm(nodes, nodes.shape[-1:]), 1 + scale)


def length(vectors: Tensor, dim: int = -1) -> Tensor:
    """Lengths along a dimension, with a derivative at 0."""
    return (vectors.square().sum(dim) + SMALLEST_SQUARE).sqrt()
