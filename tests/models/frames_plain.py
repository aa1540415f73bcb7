"""The network of `dig_core.models.frames` as its papers write it: what the fast path must equal, and is timed against.

Nothing is kept between evaluations; in every layer the pairs are projected to a bias and to values of every head, and the distances of
all points are taken one by one.
"""

import copy

import torch
from torch import Tensor

from dig_core.models.frames import FrameGraphormer
from dig_core.models.point_attention import Frames, Layer, local
from dig_core.structure import ResidueGraph


class PlainLayer(Layer):
    """Jumper et al. 2021, SI algorithm 22, line by line, with values of pairs that are projected before they are summed."""

    def attention(self, nodes: Tensor, bias: Tensor, pairs: Tensor, frames: Frames) -> Tensor:
        """What each residue hears from the others; `bias` is only asked for padding."""
        (query, key, value), (from_here, there, points) = self.queries_keys_values(nodes, frames)
        product, distance = self.factors()
        apart = from_here[:, :, None] - there[:, None]
        squares = apart.square().sum((-3, -1)).permute(0, 3, 1, 2)
        logits = (
            product * torch.einsum("bihc,bjhc->bhij", query, key) - 0.5 * distance[:, None, None] * squares
        )
        logits = (logits + self.bias(pairs).permute(0, 3, 1, 2)).masked_fill(bias.isinf(), -torch.inf)
        weight = torch.softmax(logits, dim=-1)
        width = self.pair_value.transpose(0, 1).flatten(1)
        values = value[:, None] + (pairs @ width).unflatten(-1, (self.heads, self.head_width))
        values = torch.einsum("bhij,bijhc->bihc", weight, values)
        seen = torch.einsum("bhij,bjxhp->bixhp", weight, points).flatten(3)
        return self.out(torch.cat([values.flatten(2), *local(seen, frames)], dim=-1))


def plain(network: FrameGraphormer) -> FrameGraphormer:
    """The same network with the same weights, its layers plain."""
    copied = copy.deepcopy(network)
    for block in copied.blocks:
        for layer in block.layers:
            layer.__class__ = PlainLayer
    return copied


def plain_output(
    network: FrameGraphormer, structures: tuple[Tensor, Tensor, Tensor, Tensor], graph: ResidueGraph
) -> tuple[Tensor, Tensor]:
    """Outputs of a plain network, one structure after another: positions, rotations and both noises are `structures`."""
    each = []
    for index in range(len(structures[0])):
        own = [values[index : index + 1] for values in structures]
        each.append(network(*own, network.conditions(graph)))
    return tuple(torch.cat(parts) for parts in zip(*each, strict=True))
