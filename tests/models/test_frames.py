"""Symmetries of the score network of proteins in float64 with all weights random, and what a small one learns."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch

from dig_core import rotations
from dig_core.models.frames import FrameGraphormer, bonds_of, squared_lengths, turned
from dig_core.models.point_attention import Frames
from dig_core.structure import ResidueGraph
from tests.models.frames_plain import plain, plain_output

NOISE = torch.tensor([0.01, 0.3, 5.0]).double()
TURNS = torch.tensor([0.03, 0.4, 2.0]).double()
SHIFT = torch.tensor([1.0, -2.0, 3.0]).double()


def sequence(length: int = 7, seed: int = 0) -> ResidueGraph:
    """Two chains, with a residue missing in the first."""
    generator = np.random.default_rng(seed)
    arrays = {
        "residue_types": generator.integers(0, 21, length),
        "residue_indices": np.array([0, 1, 3, 4, *range(length - 4)])[:length],
        "chain_indices": (np.arange(length) >= 4).astype(int),
        "single_embedding": generator.normal(size=(length, 3)),
        "pair_embedding": generator.normal(size=(length, length, 2)),
    }
    graph = ResidueGraph.from_arrays(arrays)
    return ResidueGraph(*(v.double() if v.is_floating_point() else v for v in vars(graph).values()))


def tiny_network(noise: float = 0.1, seed: int = 0) -> FrameGraphormer:
    """A small network in double precision whose weights are all random (`noise` 0: as a new one has them)."""
    torch.manual_seed(seed)
    network = FrameGraphormer(4, 2, 16, 8, 4, 2, single_features=3, pair_features=2).double()
    with torch.no_grad():
        for weights in network.parameters():
            weights += noise * torch.randn_like(weights)
    return network


def structures(length: int = 7, count: int = 3, seed: int = 0):
    """Positions of a random walk, rotations and both noises."""
    generator = torch.Generator().manual_seed(seed)
    steps, turns = (torch.randn(count, length, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return 0.5 * steps.cumsum(1), rotations.exponential(turns), NOISE[:count], TURNS[:count]


def output(network, graph, values):
    return network(*values, network.conditions(graph))


def a_rotation() -> torch.Tensor:
    return rotations.exponential(torch.tensor([0.3, -1.0, 0.7]).double())


def assert_close(found, expected, tolerance: float = 1e-10):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def test_rotation_turns_motion_and_leaves_turns_and_translation_leaves_both():
    network, (x, r, *noise) = tiny_network(), structures()
    move, turn = output(network, sequence(), (x, r, *noise))
    moved = output(network, sequence(), (x @ a_rotation().T + SHIFT, a_rotation() @ r, *noise))
    assert_close(moved, (move @ a_rotation().T, turn))
    assert move.abs().max() > 0.1 and turn.abs().max() > 0.1


def test_permuted_residues_give_permuted_output():
    network, (x, r, *noise), own = tiny_network(), structures(), sequence()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
    permuted = ResidueGraph(
        *(values[:, order] for values in (own.residues, own.indices, own.chains, own.single)),
        own.pair[:, order][:, :, order],
        own.mask,
    )
    found = output(network, permuted, (x[:, order], r[:, order], *noise))
    assert_close(found, [values[:, order] for values in output(network, own, (x, r, *noise))])


def padded(own: ResidueGraph, length: int) -> ResidueGraph:
    """The sequence with masked residues at its end, all of whose features are zero."""
    end, fill = (0, length - own.mask.shape[1]), torch.nn.functional.pad
    pads = {"single": (0, 0, *end), "pair": (0, 0, *end, *end)}
    return ResidueGraph(*(fill(getattr(own, f.name), pads.get(f.name, end)) for f in fields(own)))


def test_padding_changes_nothing_and_stays_zero():
    network, short, long = tiny_network(), sequence(5, seed=3), sequence(9)
    parts = zip(vars(padded(short, 9)).values(), vars(long).values(), strict=True)
    x, r, *noise = structures(9, 2)
    x[0, 5:] = 7.0
    together = output(network, ResidueGraph(*map(torch.cat, parts)), (x, r, *noise))
    alone = output(network, short, (x[:1, :5], r[:1, :5], *(sigma[:1] for sigma in noise)))
    assert_close([values[:1, :5] for values in together], alone)
    assert all((values[0, 5:] == 0).all() for values in together)


def test_batch_equals_loop():
    network, values = tiny_network(), structures()
    single = [output(network, sequence(), [v[i : i + 1] for v in values]) for i in range(3)]
    assert_close(output(network, sequence(), values), [torch.cat(p) for p in zip(*single, strict=True)])


def test_mirror_images_are_told_apart():
    """The frames of the mirror image: N, CA and C are mirrored, their cross product has its sign changed besides."""
    network, (x, r, *noise) = tiny_network(), structures()
    mirror = torch.tensor([-1.0, 1.0, 1.0]).double()
    across = torch.tensor([1.0, 1.0, -1.0]).double()
    mirrored = output(network, sequence(), (x * mirror, mirror[:, None] * r * across, *noise))
    assert (mirrored[0] - output(network, sequence(), (x, r, *noise))[0] * mirror).abs().max() > 1e-2


@pytest.mark.parametrize("field", ["residues", "indices", "chains", "single", "pair"])
def test_every_part_of_the_sequence_matters(field):
    network, values, own = tiny_network(), structures(), sequence()
    changed = getattr(own, field).clone()
    changed[:, 0] = (changed[:, 0] + 5) % 21
    other = ResidueGraph(*(changed if f.name == field else getattr(own, f.name) for f in fields(own)))
    differences = output(network, other, values)[0] - output(network, own, values)[0]
    assert differences.abs().max() > 1e-4


def test_equals_the_plain_path():
    """Pairs that are weighed first and projected afterwards, distances by products, one pass for all samples: the same network."""
    network, values = tiny_network(), structures()
    assert_close(output(network, sequence(), values), plain_output(plain(network), values, sequence()))


def test_equals_the_plain_path_in_single_precision():
    network, graph, values = single_precision()
    found, expected = output(network, graph, values), plain_output(plain(network), values, graph)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


def test_a_sequence_of_each_structure_equals_one_that_is_shared():
    network, values, own = tiny_network(), structures(), sequence()
    each = ResidueGraph(*(v.expand(3, *v.shape[1:]) for v in vars(own).values()))
    expected = output(network, own, values)
    assert_close(output(network, each, values), expected)
    repeated = network.conditions(own).of(torch.zeros(3, dtype=torch.long))
    assert_close(network(*values, repeated), expected)


def test_a_new_network_returns_nothing_and_learns_from_the_first_step():
    network = tiny_network(noise=0.0)
    move, turn = output(network, sequence(), structures())
    assert (move == 0).all() and (turn == 0).all()
    ((move - 1).square().sum() + (turn - 1).square().sum()).backward()
    for block in network.blocks:
        assert block.head.local.weight.grad.abs().max() > 0
        assert block.head.strength.weight.grad.abs().max() > 0


def test_every_weight_has_a_finite_derivative_even_where_residues_coincide():
    network, (x, r, *noise) = tiny_network(), structures()
    x = torch.zeros_like(x).requires_grad_()
    move, turn = output(network, sequence(), (x, r, *noise))
    (move.square().sum() + turn.square().sum()).backward()
    assert torch.isfinite(x.grad).all()
    assert [n for n, w in network.named_parameters() if w.grad is None or not w.grad.isfinite().all()] == []


def test_embeddings_the_network_was_not_built_for_are_refused():
    network = FrameGraphormer(1, 1, 8, 4, 2, 1, single_features=4).double()
    with pytest.raises(ValueError, match="expected 4 features in single_embedding; got 3"):
        network.conditions(sequence())


def test_paper_scale_can_be_built():
    with torch.device("meta"):
        network = FrameGraphormer(layers=12, blocks=4, width=768, pair_width=256, heads=32, points=4)
    assert 50e6 < sum(weights.numel() for weights in network.parameters()) < 200e6


def test_forces_and_torques_are_derivatives_of_squared_lengths():
    """What bonds do to frames, from the product with the factors of `squared_lengths`, against autograd through the geometry itself."""
    network, (x, r, *noise) = tiny_network(), structures(count=1)
    conditions, (squares, arms) = network.conditions(sequence()), squared_lengths(network.ends)
    motion = torch.zeros(1, 7, 6, dtype=torch.float64, requires_grad=True)
    moved = Frames(x + (r @ motion[..., :3, None])[..., 0], r @ turned(motion[..., 3:]), *noise)
    bonds = bonds_of(moved, squares, arms, conditions)
    tension = torch.randn(bonds.lengths.shape, generator=torch.Generator().manual_seed(1)).double()
    energy = 0.5 * (tension * bonds.lengths**2 * conditions.exists).sum()
    (slope,) = torch.autograd.grad(energy, motion)
    weights = 0.5 * (tension * conditions.exists) @ squares.mT
    force, (first, second) = bonds.pulled(weights), bonds.twisted(weights)
    lab = (r[:, :, None] @ force[..., None])[..., 0]
    force = (r.mT @ (lab.sum(2) - conditions.gathered(lab))[..., None])[..., 0]
    torque = first.sum(2) + conditions.gathered(second)
    torch.testing.assert_close(torch.cat([force, torque], dim=-1), -slope)


def test_turned_is_a_rotation_about_the_vector_that_short_vectors_give_in_full():
    vectors = 3 * torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).double()
    found = rotations.logarithm(turned(vectors))
    length = vectors.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found, vectors / length * 2 * torch.atan(length / 2))


def test_learns_to_denoise_two_structures():
    """The noise of a known structure can be read off exactly: far below the loss of 1 for each output that a new network has."""
    torch.manual_seed(0)
    network = FrameGraphormer(2, 2, 32, 16, 4, 2)
    clean, turns, *_ = (v.float() for v in structures(4, 2))
    residues = {
        "residue_types": np.arange(4),
        "residue_indices": np.arange(4),
        "chain_indices": np.zeros(4, int),
    }
    graph = ResidueGraph.from_arrays(residues)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    generator = torch.Generator().manual_seed(0)

    def loss(batch: int) -> torch.Tensor:
        which = torch.randint(2, (batch,), generator=generator)
        noise = 0.05 * 10 ** torch.rand(batch, generator=generator)
        eps, twist = (torch.randn(batch, 4, 3, generator=generator) for _ in range(2))
        eps = eps - eps.mean(1, keepdim=True)
        x, r = clean[which] + noise[:, None, None] * eps, turns[which]
        r = r @ rotations.exponential(noise[:, None, None] * twist)
        move, turn = network(x, r, noise, noise, network.conditions(graph))
        return (move - move.mean(1, keepdim=True) + eps).square().mean() + (turn + twist).square().mean()

    for _ in range(150):
        optimizer.zero_grad()
        loss(64).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        assert loss(512) < 0.5


def single_precision():
    """The tiny network, its sequence and structures in float32."""
    graph = ResidueGraph(*(v.float() if v.is_floating_point() else v for v in vars(sequence()).values()))
    return tiny_network().float(), graph, [v.float() for v in structures()]


def test_products_in_bfloat16_cost_their_rounding_and_no_more():
    """Eight bits of a product; were positions rounded as well, bonds at a noise of 0.01 would mean nothing."""
    network, graph, values = single_precision()
    whole = output(network, graph, values)
    network.products = torch.bfloat16
    for rounded, exact in zip(output(network, graph, values), whole, strict=True):
        errors = (rounded - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
        assert rounded.dtype == torch.float32
        assert errors.min() > 1e-5 and errors.max() < 0.05


def test_the_network_compiles_as_one_graph():
    """No part of it falls back to Python; the code that is made from the graph is torch's own matter."""
    code = """
import torch
from tests.models.test_frames import assert_close, output, single_precision
network, graph, values = single_precision()
plain = output(network, graph, values)
network.compile(backend="eager", fullgraph=True)
assert_close(output(network, graph, values), plain, 1e-5)
network.products = torch.bfloat16
assert all(part.isfinite().all() for part in output(network, graph, values))
"""
    # In a process of its own: the type checks of the tests are not made to be compiled.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
