"""Graphormer for proteins: from noisy residue frames and their noise to how every frame should move and turn.

One file, top to bottom: sequence -> Conditions (once per sequence) -> what is seen -> layers -> bonds -> block -> FrameGraphormer.
After DiG (arXiv 2306.05445, SI): residues as frames, attention biased by pair features, translations and rotations read in the
local frame. Attention also sees points in space (invariant point attention, Jumper et al. 2021, SI algorithm 22). On top of it:
neighbours in the sequence are seen closely, as distances between points fixed to both frames against what is expected of
them, and bonds between these points pull and twist the frames; and the network works in blocks, each of which sees the structure as
the blocks before it have denoised it.

What depends on pairs of residues alone is computed once per sequence. Within a layer pairs are weighed by attention first and
projected afterwards, and squared distances of points are part of the product of queries and keys: the same sums as written in
the paper, without a projection of all pairs.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dig_core.geometry import full_precision
from dig_core.models.graphormer import LEVEL_FREQUENCIES, level_features, mlp, modulated, zeroed
from dig_core.structure import RESIDUES, ResidueGraph

FAR = 32  # residues along the chain; beyond, a pair only knows which of them comes first
REACH = 3  # neighbours along the chain that are seen closely
BOND_WIDTH = 64  # of what is known of two neighbours
# N, CA and C in the frame of their residue (Angstrom): where the ends of bonds start; training moves them.
ENDS = ((-0.527, 1.359, 0.0), (0.0, 0.0, 0.0), (1.525, 0.0, 0.0))
# Distances (Angstrom) from these three ends to the three of the next residue, and of the ones after it.
NEXT = ((3.2, 4.5, 5.1), (2.43, 3.8, 4.6), (1.33, 2.43, 3.2))
STEP = 2.4  # Angstrom that each further residue adds to them
SHARPEST, RESOLUTIONS = 0.02, (1.0, 4.0, 16.0)  # widths at which deviations are seen, in units of the data
MOST_WIDENING = 5.0
# About how much of the noise a block leaves: the sharpness with which the next one looks.
RESIDUAL_NOISE = 0.5
SMALLEST_SQUARE = 1e-6  # of a length, so that it has a derivative


@dataclass(frozen=True)
class Conditions:
    """What the network knows about a sequence whatever its structure: computed once, shared by all steps and samples.

    Bonds are between a residue and the 1st, 2nd, .. after it in the chain: `reach` of them, not all of which exist.
    """

    nodes: Float[Tensor, "graphs residues width"]
    pairs: Float[Tensor, "graphs residues residues pair_width"]
    bias: Float[Tensor, "layers graphs heads residues residues"]  # of attention, -inf towards padding
    picks: Float[Tensor, "graphs residues reach residues"]  # 1 for the residue at the other end of a bond
    bonds: Float[Tensor, "parts graphs residues reach bond_width"]  # of their two readers in each block
    lengths: Float[Tensor, "graphs residues reach ends ends"]  # expected
    spread: Float[Tensor, "graphs residues reach ends ends"]  # and their width
    mask: Bool[Tensor, "graphs residues"]

    def others(self, values: Float[Tensor, "batch residues features"]) -> Tensor:
        """Values at the other ends of bonds [batch, residues, reach, features], 0 where there is none."""
        picks = self.picks.flatten(1, 2)
        return (picks @ values).unflatten(1, self.picks.shape[1:3])

    def gathered(self, values: Float[Tensor, "batch residues reach features"]) -> Tensor:
        """Sums over bonds that end at a residue [batch, residues, features]."""
        return self.picks.flatten(1, 2).mT @ values.flatten(1, 2)


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


@dataclass(frozen=True)
class Bonds:
    """What is seen of neighbours: in the frame of the first of the two."""

    features: Float[Tensor, "batch residues reach features"]
    directions: Float[Tensor, "batch residues reach ends ends 3"]  # unit vectors from the ends of the first
    deviations: Float[
        Tensor, "batch residues reach ends ends"
    ]  # from the expected length, in widths, -1 to 1
    turns: Float[Tensor, "batch residues reach 3 3"]  # the second's rotation


class SequenceEncoder(nn.Module):
    """Embeds residues, and pairs of residues by their place in the sequence, chain and types."""

    def __init__(self, width: int, pair_width: int, single_features: int, pair_features: int):
        super().__init__()
        self.residue = nn.Embedding(len(RESIDUES) + 1, width)
        self.single = nn.Linear(single_features, width) if single_features else None
        self.first = nn.Embedding(len(RESIDUES) + 1, pair_width)
        self.second = nn.Embedding(len(RESIDUES) + 1, pair_width)
        self.place = nn.Embedding(2 * FAR + 2, pair_width)
        self.pair = nn.Linear(pair_features, pair_width) if pair_features else None
        self.pair_update = mlp(pair_width, pair_width, pair_width)

    def forward(self, graph: ResidueGraph) -> tuple[Tensor, Tensor]:
        """Embeddings of residues [graphs, residues, width] and of pairs [graphs, residues, residues, pair_width]."""
        nodes = self.residue(graph.residues) + embedded(self.single, graph.single, "single_embedding")
        first, second = self.first(graph.residues)[:, :, None], self.second(graph.residues)[:, None]
        pairs = self.place(places(graph)) + first + second
        pairs = pairs + embedded(self.pair, graph.pair, "pair_embedding")
        return nodes, functional.layer_norm(pairs + self.pair_update(pairs), pairs.shape[-1:])


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
        nodes = nodes + (1 + gate) * attended
        return nodes + (1 + gate_ff) * self.feed_forward(modulated(nodes, shift_ff, scale_ff))

    def attention(self, nodes: Tensor, bias: Tensor, pairs: Tensor, frames: Frames) -> Tensor:
        """What each residue hears from the others: values, values of pairs, and points in its own frame."""
        scalars, points = self.queries_keys_values(nodes, frames)
        weight = torch.softmax(self.logits(scalars, points, bias), dim=-1)
        value = torch.cat([scalars[:, :, 2], points[:, :, 2].flatten(-2)], dim=-1).transpose(1, 2)
        heard = weight @ value.to(weight.dtype)
        values, seen = heard.transpose(1, 2).split([self.head_width, 3 * self.points], dim=-1)
        values = values + self.pair_values(weight, pairs)
        return self.out(torch.cat([values.flatten(2), *self.local(seen, frames)], dim=-1))

    def queries_keys_values(self, nodes: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        """Queries, keys and values [batch, residues, 3, heads, head_width], and points in space [.., heads, points, 3]."""
        scalars, points = self.project(nodes).split(self.sizes, dim=-1)
        with full_precision(nodes):
            points = points.to(frames.positions.dtype).unflatten(-1, (-1, 3)) @ frames.rotations.mT
            points = points + frames.positions[:, :, None]
        shape = 3, self.heads
        return scalars.unflatten(-1, (*shape, -1)), points.unflatten(2, (*shape, -1))

    def factors(self) -> tuple[float, Tensor]:
        """What scalar products and half the squared distances [heads] are multiplied with: two parts of equal variance."""
        distances = functional.softplus(self.sharpness) * math.sqrt(2 / (9 * self.points))
        return math.sqrt(0.5 / self.head_width), math.sqrt(0.5) * distances

    def logits(self, scalars: Tensor, points: Tensor, bias: Tensor) -> Tensor:
        """q.k a - |p - r|^2 b/2 + bias as one product; |p|^2 is the same for all keys and falls out of the softmax."""
        product, distance = self.factors()
        with full_precision(points):
            query, key = points[:, :, 0] * distance[:, None, None], points[:, :, 1]
            squares = -0.5 * distance * key.square().sum((-1, -2))
            queries = [product * scalars[:, :, 0], query.flatten(-2), torch.ones_like(squares)[..., None]]
            keys = [scalars[:, :, 1], key.flatten(-2), squares[..., None]]
            queries, keys = (torch.cat(parts, dim=-1).transpose(1, 2) for parts in (queries, keys))
            return queries @ keys.mT + bias

    def pair_values(self, weight: Tensor, pairs: Tensor) -> Tensor:
        """sum_j w_ij V z_ij for all heads [batch, residues, heads, head_width].

        One product per residue i for all samples of a sequence: [samples x heads, residues] @ [residues, pair_width].
        """
        batch, graphs = len(weight), len(pairs)
        shares = weight.reshape(graphs, -1, *weight.shape[2:]).transpose(1, 2)
        seen = (shares @ pairs.to(weight.dtype)).unflatten(2, (batch // graphs, self.heads))
        values = seen.permute(3, 0, 2, 1, 4).flatten(1, 3) @ self.pair_value
        return values.unflatten(1, (batch, -1)).permute(1, 2, 0, 3)

    def local(self, seen: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        """Points [batch, residues, heads, points x 3] as each residue sees them, and how far they are."""
        with full_precision(frames.positions):
            points = seen.to(frames.positions.dtype).flatten(2).unflatten(-1, (-1, 3))
            points = (points - frames.positions[:, :, None]) @ frames.rotations
            return points.flatten(2), length(points)


class BondReader(nn.Module):
    """A hidden vector for every bond, from what is seen of it and from the residues at its ends."""

    def __init__(self, width: int, features: int):
        super().__init__()
        self.seen = nn.Linear(features, BOND_WIDTH)
        self.first = nn.Linear(width, BOND_WIDTH)
        self.second = nn.Linear(width, BOND_WIDTH)
        self.update = nn.Linear(BOND_WIDTH, BOND_WIDTH)

    def forward(self, nodes: Tensor, bonds: Bonds, known: Tensor, conditions: Conditions) -> Tensor:
        """Hidden vectors [batch, residues, reach, bond_width]; `known` is what is known of the bond itself."""
        ends = self.first(nodes)[:, :, None] + conditions.others(self.second(nodes))
        return functional.silu(self.update(functional.silu(self.seen(bonds.features) + known + ends)))


class Head(nn.Module):
    """Reads how frames should move and turn: from each residue in its own frame, and from bonds.

    A bond between the ends m_a of one residue and m_b of the next pulls both residues along its direction with opposite forces f,
    and turns them by m x f.
    """

    def __init__(self, width: int, features: int, ends: int):
        super().__init__()
        self.reader = BondReader(width, features)
        # The output starts at 0, a loss of 1.
        self.local = zeroed(nn.Linear(width, 6))
        self.strength = zeroed(nn.Linear(BOND_WIDTH, 4 * ends**2))

    def forward(
        self, nodes: Tensor, bonds: Bonds, known: Tensor, ends: Tensor, frames: Frames, conditions: Conditions
    ) -> tuple[Tensor, Tensor]:
        """Motion in the laboratory and turn in the frame of the body [batch, residues, 3] each."""
        strength = self.strength(self.reader(nodes, bonds, known, conditions))
        with full_precision(nodes):
            force, first, second = self.forces(strength.to(ends.dtype), bonds, ends, conditions)
            move, turn = self.local(nodes).to(ends.dtype).split(3, dim=-1)
            pull = applied(frames.rotations[:, :, None], force)
            move = applied(frames.rotations, move) + pull.sum(2) - conditions.gathered(pull)
            return move, turn + first.sum(2) + conditions.gathered(second)

    def forces(
        self, strength: Tensor, bonds: Bonds, ends: Tensor, conditions: Conditions
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Force on the first residue and torques on both, each in its own frame [batch, residues, reach, 3]."""
        exists = conditions.picks.sum(-1)[..., None, None, None]
        pull, stiffness = strength.unflatten(-1, (2, 2, len(ends), len(ends))).unbind(3)
        tension = (pull + stiffness * bonds.deviations[..., None, :, :]) * exists
        pulls, twists = (tension[..., None] * bonds.directions[..., None, :, :, :]).unbind(3)
        first = torch.linalg.cross(ends.expand_as(twists[..., 0]), twists.sum(-2)).sum(-2)
        back = -(twists.sum(-3) @ bonds.turns)
        second = torch.linalg.cross(ends.expand_as(back), back).sum(-2)
        return pulls.sum((-2, -3)), first, second


class Block(nn.Module):
    """What is seen of neighbours, a stack of layers, and the head that reads from it how frames should move."""

    def __init__(self, layers: int, width: int, pair_width: int, heads: int, points: int, ends: int):
        super().__init__()
        features = 12 + len(RESOLUTIONS) * ends**2
        self.reader = BondReader(width, features)
        self.before = nn.Linear(REACH * BOND_WIDTH, width, bias=False)
        self.after = nn.Linear(REACH * BOND_WIDTH, width, bias=False)
        self.layers = nn.ModuleList(Layer(width, pair_width, heads, points) for _ in range(layers))
        self.head = Head(width, features, ends)

    def forward(
        self,
        nodes: Tensor,
        frames: Frames,
        bonds: Bonds,
        ends: Tensor,
        index: int,
        level: Tensor,
        conditions: Conditions,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Updated nodes, motion and turn, of the block with this index."""
        near, far = conditions.bonds[2 * index : 2 * index + 2]
        hidden = self.reader(nodes, bonds, near, conditions)
        nodes = nodes + self.told(hidden, conditions)
        scaled, count = frames.scaled(conditions.mask), len(self.layers)
        for k, layer in enumerate(self.layers):
            nodes = layer(nodes, conditions.bias[index * count + k], conditions.pairs, scaled, level)
        read = functional.layer_norm(nodes, nodes.shape[-1:])
        return nodes, *self.head(read, bonds, far, ends, frames, conditions)

    def told(self, hidden: Tensor, conditions: Conditions) -> Tensor:
        """What residues hear of the bonds that start and that end at them [batch, residues, width]."""
        hidden = hidden * conditions.picks.sum(-1, keepdim=True)
        shares = self.after.weight.unflatten(1, (REACH, -1))
        arriving = torch.einsum("bikf,wkf->bikw", hidden, shares)
        return self.before(hidden.flatten(2)) + conditions.gathered(arriving)


class FrameGraphormer(nn.Module):
    """The score network of a protein (before preconditioning).

    Args:
        layers, width, pair_width, heads: size; the paper has 12 layers, width 768, pairs 256, 32 heads.
        blocks: number of blocks that share the layers; from the second on they see the denoised structure.
        points: in space, per head, as queries, keys and values.
        single_features, pair_features: of embeddings made elsewhere, 0 if there are none.
        scale_angstrom: unit of the positions, for the start of what is learned about bonds.

    `products` is the type of matrix products on a GPU, None that of the weights. Positions and rotations keep their own.
    """

    products: torch.dtype | None = None

    def __init__(
        self, layers: int, blocks: int, width: int, pair_width: int, heads: int, points: int,
        single_features: int = 0, pair_features: int = 0, scale_angstrom: float = 3.5,
    ):  # fmt: skip
        super().__init__()
        self.sequence = SequenceEncoder(width, pair_width, single_features, pair_features)
        self.ends = nn.Parameter(torch.tensor(ENDS) / scale_angstrom)
        further = STEP * torch.arange(REACH)[:, None, None]
        self.lengths = nn.Parameter((torch.tensor(NEXT) + further) / scale_angstrom)
        self.expectation = zeroed(nn.Linear(pair_width, 2 * len(ENDS) ** 2))
        self.bonds = nn.Linear(pair_width, 2 * blocks * BOND_WIDTH)
        self.level = nn.Sequential(
            nn.Linear(4 * LEVEL_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.blocks = nn.ModuleList(
            Block(layers // blocks, width, pair_width, heads, points, len(ENDS)) for _ in range(blocks)
        )

    def conditions(self, graph: ResidueGraph) -> Conditions:
        """Everything that depends on the sequence alone; call it once per sequence when sampling."""
        nodes, pairs = self.sequence(graph)
        padding = ~graph.mask[:, None, None]
        layers = [layer for block in self.blocks for layer in block.layers]
        bias = functional.linear(pairs, torch.cat([layer.bias.weight for layer in layers]))
        bias = bias.unflatten(-1, (len(layers), -1)).permute(3, 0, 4, 1, 2).masked_fill(padding, -torch.inf)
        picks = followers(graph).to(pairs.dtype)
        bonds = picks @ pairs
        known = self.bonds(bonds).unflatten(-1, (-1, BOND_WIDTH)).movedim(-2, 0)
        shape = 2, len(ENDS), len(ENDS)
        shift, widening = self.expectation(bonds).unflatten(-1, shape).unbind(-3)
        spread = SHARPEST * widening.clamp(-MOST_WIDENING, MOST_WIDENING).exp()
        return Conditions(nodes, pairs, bias, picks, known, self.lengths + shift, spread, graph.mask)

    def forward(
        self,
        positions: Float[Tensor, "batch residues 3"],
        rotations: Float[Tensor, "batch residues 3 3"],
        noise: Float[Tensor, " batch"],
        rotation_noise: Float[Tensor, " batch"],
        conditions: Conditions,
    ) -> tuple[Float[Tensor, "batch residues 3"], Float[Tensor, "batch residues 3"]]:
        """Raw outputs F for positions y = x_0 + tau eps in units of the data's standard deviation, and rotations R_0 Exp(w).

        `noise` is tau, `rotation_noise` the sigma of w in radians (see `dig_core.rotations`). `conditions` are those of one sequence
        (shared) or of each structure in the batch. The first output is in the laboratory: it turns with the structure; the
        second in the frame of each body. Translations leave both; both are 0 for padding. After each block the structure is
        denoised with what F is so far, for the next one to look at: D = y / (1 + tau^2) + tau / sqrt(1 + tau^2) F (Karras et
        al. 2022, eq. 7), and R turned by sigma / sqrt(1 + sigma^2) F.
        """
        with torch.autocast(positions.device.type, self.products, self.products is not None):
            return self.output(Frames(positions, rotations, noise, rotation_noise), conditions)

    def output(self, frames: Frames, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """What `forward` returns, in whatever precision it is called."""
        levels = [level_features(noise) for noise in (frames.noise, frames.rotation_noise)]
        level = self.level(torch.cat(levels, dim=-1))
        nodes = conditions.nodes + level[:, None]
        move, turn = torch.zeros_like(frames.positions), torch.zeros_like(frames.positions)
        seen = frames
        for index, block in enumerate(self.blocks):
            bonds = self.bonds_of(seen, conditions)
            nodes, further, more = block(nodes, seen, bonds, self.ends, index, level, conditions)
            move, turn = move + further, turn + more
            seen = denoised(frames, move, turn)
        mask = conditions.mask[..., None]
        return move * mask, turn * mask

    def bonds_of(self, frames: Frames, conditions: Conditions) -> Bonds:
        """Neighbours as they see each other, lengths of bonds against expectation."""
        with full_precision(frames.positions):
            other = conditions.others(torch.cat([frames.positions, frames.rotations.flatten(2)], dim=-1))
            turns = frames.rotations.mT[:, :, None] @ other[..., 3:].unflatten(-1, (3, 3))
            apart = applied(frames.rotations.mT[:, :, None], other[..., :3] - frames.positions[:, :, None])
            ends = apart[..., None, :] + self.ends @ turns.mT
            between = ends[..., None, :, :] - self.ends[:, None]
            lengths = length(between)
            deviations = self.deviations(lengths, frames, conditions)
            scaled = apart / torch.sqrt(1 + frames.noise**2)[:, None, None, None]
            features = torch.cat([scaled, turns.flatten(-2), deviations.flatten(-3)], dim=-1)
        return Bonds(features, between / lengths[..., None], deviations[..., 0, :, :], turns)

    def deviations(self, lengths: Tensor, frames: Frames, conditions: Conditions) -> Tensor:
        """Deviations from expected lengths [.., resolutions, ends, ends], over the width that spread and noise give them; -1 to 1."""
        squares = self.ends.square().sum(-1)
        noise, rotation_noise = (
            sigma[:, None, None, None, None] for sigma in (frames.noise, frames.rotation_noise)
        )
        variance = 2 * noise**2 + rotation_noise**2 * (squares[:, None] + squares)
        resolutions = torch.tensor(RESOLUTIONS).to(lengths)[:, None, None]
        width = (conditions.spread[..., None, :, :] * resolutions) ** 2 + variance[..., None, :, :]
        deviation = (lengths - conditions.lengths)[..., None, :, :]
        return deviation * torch.rsqrt(width + deviation**2)


def denoised(frames: Frames, move: Tensor, turn: Tensor) -> Frames:
    """The structure that outputs of the network stand for, and the noise that may be left in it."""
    total = torch.sqrt(1 + frames.noise**2)
    turned_total = torch.sqrt(1 + frames.rotation_noise**2)
    noise, rotation_noise = frames.noise / total, frames.rotation_noise / turned_total
    with full_precision(frames.positions):
        positions = frames.positions / total[:, None, None] ** 2 + noise[:, None, None] * move
        rotations = frames.rotations @ turned(rotation_noise[:, None, None] * turn)
    return Frames(positions, rotations, RESIDUAL_NOISE * noise, RESIDUAL_NOISE * rotation_noise)


def turned(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations by 2 atan(|v| / 2) about v, never by more than half a turn: the unnormalised quaternions (1, v / 2).

    As Jumper et al. 2021, SI algorithm 23; Exp(v) for short vectors.
    """
    x, y, z = (vectors / 2).unbind(-1)
    scale = 2 / (1 + x * x + y * y + z * z)
    rows = [
        *(1 - scale * (y * y + z * z), scale * (x * y - z), scale * (x * z + y)),
        *(scale * (x * y + z), 1 - scale * (x * x + z * z), scale * (y * z - x)),
        *(scale * (x * z - y), scale * (y * z + x), 1 - scale * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def places(graph: ResidueGraph) -> Tensor:
    """Where the second residue of a pair is along the chain of the first, 0 to 2 FAR, or 2 FAR + 1 in another chain."""
    steps = (graph.indices[:, None] - graph.indices[:, :, None]).clamp(-FAR, FAR) + FAR
    same = graph.chains[:, None] == graph.chains[:, :, None]
    return torch.where(same, steps, 2 * FAR + 1)


def followers(graph: ResidueGraph) -> Bool[Tensor, "graphs residues reach residues"]:
    """Which residue is the 1st, 2nd, .. after each, in the same chain and without a gap in the numbers."""
    steps = (graph.indices[:, None] - graph.indices[:, :, None])[:, :, None]
    offsets = torch.arange(1, REACH + 1, device=steps.device)[:, None]
    same = (graph.chains[:, None] == graph.chains[:, :, None]) & graph.mask[:, None] & graph.mask[:, :, None]
    return (steps == offsets) & same[:, :, None]


def embedded(layer: nn.Linear | None, values: Tensor | None, name: str) -> Tensor | float:
    """An embedding made elsewhere, projected; 0 where the network has none."""
    expected, found = layer.in_features if layer else 0, 0 if values is None else values.shape[-1]
    if expected != found:
        raise ValueError(
            f"expected {expected} features in {name}; got {found}. Compute the embeddings the network was built for"
        )
    return layer(values) if layer else 0.0


def applied(matrices: Float[Tensor, "*#batch 3 3"], vectors: Float[Tensor, "*#batch 3"]) -> Tensor:
    """Matrices times vectors."""
    return (matrices @ vectors[..., None]).squeeze(-1)


def length(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Lengths, with a derivative at 0."""
    return (vectors.square().sum(-1) + SMALLEST_SQUARE).sqrt()
