"""What the network over residue frames knows of a sequence whatever its structure: residues, pairs of them, and who is bonded to whom."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dig_core.models.graphormer import mlp
from dig_core.structure import RESIDUES, ResidueGraph

FAR = 32  # residues along the chain; beyond, a pair only knows which of them comes first
REACH = 2  # neighbours along the chain that are seen closely


@dataclass(frozen=True)
class Conditions:
    """What the network knows about a sequence whatever its structure: computed once, shared by all steps and samples.

    Bonds are between a residue and the 1st, 2nd, .. after it in the chain: `reach` of them, not all of which exist.
    """

    nodes: Float[Tensor, "graphs residues width"]
    pairs: Float[Tensor, "graphs residues residues pair_width"]
    bias: Float[Tensor, "layers graphs heads residues residues"]  # of attention, -inf towards padding
    picks: Float[Tensor, "graphs residues reach residues"]  # 1 for the residue at the other end of a bond
    exists: Float[Tensor, "graphs residues reach 1"]  # whether there is one
    bonds: Float[Tensor, "blocks graphs residues reach bond_width"]  # what is known of a bond
    lengths: Float[Tensor, "graphs residues reach pairs"]  # expected, for all pairs of ends
    spread: Float[Tensor, "graphs residues reach pairs"]  # and their width
    mask: Bool[Tensor, "graphs residues"]

    def of(self, rows: Int[Tensor, " batch"]) -> "Conditions":
        """Those of graphs in this order, one for each structure of a batch; a graph may come several times."""
        first = {"bias": 1, "bonds": 1}
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Conditions(**{name: x.index_select(first.get(name, 0), rows) for name, x in parts.items()})

    def others(self, values: Float[Tensor, "batch residues features"]) -> Tensor:
        """Values at the other ends of bonds [batch, residues, reach, features], 0 where there is none."""
        return (self.picks.flatten(1, 2) @ values).unflatten(1, self.picks.shape[1:3])

    def gathered(self, values: Float[Tensor, "batch residues reach features"]) -> Tensor:
        """Sums over the bonds that end at a residue [batch, residues, features]."""
        return self.picks.flatten(1, 2).mT @ values.flatten(1, 2)

    def at_both_ends(self, values: Float[Tensor, "batch residues reach features"]) -> Tensor:
        """Values of the bonds that start at a residue and of those that end at it [batch, residues, 2 x reach x features]."""
        ending = (self.picks.permute(0, 2, 3, 1) @ values.transpose(1, 2)).transpose(1, 2)
        return torch.cat([values.flatten(2), ending.flatten(2)], dim=-1)


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
