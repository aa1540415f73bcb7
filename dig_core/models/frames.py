"""Graphormer for proteins: from noisy residue frames and their noise to how every frame should move and turn.

Top to bottom: what is seen of neighbours -> head -> block -> FrameGraphormer; `dig_core.models.sequence` has what is known of a sequence.
After DiG (arXiv 2306.05445, SI): residues as frames, attention biased by pair features (`dig_core.models.point_attention`),
translations and rotations read in the local frame. On top of it: neighbours in the sequence are seen closely, as distances between
points fixed to both frames against what is expected of them, and bonds between these points pull and twist the frames; and the
network works in blocks, each of which sees the structure as the blocks before it have denoised it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dig_core.geometry import full_precision
from dig_core.models.graphormer import LEVEL_FREQUENCIES, level_features, zeroed
from dig_core.models.point_attention import SMALLEST_SQUARE, Frames, Layer
from dig_core.models.sequence import REACH, Conditions, SequenceEncoder, followers
from dig_core.rotations import from_quaternions
from dig_core.structure import ResidueGraph

BOND_WIDTH = 64  # of what is known of two neighbours
# N, CA and C in the frame of their residue (Angstrom): where the ends of bonds start; training moves them.
ENDS = ((-0.527, 1.359, 0.0), (0.0, 0.0, 0.0), (1.525, 0.0, 0.0))
# Distances (Angstrom) from these three ends to the three of the next residue, and of the ones after it.
NEXT = ((3.2, 4.5, 5.1), (2.43, 3.8, 4.6), (1.33, 2.43, 3.2))
STEP = 2.4  # Angstrom that each further residue adds to them
SHARPEST, RESOLUTIONS = 0.02, (1.0, 4.0, 16.0)  # widths at which deviations are seen, in units of the data
MOST_WIDENING = 5.0  # ln of a factor, so that its exponential never overflows
# About how much of the noise a block leaves: the sharpness with which the next one looks.
RESIDUAL_NOISE = 0.5
TERMS = (3, 3, 9, 1)  # x, Q^T x, Q, |x|^2 of neighbours; see Bonds


@dataclass(frozen=True)
class Bonds:
    """What is seen of neighbours in the frame of the first, and lengths for all pairs of an end m of the first and an end m' of the second.

    Squared lengths are linear in what is seen: |x + Q m' - m|^2 = |x|^2 - 2 x.m + 2 Q^T x.m' - 2 m.Q m' + |m|^2 + |m'|^2.
    So is half their weighted sum E, of which forces and torques are derivatives.
    """

    features: Float[Tensor, "batch residues reach features"]
    lengths: Float[Tensor, "batch residues reach pairs"]
    deviations: Float[Tensor, "batch residues reach pairs"]  # from the expected length, in widths, -1 to 1
    apart: Float[Tensor, "batch residues reach 3"]  # x: where the second is
    back: Float[Tensor, "batch residues reach 3"]  # Q^T x: the same in the frame of the second
    turns: Float[Tensor, "batch residues reach 3 3"]  # Q: the second's rotation

    def pulled(
        self, energy: Float[Tensor, "batch residues reach terms"]
    ) -> Float[Tensor, "batch residues reach 3"]:
        """Force on the first, in its frame, of E = h.(x, Q^T x, Q, |x|^2): dE/dx."""
        first, second, _, square = energy.split(TERMS, dim=-1)
        return first + applied(self.turns, second) + 2 * square * self.apart

    def twisted(self, energy: Float[Tensor, "batch residues reach terms"]) -> tuple[Tensor, Tensor]:
        """Torques on the first and the second, each in its frame, of the same: sums of cross products with columns and rows of Q."""
        first, second, turns, _ = energy.split(TERMS, dim=-1)
        turns = turns.unflatten(-1, (3, 3))
        columns = outer(self.apart, first) + self.turns @ turns.mT
        rows = outer(self.back, second) + self.turns.mT @ turns
        return antisymmetric(columns), antisymmetric(rows)


class Head(nn.Module):
    """Reads how frames should move and turn: from each residue in its own frame, and from bonds.

    A bond pulls both residues along its direction with opposite forces and turns them as such forces at its ends would.
    """

    def __init__(self, width: int, ends: int):
        super().__init__()
        self.bond = nn.Linear(BOND_WIDTH, BOND_WIDTH)
        self.first = nn.Linear(width, BOND_WIDTH, bias=False)
        self.second = nn.Linear(width, BOND_WIDTH, bias=False)
        # The output starts at 0, a loss of 1.
        self.local = zeroed(nn.Linear(width, 6))
        self.strength = zeroed(nn.Linear(BOND_WIDTH, 4 * ends**2))

    def forward(
        self,
        nodes: Tensor,
        hidden: Tensor,
        bonds: Bonds,
        squares: Tensor,
        frames: Frames,
        conditions: Conditions,
    ) -> tuple[Tensor, Tensor]:
        """Motion in the laboratory and turn in the frame of the body [batch, residues, 3]; `hidden` [.., bond_width] of bonds.

        `squares` [terms, pairs] as made by `squared_lengths`.
        """
        ends = self.first(nodes)[:, :, None] + conditions.others(self.second(nodes))
        strength = self.strength(functional.silu(self.bond(hidden) + ends)) * conditions.exists
        move, turn = self.local(nodes).split(3, dim=-1)
        with full_precision(nodes):
            dtype = frames.positions.dtype
            pull, stiffness = strength.to(dtype).unflatten(-1, (2, 2, -1)).unbind(3)
            tension = pull + stiffness * bonds.deviations[..., None, :]
            pulls, twists = (0.5 * (tension / bonds.lengths[..., None, :]) @ squares.mT).unbind(3)
            force, (first, second) = bonds.pulled(pulls), bonds.twisted(twists)
            force = applied(frames.rotations[:, :, None], force)
            motion = applied(frames.rotations, move.to(dtype)) + force.sum(2) - conditions.gathered(force)
            return motion, turn.to(dtype) + first.sum(2) + conditions.gathered(second)


class Block(nn.Module):
    """What is seen of neighbours, a stack of layers, and the head that reads from it how frames should move."""

    def __init__(self, layers: int, width: int, pair_width: int, heads: int, points: int, ends: int):
        super().__init__()
        self.seen = nn.Linear(15 + len(RESOLUTIONS) * ends**2, BOND_WIDTH)
        self.ends = nn.Linear(width, 2 * BOND_WIDTH, bias=False)
        self.update = nn.Linear(BOND_WIDTH, BOND_WIDTH)
        self.told = nn.Linear(2 * REACH * BOND_WIDTH, width, bias=False)
        self.layers = nn.ModuleList(Layer(width, pair_width, heads, points) for _ in range(layers))
        self.head = Head(width, ends)

    def forward(
        self,
        nodes: Tensor,
        frames: Frames,
        bonds: Bonds,
        squares: Tensor,
        index: int,
        level: Tensor,
        conditions: Conditions,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Updated nodes, motion and turn, of the block with this index."""
        hidden = self.hidden(nodes, bonds, conditions.bonds[index], conditions)
        nodes = nodes + self.told(conditions.at_both_ends(hidden))
        scaled, count = frames.scaled(conditions.mask), len(self.layers)
        for k, layer in enumerate(self.layers):
            nodes = layer(nodes, conditions.bias[index * count + k], conditions.pairs, scaled, level)
        read = functional.layer_norm(nodes, nodes.shape[-1:])
        return nodes, *self.head(read, hidden, bonds, squares, frames, conditions)

    def hidden(self, nodes: Tensor, bonds: Bonds, known: Tensor, conditions: Conditions) -> Tensor:
        """Of every bond [batch, residues, reach, bond_width]: what is seen and `known` of it, and the residues at its ends."""
        first, second = self.ends(nodes).chunk(2, dim=-1)
        seen = self.seen(bonds.features) + known + first[:, :, None] + conditions.others(second)
        return functional.silu(self.update(functional.silu(seen))) * conditions.exists


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
        further = STEP * torch.arange(REACH)[:, None]
        self.lengths = nn.Parameter((torch.tensor(NEXT).flatten() + further) / scale_angstrom)
        self.expectation = zeroed(nn.Linear(pair_width, 2 * len(ENDS) ** 2))
        self.bonds = nn.Linear(pair_width, blocks * BOND_WIDTH)
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
        shift, widening = self.expectation(bonds).chunk(2, dim=-1)
        spread = SHARPEST * widening.clamp(-MOST_WIDENING, MOST_WIDENING).exp()
        exists = picks.sum(-1, keepdim=True)
        return Conditions(nodes, pairs, bias, picks, exists, known, self.lengths + shift, spread, graph.mask)

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
        squares, arms = squared_lengths(self.ends)
        for index, block in enumerate(self.blocks):
            seen = denoised(frames, move, turn) if index else frames
            bonds = bonds_of(seen, squares, arms, conditions)
            nodes, further, more = block(nodes, seen, bonds, squares, index, level, conditions)
            move, turn = move + further, turn + more
        mask = conditions.mask[..., None]
        return move * mask, turn * mask


def bonds_of(frames: Frames, squares: Tensor, arms: Tensor, conditions: Conditions) -> Bonds:
    """Neighbours as the first of two sees the second, lengths of bonds against expectation; see `squared_lengths`."""
    with full_precision(frames.positions):
        other = conditions.others(torch.cat([frames.positions, frames.rotations.flatten(2)], dim=-1))
        inverse = frames.rotations.mT[:, :, None]
        turns = inverse @ other[..., 3:].unflatten(-1, (3, 3))
        apart = applied(inverse, other[..., :3] - frames.positions[:, :, None])
        back, square = applied(turns.mT, apart), apart.square().sum(-1, keepdim=True)
        lengths = torch.cat([apart, back, turns.flatten(-2), square], dim=-1) @ squares + arms
        lengths = lengths.clamp(min=SMALLEST_SQUARE).sqrt()
        deviations = deviations_of(lengths, arms, frames, conditions)
        total = torch.sqrt(1 + frames.noise**2)[:, None, None, None]
        features = torch.cat([apart / total, back / total, turns.flatten(-2), *deviations], dim=-1)
    return Bonds(features, lengths, deviations[0], apart, back, turns)


def squared_lengths(ends: Float[Tensor, "ends 3"]) -> tuple[Tensor, Tensor]:
    """Factors [terms, pairs] of x, Q^T x, Q and |x|^2 in the squared distance of two ends (see `Bonds`), and |m|^2 + |m'|^2."""
    first, second = ends.repeat_interleave(len(ends), 0), ends.repeat(len(ends), 1)
    turns = -2 * outer(first, second).flatten(1)
    factors = torch.cat([-2 * first, 2 * second, turns, torch.ones_like(first[:, :1])], dim=1)
    return factors.mT, (first.square() + second.square()).sum(-1)


def deviations_of(lengths: Tensor, arms: Tensor, frames: Frames, conditions: Conditions) -> list[Tensor]:
    """Deviations from expected lengths over the width that spread and noise give them, squeezed to -1 to 1; for all resolutions."""
    noise, turns = (sigma[:, None, None, None] ** 2 for sigma in (frames.noise, frames.rotation_noise))
    deviation, spread = lengths - conditions.lengths, conditions.spread**2
    square = deviation**2 + turns * arms + 2 * noise
    return [deviation * torch.rsqrt(square + spread * factor**2) for factor in RESOLUTIONS]


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
    """Rotations by 2 atan(|v| / 2) about v, never by more than half a turn: the quaternions (1, v / 2), not normalised.

    As Jumper et al. 2021, SI algorithm 23; Exp(v) for short vectors.
    """
    return from_quaternions(functional.pad(vectors / 2, (1, 0), value=1.0))


def applied(matrices: Float[Tensor, "*#batch 3 3"], vectors: Float[Tensor, "*#batch 3"]) -> Tensor:
    """Matrices times vectors."""
    return (matrices @ vectors[..., None]).squeeze(-1)


def outer(first: Float[Tensor, "*batch 3"], second: Float[Tensor, "*batch 3"]) -> Tensor:
    """First times the transpose of second."""
    return first[..., :, None] * second[..., None, :]


def antisymmetric(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """a x b of a matrix a b^T, and the sum of such of a sum."""
    m = matrices - matrices.mT
    return torch.stack([m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]], dim=-1)
