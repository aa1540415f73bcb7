"""Graphormer for molecules: from a noisy structure and its noise level to an equivariant vector per atom.

One file, top to bottom: graph -> Conditions (once per molecule) -> geometry -> layers -> head -> block -> Graphormer.
After DiG (arXiv 2306.05445, section 2.1, SI algorithm 10): attention biased by pair features and by Gaussian functions of
the present distances; output as weighted sums of unit vectors. On top of it: distances are seen relative to what distance
geometry expects of that pair, sharply at low noise and broadly at high noise; each atom has a frame of axes towards
other atoms, whose triple products tell mirror images apart; the network works in blocks, each of which sees the structure
as the blocks before it have denoised it; and each block ends with a few steps of a spring network that it sets up itself.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dig_core.geometry import along_pairs, distances, full_precision, invariants
from dig_core.structure import MolecularGraph


@dataclass(frozen=True)
class Conditions:
    """What the network knows about a molecule whatever its structure: computed once, shared by all steps and samples."""

    nodes: Float[Tensor, "graphs atoms width"]
    bias: Float[Tensor, "layers graphs heads atoms atoms"]  # of attention, -inf towards padding
    centre: Float[Tensor, "graphs atoms atoms"]  # expected distance
    spread: Float[Tensor, "graphs atoms atoms"]  # and its width
    pairs: Float[Tensor, "graphs atoms atoms head_width"]  # for the output head
    looks: Float[Tensor, "blocks graphs atoms axes atoms"]  # what the axes of an atom point to: shares
    mask: Bool[Tensor, "graphs atoms"]
    others: Float[Tensor, "graphs atoms atoms"]  # 1 between two different atoms


@dataclass(frozen=True)
class Geometry:
    """What is seen of a batch of structures."""

    positions: Float[Tensor, "batch atoms 3"]
    inverse: Float[Tensor, "batch atoms atoms"]  # 1 / distance; 0 for an atom and itself, and for padding
    radial: Float[Tensor, "batch atoms atoms radial"]  # Gaussians of the distance

    def directions(
        self, shares: Float[Tensor, "graphs atoms vectors atoms"]
    ) -> Float[Tensor, "batch atoms vectors 3"]:
        """Weighted sums of the unit vectors from atom i to the others, sum_j s_ikj (x_j - x_i) / d_ij."""
        with full_precision(self.positions):
            strength = shares * self.inverse[:, :, None]
            ends = (strength.flatten(1, 2) @ self.positions).unflatten(1, strength.shape[1:3])
            return ends - strength.sum(-1, keepdim=True) * self.positions[:, :, None]


@dataclass(frozen=True)
class Motion:
    """How atoms should move, as a block reads it."""

    vector: Float[Tensor, "batch atoms 3"]
    stiffness: Float[Tensor, "batch atoms atoms"]  # of a spring between each pair, 0 towards padding
    rest: Float[Tensor, "batch atoms atoms"]  # deviation of the distance, in widths, that the spring wants


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
        """Embeddings of atoms [graphs, atoms, width] and of pairs [graphs, atoms, atoms, width]."""
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
        """Updated nodes [batch, atoms, width]; `bias` [batch, heads, atoms, atoms], `level` [batch, width]."""
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.modulation(level)[:, None].chunk(6, dim=-1)
        attended = self.attention(modulated(nodes, shift, scale), bias, geometry)
        nodes = nodes + (1 + gate) * attended
        return nodes + (1 + gate_ff) * self.feed_forward(modulated(nodes, shift_ff, scale_ff))

    def attention(self, nodes: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
        """What each atom hears from the others, and sees of their distances and directions."""
        batch, atoms, width = nodes.shape
        parts = self.queries_keys_values(nodes).reshape(batch, atoms, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).flatten(1, 2)
        scale = (width // self.heads) ** -0.5
        logits = torch.baddbmm(bias.flatten(0, 1), query, key.transpose(-1, -2), alpha=scale)
        weight = torch.softmax(logits, dim=-1).to(logits.dtype)
        heard = (
            (weight @ value).unflatten(0, (batch, self.heads)).transpose(1, 2).reshape(batch, atoms, width)
        )
        # Weigh first, project afterwards: the same sum, without a projection of all pairs.
        shares = weight.unflatten(0, (batch, self.heads)).transpose(1, 2).contiguous()
        distances_seen, directions_seen = shares @ geometry.radial, geometry.directions(shares)
        seen = torch.cat([distances_seen.flatten(2), invariants(directions_seen)], dim=-1)
        return self.out(heard + self.seen(seen))


class Head(nn.Module):
    """Reads from nodes and pairs how atoms should move.

    A pull along each pair is bilinear in a hidden vector of the pair and in the node; turns are along cross products of the
    axes of the atom's frame; stiffness and rest of the springs are linear in the hidden vector.
    """

    def __init__(self, width: int, head_width: int, radial: int):
        super().__init__()
        self.radial = nn.Parameter(torch.randn(head_width, radial) * radial**-0.5)
        self.second = nn.Linear(width, head_width)
        # The output starts at 0, a loss of 1: no pull, no turn, no stiffness. What stiffness multiplies must not start at 0
        # as well, or neither would ever have a gradient.
        self.pull = zeroed(nn.Linear(width, head_width))
        self.turn = zeroed(nn.Linear(width, AXES))
        self.stiffness = zeroed(nn.Linear(head_width, 1))
        self.rest = nn.Linear(head_width, 1)

    def forward(self, nodes: Tensor, geometry: Geometry, frame: Tensor, conditions: Conditions) -> Motion:
        """Motion of the atoms; `frame` [batch, atoms, axes, 3]."""
        # In place: these are the largest tensors of the network.
        hidden = functional.linear(geometry.radial, self.radial)
        hidden = functional.silu(hidden.add_(conditions.pairs).add_(self.second(nodes)[:, None]))
        # A sum of products: the derivative of a matrix product would be a batch of outer ones, several times dearer.
        pull = geometry.directions((hidden * self.pull(nodes)[:, :, None]).sum(-1)[:, :, None])
        turn = self.turn(nodes)[:, :, None] @ torch.linalg.cross(frame, frame.roll(1, dims=2))
        stiffness = self.stiffness(hidden).squeeze(-1) * conditions.others
        return Motion((pull + turn).squeeze(2), stiffness, self.rest(hidden).squeeze(-1))


class Block(nn.Module):
    """A stack of layers that sees one geometry, and the head that reads from it how atoms should move."""

    def __init__(self, layers: int, width: int, heads: int, radial: int, head_width: int):
        super().__init__()
        self.heads = heads
        self.bias = nn.Parameter(torch.randn(layers * heads, radial) * radial**-0.5)
        self.frame = nn.Linear(3 * AXES, width)
        self.layers = nn.ModuleList(Layer(width, heads, radial) for _ in range(layers))
        self.head = Head(width, head_width, radial)

    def forward(
        self, nodes: Tensor, geometry: Geometry, index: int, level: Tensor, conditions: Conditions
    ) -> tuple[Tensor, Motion]:
        """Updated nodes, and the motion read from them, of the block with this index."""
        atoms, count = geometry.radial.shape[1], len(self.layers)
        pairs = geometry.radial.flatten(1, 2).transpose(1, 2)
        bias = (self.bias @ pairs).unflatten(1, (count, self.heads))
        frame = geometry.directions(conditions.looks[index])
        nodes = nodes + self.frame(invariants(frame))
        for k, layer in enumerate(self.layers):
            graph_bias = conditions.bias[index * count + k]
            nodes = layer(nodes, bias[:, k].unflatten(-1, (atoms, atoms)) + graph_bias, geometry, level)
        return nodes, self.head(functional.layer_norm(nodes, nodes.shape[-1:]), geometry, frame, conditions)


class Graphormer(nn.Module):
    """The score network of a molecule (before preconditioning).

    Args:
        atom_sizes, pair_sizes: number of values of each integer feature of atoms and pairs.
        layers, width, heads, radial_features, head_width: size; the paper has 12 layers, width 768, 32 heads.
        blocks: number of blocks that share the layers; from the second on they see the denoised structure.

    `products` is the type of matrix products on a GPU, None that of the weights. Positions, distances, directions and springs
    keep their own type always: they are small differences of large numbers.
    """

    products: torch.dtype | None = None

    def __init__(
        self, atom_sizes: tuple[int, ...], pair_sizes: tuple[int, ...], layers: int, blocks: int, width: int, heads: int,
        radial_features: int, head_width: int,
    ):  # fmt: skip
        super().__init__()
        self.heads, self.radial_features, self.head_width = heads, radial_features, head_width
        self.graph = GraphEncoder(atom_sizes, pair_sizes, width)
        self.pair_terms = nn.Linear(width, layers * heads + head_width + blocks * AXES)
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
        axes = len(self.blocks) * AXES
        sizes = [self.pair_terms.out_features - self.head_width - axes, self.head_width, axes]
        bias, head, looks = self.pair_terms(pairs).split(sizes, dim=-1)
        padding = ~graph.mask[:, None, None]
        bias = bias.unflatten(-1, (-1, self.heads)).permute(3, 0, 4, 1, 2).masked_fill(padding, -torch.inf)
        shift, widening = self.expectation(pairs).unbind(-1)
        middle, half_width = expected(graph)[..., :2].unbind(-1)
        spread = (half_width + SHARPEST_SPREAD) * widening.clamp(-MOST_WIDENING, MOST_WIDENING).exp()
        return Conditions(
            nodes, bias, middle + shift, spread, head, targets(looks, padding), graph.mask, others(graph)
        )

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
        with torch.autocast(positions.device.type, self.products, self.products is not None):
            return self.output(positions, noise, conditions)

    def output(self, positions: Tensor, noise: Tensor, conditions: Conditions) -> Tensor:
        """What `forward` returns, in whatever precision it is called."""
        level = self.level(level_features(noise))
        nodes = (conditions.nodes + level[:, None]).contiguous()
        total = torch.sqrt(1 + noise**2)[:, None, None]

        def denoised(output: Tensor) -> Tensor:
            """The clean structure [batch, atoms, 3] that an output of the network stands for."""
            return positions / total**2 + noise[:, None, None] / total * output

        output, seen, seen_noise = torch.zeros_like(positions), positions, noise
        for index, block in enumerate(self.blocks):
            geometry = self.geometry(seen, seen_noise, conditions)
            nodes, motion = block(nodes, geometry, index, level, conditions)
            output, seen_noise = output + motion.vector, RESIDUAL_NOISE * noise / total[:, 0, 0]
            width = torch.sqrt(conditions.spread**2 + 2 * seen_noise[:, None, None] ** 2)
            slope, length = motion.stiffness / width, conditions.centre + width * motion.rest
            with full_precision(positions):
                for _ in range(SPRING_STEPS):
                    seen = denoised(output)
                    output = output + along_pairs(slope * (1 - length / distances(seen)), seen)
                seen = denoised(output)
        return output * conditions.mask[..., None]

    def geometry(self, positions: Tensor, noise: Tensor, conditions: Conditions) -> Geometry:
        """Distances against expectation (first half of the radial features) and on their own scale (second half)."""
        noise = noise[:, None, None]
        with full_precision(positions):
            distance = distances(positions)
            deviation = (distance - conditions.centre) / torch.sqrt(conditions.spread**2 + 2 * noise**2)
            size = torch.log(distance + 0.1) - 0.5 * torch.log(1 + noise**2)
            scaled = functional.linear(torch.stack([deviation, size], dim=-1), *self.grids(deviation))
        return Geometry(positions, conditions.others / distance, torch.exp(scaled.square().mul_(-0.5)))

    def grids(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes and offsets of the Gaussians' arguments: half of them on a grid of deviations, half on one of sizes."""
        slopes, offsets = torch.zeros(self.radial_features, 2), torch.zeros(self.radial_features)
        half = self.radial_features // 2
        for column, (first, last, part) in enumerate(
            [(-4.0, 4.0, slice(0, half)), (-2.5, 1.5, slice(half, None))]
        ):
            count = len(offsets[part])
            step = (last - first) / max(count - 1, 1)
            slopes[part, column] = 1 / step
            offsets[part] = -torch.linspace(first, last, count) / step
        return slopes.to(like), offsets.to(like)


AXES = 12  # of the frame of each atom
LOOK_SHARPNESS = 24.0  # so that an untrained axis points to one or two atoms
SPRING_STEPS = 2
LEVEL_FREQUENCIES = 16
# About how much of the noise a block leaves: the sharpness with which the next one looks.
RESIDUAL_NOISE = 0.5
# In standard deviations of the data: sharper knowledge of a distance makes no difference.
SHARPEST_SPREAD = 0.02
# ln of a factor: training from energies alone can drive it to where its exponential overflows.
MOST_WIDENING = 5.0


def expected(graph: MolecularGraph) -> Float[Tensor, "graphs atoms atoms 4"]:
    """Middle and half width of the distance bounds, and their logarithms (unbounded pairs have large ones)."""
    lower, upper = graph.bounds.unbind(-1)
    middle, half_width = (upper + lower) / 2, (upper - lower) / 2
    return torch.stack(
        [middle, half_width, torch.log(middle + 0.1), torch.log(half_width + SHARPEST_SPREAD)], dim=-1
    )


def level_features(noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch features"]:
    """Sines and cosines of ln tau."""
    frequencies = torch.logspace(-1.0, 0.8, LEVEL_FREQUENCIES, dtype=noise.dtype, device=noise.device)
    phase = noise.log()[:, None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


def others(graph: MolecularGraph) -> Float[Tensor, "graphs atoms atoms"]:
    """1 between two different atoms, 0 between an atom and itself, and towards padding."""
    itself = torch.eye(graph.mask.shape[1], dtype=torch.bool, device=graph.mask.device)
    return (graph.mask[:, None] & ~itself).to(graph.bounds.dtype)


def targets(looks: Float[Tensor, "graphs atoms atoms axes"], padding: Tensor) -> Tensor:
    """Shares of the other atoms in what each axis of each atom points to [blocks, graphs, atoms, axes, atoms]."""
    itself = torch.eye(looks.shape[1], dtype=torch.bool, device=looks.device)[:, None]
    logits = LOOK_SHARPNESS * looks.unflatten(-1, (-1, AXES)).permute(3, 0, 1, 4, 2)
    return torch.softmax(logits.masked_fill(itself, -1e4).masked_fill(padding, -torch.inf), dim=-1)


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
