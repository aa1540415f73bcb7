"""Symmetries of the score network, in float64 and with all weights random."""

import subprocess
import sys

import pytest
import torch

from dig_core.data.features import ATOM_FEATURES, PAIR_FEATURES
from dig_core.models.graphormer import Graphormer
from dig_core.structure import MolecularGraph
from tests.molecules_for_tests import graph, noisy, peptide, small_molecule, tiny_network

ALANINE = peptide()[1]
NOISE = torch.tensor([0.01, 0.3, 5.0]).double()


def output(network, molecule_graph, positions, noise=NOISE):
    return network(positions, noise, network.conditions(molecule_graph))


def rotation(seed: int = 1) -> torch.Tensor:
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double())
    return q * torch.linalg.det(q)


def test_rotation_turns_the_output_and_translation_leaves_it():
    network, positions = tiny_network(), noisy(ALANINE, 3, 0.3)
    expected = output(network, graph(ALANINE), positions) @ rotation().T
    moved = output(network, graph(ALANINE), positions @ rotation().T + torch.tensor([1.0, -2.0, 3.0]))
    torch.testing.assert_close(moved, expected, atol=1e-10, rtol=1e-10)
    assert expected.abs().max() > 0.1


def test_permuted_atoms_give_permuted_output():
    network, positions = tiny_network(), noisy(ALANINE, 3, 0.3)
    order = torch.randperm(22, generator=torch.Generator().manual_seed(2))
    own = graph(ALANINE)
    permuted = MolecularGraph(
        own.atoms[:, order], own.pairs[:, order][:, :, order], own.bounds[:, order][:, :, order], own.mask
    )
    torch.testing.assert_close(
        output(network, permuted, positions[:, order]), output(network, own, positions)[:, order]
    )


def padded(own: MolecularGraph, atoms: int) -> MolecularGraph:
    """The graph with masked atoms at its end, all of whose features are zero."""
    end = 0, atoms - own.mask.shape[1]
    fill = torch.nn.functional.pad
    pairs = (0, 0, *end, *end)
    return MolecularGraph(
        fill(own.atoms, (0, 0, *end)), fill(own.pairs, pairs), fill(own.bounds, pairs), fill(own.mask, end)
    )


def test_padding_changes_nothing_and_stays_zero():
    network, methanol = tiny_network(), small_molecule("CO")
    parts = (vars(padded(own, 22)).values() for own in (graph(methanol), graph(ALANINE)))
    batch = MolecularGraph(*map(torch.cat, zip(*parts, strict=True)))
    positions = torch.full((2, 22, 3), 7.0).double()
    positions[0, :6], positions[1] = noisy(methanol, 1, 0.3)[0], noisy(ALANINE, 1, 0.3)[0]
    together = output(network, batch, positions, NOISE[:2])
    alone = output(network, graph(methanol), positions[:1, :6], NOISE[:1])
    torch.testing.assert_close(together[:1, :6], alone)
    assert (together[0, 6:] == 0).all()


def test_batch_equals_loop():
    network, positions = tiny_network(), noisy(ALANINE, 3, 0.3)
    together = output(network, graph(ALANINE), positions)
    single = [output(network, graph(ALANINE), positions[i : i + 1], NOISE[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(single))


def test_mirror_images_are_told_apart():
    """A network of distances alone would answer a mirror image with the mirrored output, whatever its weights."""
    network, positions = tiny_network(), noisy(ALANINE, 3, 0.05)
    mirror = torch.tensor([-1.0, 1.0, 1.0]).double()
    difference = (
        output(network, graph(ALANINE), positions * mirror)
        - output(network, graph(ALANINE), positions) * mirror
    )
    assert difference.abs().max() > 1e-2


def test_the_graph_knows_l_from_d():
    network = tiny_network()
    left, right = (small_molecule(f"CC(=O)N{c}(C)C(=O)NC") for c in ("[C@@H]", "[C@H]"))
    outputs = [output(network, graph(molecule), noisy(left, 1, 0.1), NOISE[:1]) for molecule in (left, right)]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_derivatives_are_finite_where_atoms_coincide():
    network = tiny_network()
    positions = torch.zeros(3, 22, 3).double().requires_grad_()
    output(network, graph(ALANINE), positions).square().sum().backward()
    assert torch.isfinite(positions.grad).all()
    assert all(torch.isfinite(w.grad).all() for w in network.parameters() if w.grad is not None)


def test_every_weight_is_used():
    network = tiny_network()
    output(network, graph(ALANINE), noisy(ALANINE, 3, 0.3)).square().sum().backward()
    assert [name for name, weights in network.named_parameters() if weights.grad is None] == []


def test_a_new_network_returns_nothing_and_can_learn_to_tell_mirror_images_apart():
    """The output starts at zero, but the weights that end the last block have a gradient from the first step on."""
    network = tiny_network(noise=0.0)
    value = output(network, graph(ALANINE), noisy(ALANINE, 3, 0.3))
    assert (value == 0).all()
    (
        value - torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).double()
    ).square().sum().backward()
    head = network.blocks[-1].head
    for layer in (head.pull, head.turn, head.stiffness):
        assert layer.weight.grad.abs().max() > 0


@pytest.mark.parametrize("size", [{"layers": 12, "blocks": 3, "width": 768, "heads": 32}])
def test_paper_scale_can_be_built(size):
    with torch.device("meta"):
        network = Graphormer(
            tuple(ATOM_FEATURES.values()),
            tuple(PAIR_FEATURES.values()),
            **size,
            radial_features=128,
            head_width=128,
        )
    parameters = sum(weights.numel() for weights in network.parameters())
    assert 80e6 < parameters < 200e6


def single_precision():
    """The tiny network, its graph and structures in float32."""
    own = graph(ALANINE)
    own = MolecularGraph(own.atoms, own.pairs, own.bounds.float(), own.mask)
    return tiny_network().float(), own, noisy(ALANINE, 3, 0.3).float()


def test_products_in_bfloat16_cost_their_rounding_and_no_more():
    """Eight bits of a product; were positions rounded as well, distances at a noise of 0.01 would mean nothing."""
    network, own, positions = single_precision()
    whole = output(network, own, positions, NOISE.float())
    network.products = torch.bfloat16
    rounded = output(network, own, positions, NOISE.float())
    errors = (rounded - whole).flatten(1).norm(dim=1) / whole.flatten(1).norm(dim=1)
    assert rounded.dtype == torch.float32
    assert errors.min() > 1e-5 and errors.max() < 0.02


def test_the_network_compiles_as_one_graph():
    """No part of it falls back to Python; the code that is made from the graph is torch's own matter."""
    code = """
import torch
from tests.models.test_graphormer import NOISE, output, single_precision
network, own, positions = single_precision()
plain = output(network, own, positions, NOISE.float())
network.compile(backend="eager", fullgraph=True)
torch.testing.assert_close(output(network, own, positions, NOISE.float()), plain)
network.products = torch.bfloat16
assert output(network, own, positions, NOISE.float()).isfinite().all()
"""
    # In a process of its own: the type checks of the tests are not made to be compiled.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_expectations_gone_astray_do_not_overflow():
    """Training from energies alone drives the width of expected distances up without end: the output stays finite."""
    network, own, positions = single_precision()
    with torch.no_grad():
        network.expectation.bias[1] = 200.0
    assert output(network, own, positions, NOISE.float()).isfinite().all()
