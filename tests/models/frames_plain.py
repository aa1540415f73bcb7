"""The network of `dig_core.models.frames` as its papers write it: what the fast path must equal, and is timed against.

Nothing is kept between evaluations; in every layer the pairs are projected to a bias and to values of every head, and the distances of
all points are taken one by one.
"""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from dig_core.models.frames import FrameGraphormer, Frames, Layer
from dig_core.structure import ResidueGraph


class PlainLayer(Layer):
    """Jumper et al. 2021, SI algorithm 22, line by line, with values of pairs that are projected before they are summed."""

    def attention(self, nodes: Tensor, bias: Tensor, pairs: Tensor, frames: Frames) -> Tensor:
        """What each residue hears from the others; `bias` is only asked for padding."""
        scalars, points = self.queries_keys_values(nodes, frames)
        product, distance = self.factors()
        logits = product * torch.einsum("bihc,bjhc->bhij", scalars[:, :, 0], scalars[:, :, 1])
        apart = points[:, :, None, 0] - points[:, None, :, 1]
        logits = logits - 0.5 * distance[:, None, None] * apart.square().sum((-1, -2)).permute(0, 3, 1, 2)
        logits = logits + self.bias(pairs).permute(0, 3, 1, 2)
        weight = torch.softmax(logits.masked_fill(bias.isinf(), -torch.inf), dim=-1)
        width = self.pair_value.transpose(0, 1).flatten(1)
        pair_values = (pairs @ width).unflatten(-1, (self.heads, self.head_width))
        values = scalars[:, None, :, 2] + pair_values
        values = torch.einsum("bhij,bijhc->bihc", weight, values)
        seen = torch.einsum("bhij,bjhpx->bihpx", weight, points[:, :, 2])
        seen = (seen - frames.positions[:, :, None, None]) @ frames.rotations[:, :, None]
        lengths = (seen.square().sum(-1) + 1e-6).sqrt()
        return functional.linear(
            torch.cat([part.flatten(2) for part in (values, seen, lengths)], dim=-1),
            self.out.weight,
            self.out.bias,
        )


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
