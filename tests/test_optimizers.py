"""Muon against its definition and against torch's own, and who gets which parameter."""

import pytest
import torch
from torch import nn

from dig_core.optimizers import Muon, optimizers, orthogonalised


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8), (1, 5)])
def test_orthogonalised_keeps_directions_and_evens_out_lengths(shape):
    generator = torch.Generator().manual_seed(0)
    u, _, vh = torch.linalg.svd(torch.randn(3, *shape, generator=generator), full_matrices=False)
    values = torch.logspace(0, -2, min(shape))
    result = u.mT @ orthogonalised(u * values @ vh) @ vh.mT
    lengths = result.diagonal(dim1=1, dim2=2)
    assert (result - torch.diag_embed(lengths)).abs().max() < 1e-4
    assert lengths.min() > 0.65 and lengths.max() < 1.25


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_agrees_with_the_one_of_torch(weight_decay):
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator) for shape in ((12, 12), (12, 12), (6, 20))]
    own, theirs = ([nn.Parameter(matrix.clone()) for matrix in start] for _ in range(2))
    kept = {"lr": 0.1, "momentum": 0.9, "weight_decay": weight_decay}
    pair = (
        (own, Muon(own, **kept)),
        (theirs, torch.optim.Muon(theirs, **kept, adjust_lr_fn="match_rms_adamw")),
    )
    for _ in range(4):
        gradients = [torch.randn(matrix.shape, generator=generator) for matrix in start]
        for parameters, optimizer in pair:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for ours, other, first in zip(own, theirs, start, strict=True):
        moved = (other - first).norm()
        assert moved > 0.1 and (ours - other).norm() < 0.03 * moved  # torch's works in bfloat16


def test_every_parameter_has_one_optimiser_and_those_without_gradient_stay():
    network = nn.ModuleDict({"table": nn.Embedding(3, 4), "used": nn.Linear(4, 4), "unused": nn.Linear(4, 4)})
    muon, adam = optimizers(network, 0.1, 0.0)
    parts = [{id(p) for group in one.param_groups for p in group["params"]} for one in (muon, adam)]
    assert parts[0] == {id(network["used"].weight), id(network["unused"].weight)}
    assert parts[0] | parts[1] == {id(p) for p in network.parameters()} and not parts[0] & parts[1]
    before = {name: p.clone() for name, p in network.named_parameters()}
    network["used"](network["table"](torch.tensor([0, 1]))).square().sum().backward()
    muon.step(), adam.step()
    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"table.weight", "used.weight", "used.bias"}
