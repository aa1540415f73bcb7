"""Graphormer for molecules: from a noisy structure and its noise level to an equivariant vector per atom.

One file, top to bottom: graph -> Conditions (once per molecule) -> geometry -> layers -> head -> block -> Graphormer.
After DiG (arXiv 2306.05445, section 2.1, SI algorithm 10): attention biased by pair features and by Gaussian functions of
the present distances; output as attention-weighted sums of unit vectors. On top of it: distances are seen relative to
what distance geometry expects of that pair, sharply at low noise and broadly at high noise; layers also collect
directions, whose triple products tell mirror images apart; and the network works in blocks, each of which sees the
structure as the blocks before it have denoised it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dig_core.structure import MolecularGraph


@dataclass(frozen=True)
class Conditions:
    """What the network knows about a molecule whatever its structure: computed once, shared by all steps and samples."""

    nodes: Float[Tensor, "graphs atoms width"]
    bias: Float[Tensor, "layers graphs heads atoms atoms"]  # of attention, -inf towards padding
    centre: Float[Tensor, "graphs atoms atoms"]  # expected distance
    spread: Float[Tensor, "graphs atoms atoms"]  # and its width
    pairs: Float[Tensor, "graphs atoms atoms head_width"]  # for the output head
    mask: Bool[Tensor, "graphs atoms"]


@dataclass(frozen=True)
class Geometry:
    """Invariant and equivariant features of all pairs in a batch of structures."""

    radial: Float[Tensor, "batch atoms atoms radial"]
    direction: Float[Tensor, "batch atoms atoms 3"]  # from i to j
    both: Float[Tensor, "batch atoms atoms radial_and_3"]


class GraphEncoder(nn.Module):
    """Embeds atoms and pairs and lets atoms learn about their surroundings in the graph."""

    def __init__(self, atom_sizes: tuple[int, ...], pair_sizes: tuple[int, ...], width: int, rounds: int = 3):
        super().__init__()
        self.atom = nn.ModuleList(nn.Embedding(size, width) for size in atom_sizes)
        self.pair = nn.ModuleList(nn.Embedding(size, width) for size in pair_sizes)
        self.bounds = nn.Linear(4, width)
        self.messages = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.updates = nn.ModuleList(mlp(width, width, width) for _ in range(rounds))
        self.pair_update = mlp(3 * width, width, width)

    def forward(self, graph: MolecularGraph) -> tuple[Tensor, Tensor]:
        nodes = sum(table(graph.atoms[..., k]) for k, table in enumerate(self.atom))
        pairs = sum(table(graph.pairs[..., k]) for k, table in enumerate(self.pair)) + self.bounds(
            expected(graph)
        )
        present = graph.mask[:, None, :, None].to(nodes.dtype)
        for message, update in zip(self.messages, self.updates, strict=True):
            heard = functional.silu(pairs + message(nodes)[:, None]) * present
            nodes = nodes + update(functional.layer_norm(heard.sum(2), nodes.shape[-1:]))
        ends = [nodes[:, :, None].expand_as(pairs), nodes[:, None].expand_as(pairs)]
        return nodes, self.pair_update(torch.cat([pairs, *ends], dim=-1))


class Layer(nn.Module):
    """Attention over atoms that also collects what it sees of distances and directions, then a feed-forward block.

    Both are modulated by the noise level (adaptive layer norm; Peebles and Xie 2023, arXiv 2212.09748).
    """

    def __init__(self, width: int, heads: int, radial: int):
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.seen = nn.Linear(heads * (radial + 3), width, bias=False)
        self.out = nn.Linear(width, width)
        self.feed_forward = mlp(width, 2 * width, width)
        self.modulation = zeroed(nn.Linear(width, 6 * width))

    def forward(self, nodes: Tensor, bias: Tensor, geometry: Geometry, level: Tensor) -> Tensor:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.modulation(level)[:, None].chunk(6, dim=-1)
        attended = self.attention(modulated(nodes, shift, scale), bias, geometry)
        nodes = nodes + (1 + gate) * attended
        return nodes + (1 + gate_ff) * self.feed_forward(modulated(nodes, shift_ff, scale_ff))

    def attention(self, nodes: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
        batch, atoms, width = nodes.shape
        parts = self.queries_keys_values(nodes).reshape(batch, atoms, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        logits = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        weight = torch.softmax(logits + bias, dim=-1)
        heard = (weight @ value).transpose(1, 2).reshape(batch, atoms, width)
        # Weigh first, project afterwards: the same sum, without a projection of all pairs.
        over_pairs = weight.transpose(1, 2) @ geometry.both
        distances, directions = over_pairs.split([geometry.radial.shape[-1], 3], dim=-1)
        seen = torch.cat([distances.flatten(2), invariants(directions)], dim=-1)
        return self.out(heard + self.seen(seen))


class Head(nn.Module):
    """Vectors from scalars: sum over j of w_ij times the direction to j, and cross products of such sums."""

    def __init__(self, width: int, head_width: int, radial: int, vectors: int = 4):
        super().__init__()
        self.radial = nn.Linear(radial, head_width, bias=False)
        self.ends = nn.Linear(width, 2 * head_width)
        self.weights = nn.Linear(head_width, 1 + vectors, bias=False)
        self.cross = zeroed(nn.Linear(width, vectors))

    def forward(self, nodes: Tensor, geometry: Geometry, conditions: Conditions) -> Tensor:
        first, second = self.ends(nodes).chunk(2, dim=-1)
        hidden = self.radial(geometry.radial)  # in place from here: the largest tensors of the network
        hidden = functional.silu(hidden.add_(conditions.pairs).add_(first[:, :, None]).add_(second[:, None]))
        weights = self.weights(hidden) * conditions.mask[:, None, :, None]
        vectors = weights.transpose(-1, -2) @ geometry.direction
        pull, rest = vectors[:, :, 0], vectors[:, :, 1:]
        twist = torch.linalg.cross(rest, rest.roll(1, dims=2))
        return pull + (self.cross(nodes)[..., None] * twist).sum(2)


class Block(nn.Module):
    """A stack of layers that sees one geometry, and the head that reads a vector per atom from it."""

    def __init__(self, layers: int, width: int, heads: int, radial: int, head_width: int):
        super().__init__()
        self.heads = heads
        self.bias = nn.Linear(radial, layers * heads, bias=False)
        self.layers = nn.ModuleList(Layer(width, heads, radial) for _ in range(layers))
        self.head = Head(width, head_width, radial)

    def forward(
        self, nodes: Tensor, geometry: Geometry, graph_bias: Tensor, level: Tensor, conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """Updated nodes, and the vectors read from them; `graph_bias` [layers, graphs, heads, atoms, atoms]."""
        distance_bias = (
            self.bias(geometry.radial).unflatten(-1, (len(self.layers), self.heads)).permute(3, 0, 4, 1, 2)
        )
        for layer, from_distance, from_graph in zip(self.layers, distance_bias, graph_bias, strict=True):
            nodes = layer(nodes, from_distance + from_graph, geometry, level)
        return nodes, self.head(functional.layer_norm(nodes, nodes.shape[-1:]), geometry, conditions)


class Graphormer(nn.Module):
    """The score network of a molecule (before preconditioning).

    Args:
        atom_sizes, pair_sizes: number of values of each integer feature of atoms and pairs.
        layers, width, heads, radial_features, head_width: size; the paper has 12 layers, width 768, 32 heads.
        blocks: number of blocks that share the layers; from the second on they see the denoised structure.
    """

    def __init__(
        self, atom_sizes: tuple[int, ...], pair_sizes: tuple[int, ...], layers: int, blocks: int, width: int, heads: int,
        radial_features: int, head_width: int,
    ):  # fmt: skip
        super().__init__()
        self.heads, self.radial_features = heads, radial_features
        self.graph = GraphEncoder(atom_sizes, pair_sizes, width)
        self.pair_terms = nn.Linear(width, layers * heads + head_width)
        self.expectation = zeroed(nn.Linear(width, 2))
        self.level = nn.Sequential(
            nn.Linear(2 * LEVEL_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.blocks = nn.ModuleList(
            Block(layers // blocks, width, heads, radial_features, head_width) for _ in range(blocks)
        )

    def conditions(self, graph: MolecularGraph) -> Conditions:
        """Everything that depends on the molecule alone; call it once per molecule when sampling."""
        nodes, pairs = self.graph(graph)
        head_width = self.blocks[0].head.radial.out_features
        bias, head = self.pair_terms(pairs).split(
            [self.pair_terms.out_features - head_width, head_width], dim=-1
        )
        bias = bias.unflatten(-1, (-1, self.heads)).permute(3, 0, 4, 1, 2)
        bias = bias.masked_fill(~graph.mask[None, :, None, None], -torch.inf)
        shift, widening = self.expectation(pairs).unbind(-1)
        middle, half_width = expected(graph)[..., :2].unbind(-1)
        spread = (half_width + SHARPEST_SPREAD) * widening.exp()
        return Conditions(nodes, bias, middle + shift, spread, head, graph.mask)

    def forward(
        self,
        positions: Float[Tensor, "batch atoms 3"],
        noise: Float[Tensor, " batch"],
        conditions: Conditions,
    ) -> Float[Tensor, "batch atoms 3"]:
        """Raw output F(y, tau) for positions y = x_0 + tau eps in units of the data's standard deviation.

        `conditions` are those of one molecule (shared) or of each structure in the batch. Rotations of y rotate F,
        translations leave it; F is 0 for padding. After each block the structure is denoised with what F is so far,
        D = y / (1 + tau^2) + tau / sqrt(1 + tau^2) F (Karras et al. 2022, eq. 7), for the next block to look at.
        """
        level = self.level(level_features(noise))
        nodes = (conditions.nodes + level[:, None]).contiguous()
        total = torch.sqrt(1 + noise**2)[:, None, None]
        output, seen, seen_noise = torch.zeros_like(positions), positions, noise
        for block, graph_bias in zip(self.blocks, conditions.bias.chunk(len(self.blocks)), strict=True):
            geometry = self.geometry(seen, seen_noise, conditions)
            nodes, correction = block(nodes, geometry, graph_bias, level, conditions)
            output = output + correction
            seen = positions / total**2 + noise[:, None, None] / total * output
            seen_noise = RESIDUAL_NOISE * noise / total[:, 0, 0]
        return output * conditions.mask[..., None]

    def geometry(self, positions: Tensor, noise: Tensor, conditions: Conditions) -> Geometry:
        """Distances against expectation (first half of the radial features) and on their own scale (second half)."""
        noise = noise[:, None, None]
        displacement = positions[:, None] - positions[:, :, None]
        # The small constant keeps the derivative finite where atoms coincide (and at i = j).
        distance = torch.sqrt(displacement.square().sum(-1) + 1e-8)
        deviation = (distance - conditions.centre) / torch.sqrt(conditions.spread**2 + 2 * noise**2)
        size = torch.log(distance + 0.1) - 0.5 * torch.log(1 + noise**2)
        half = self.radial_features // 2
        radial = torch.cat(
            [gaussians(deviation, -4.0, 4.0, half), gaussians(size, -2.5, 1.5, self.radial_features - half)],
            dim=-1,
        )
        direction = displacement / distance[..., None]
        return Geometry(radial, direction, torch.cat([radial, direction], dim=-1))


LEVEL_FREQUENCIES = 16
RESIDUAL_NOISE = (
    0.5  # about how much of the noise a block leaves: the sharpness with which the next one looks
)
SHARPEST_SPREAD = (
    0.02  # distances known better than this (in standard deviations of the data) are not told apart
)


def expected(graph: MolecularGraph) -> Float[Tensor, "graphs atoms atoms 4"]:
    """Middle and half width of the distance bounds, and their logarithms (unbounded pairs have large ones)."""
    lower, upper = graph.bounds.unbind(-1)
    middle, half_width = (upper + lower) / 2, (upper - lower) / 2
    return torch.stack(
        [middle, half_width, torch.log(middle + 0.1), torch.log(half_width + SHARPEST_SPREAD)], dim=-1
    )


def gaussians(x: Tensor, first: float, last: float, count: int) -> Tensor:
    """Gaussian functions of x [...] on an even grid, as wide as their distance: [..., count]."""
    step = (last - first) / max(count - 1, 1)
    centres = torch.linspace(first / step, last / step, count, dtype=x.dtype, device=x.device)
    return torch.exp(((x / step)[..., None] - centres).square().mul_(-0.5))


def level_features(noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch features"]:
    """Sines and cosines of ln tau."""
    frequencies = torch.logspace(-1.0, 0.8, LEVEL_FREQUENCIES, dtype=noise.dtype, device=noise.device)
    phase = noise.log()[:, None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


def invariants(vectors: Float[Tensor, "batch atoms heads 3"]) -> Float[Tensor, "batch atoms features"]:
    """Lengths, scalar products of neighbours and triple products (which change sign in a mirror image)."""
    following, next_one = vectors.roll(1, dims=2), vectors.roll(2, dims=2)
    products = (vectors * following).sum(-1)
    triple = (vectors * torch.linalg.cross(following, next_one)).sum(-1)
    return torch.cat([vectors.square().sum(-1), products, triple], dim=-1)


def modulated(nodes: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without parameters of its own, then shift and scale by the noise level."""
    return functional.layer_norm(nodes, nodes.shape[-1:]) * (1 + scale) + shift


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers with a SiLU between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def zeroed(layer: nn.Linear) -> nn.Linear:
    """A layer that starts as zero: what it adds is learned from nothing."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
