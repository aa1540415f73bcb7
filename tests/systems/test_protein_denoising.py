"""The training on frames of proteins: what the loss is, what it does not depend on, and what it never sees."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.losses import Batch, emphasis, noise_levels
from dig_core.diffusion.processes import VarianceExploding, mean_free
from dig_core.rotations import exponential
from dig_core.systems import protein
from dig_core.systems.protein_denoising import FrameDenoising, denoising_loss
from dig_core.systems.protein_model import diffusion_process
from tests.proteins_for_tests import MODEL, PROCESS, SETTINGS, TRAINING, dataset, peptide, shaken

TARGETS = {
    "AGS": peptide("ACE-ALA-GLY-SER-NME")[1],
    "VAA": peptide("ACE-VAL-ALA-ALA-NME")[1],
    "GSAG": peptide("ACE-GLY-SER-ALA-GLY-NME")[1],
}
FRAMES = {name: shaken(own, 8, seed) for seed, (name, own) in enumerate(TARGETS.items())}
LEVEL = 0.45  # a time


def loss_of(*names: str, frames: dict[str, np.ndarray] | None = None) -> FrameDenoising:
    """The loss on the frames of these targets."""
    known = {name: TARGETS[name] for name in names}
    return denoising_loss(dataset(frames or FRAMES), known, SETTINGS, "cpu")[0]


def some_network():
    """A small network whose weights are all random, also those that start at zero."""
    torch.manual_seed(0)
    network = protein.network(MODEL)
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.1 * torch.randn_like(weights)
    return network


def batch(*indices: int) -> Batch:
    """These frames, each with both signs of its noise: only the first half of the indices counts."""
    return Batch(torch.tensor(indices + indices), torch.Generator().manual_seed(0))


@pytest.fixture
def known_noise(monkeypatch):
    """The same noise for all frames of one length, turned like they are; one level. Then the loss is a function of the frame."""
    turn = {"positions": torch.eye(3)}

    def of(bodies: int, seed: int) -> torch.Tensor:
        return torch.randn(bodies, 3, generator=torch.Generator().manual_seed(seed))

    def of_positions(self, like, generator):
        return (mean_free(of(like.shape[1], 1)) @ turn["positions"].T).expand_as(like)

    def of_rotations(self, like, generator):
        return of(like.shape[1], 2).expand(len(like), -1, -1)

    monkeypatch.setattr(VarianceExploding, "noise", of_positions)
    monkeypatch.setattr(BrownianRotations, "noise", of_rotations)
    monkeypatch.setattr(FrameDenoising, "_levels", lambda self, count, generator: torch.full((count,), LEVEL))
    return turn


def test_a_fresh_network_has_the_loss_of_one_that_returns_nothing():
    """1 for rotations; for positions (tau^2 m + (n - 1) / n) / (1 + tau^2), m the mean square of n positions without their centre."""
    loss, network = loss_of("AGS", "VAA"), protein.network(MODEL)
    indices = torch.arange(16).repeat(40)
    with torch.no_grad():
        draws = torch.stack(
            [
                loss(network, Batch(indices, torch.Generator().manual_seed(seed)))[:320].mean()
                for seed in range(12)
            ]
        )
    process = diffusion_process(PROCESS)
    settings = TRAINING["noise_log_mean"], TRAINING["noise_log_std"]
    time = noise_levels(20_000, process, *settings, torch.Generator().manual_seed(1))
    squared = process["positions"].noise_to_signal(time) ** 2
    weight = emphasis(process, time, TRAINING["weight_low"], TRAINING["weight_high"])
    spread = torch.cat([group.positions for group in loss.groups]).square().mean()
    expected = 0.5 * (1.0 + (squared * spread + 2 / 3) / (1.0 + squared))
    expected = (expected * weight).mean() / weight.mean()
    error = draws.std() / len(draws) ** 0.5
    assert error < 0.01 and draws.mean().item() == pytest.approx(expected.item(), abs=4 * error.item())
    assert 0.75 < expected < 1.1


def test_turning_all_frames_leaves_the_loss(known_noise):
    network = some_network()
    before = loss_of("VAA")(network, batch(0, 1, 2))
    turn = exponential(torch.tensor([0.7, -1.1, 1.9]))
    known_noise["positions"] = turn
    turned = FRAMES["VAA"] @ turn.numpy().T + np.float32(7.0)
    after = loss_of("VAA", frames={"VAA": turned})(network, batch(0, 1, 2))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    known_noise["positions"] = torch.eye(3)  # now the noise is another one as seen from the structure
    other = loss_of("VAA", frames={"VAA": turned})(network, batch(0, 1, 2))
    assert (other - before).abs().max() > 1e-2


def test_a_batch_of_several_sequences_gives_the_losses_of_each_alone(known_noise):
    network = some_network()
    together = loss_of("AGS", "GSAG", "VAA")  # frames 0-7, 8-15 and 16-23
    mixed = together(network, batch(3, 16, 1, 20))
    first, second = (loss_of(name)(network, batch(*own)) for name, own in (("AGS", (3, 1)), ("VAA", (0, 4))))
    torch.testing.assert_close(mixed[[0, 2, 4, 6]], first, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed[[1, 3, 5, 7]], second, rtol=1e-4, atol=1e-5)
    assert (first - second).abs().max() > 1e-2
    # Another length, named by the first index, has the batch for itself.
    longer = together(network, batch(9, 3, 15, 16))
    alone = loss_of("GSAG")(network, batch(1, 7, 1, 7))
    torch.testing.assert_close(longer, alone, rtol=1e-4, atol=1e-5)


def test_each_process_of_several_has_its_rows_of_the_batch():
    network, loss = some_network(), loss_of("AGS", "VAA")
    indices = torch.tensor([3, 9, 1, 12, 0, 0, 0, 0])
    rows = [
        loss(network, Batch(indices, torch.Generator().manual_seed(5), part=part))
        for part in ((0, 1), (0, 2), (1, 2))
    ]
    torch.testing.assert_close(rows[0][0::2], rows[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows[0][1::2], rows[2], rtol=1e-4, atol=1e-5)


def test_a_held_out_target_is_not_in_the_loss():
    """Its frames lie in the same dataset; whatever they are, nothing changes, and no index leads to them."""
    network, own, seen = some_network(), {name: TARGETS[name] for name in ("AGS", "GSAG")}, []
    for held_out in (FRAMES["VAA"], np.full_like(FRAMES["VAA"], np.nan)):
        loss, probabilities, _ = denoising_loss(dataset(FRAMES | {"VAA": held_out}), own, SETTINGS, "cpu")
        assert len(loss.places) == len(probabilities["train"]) == 16
        indices = torch.multinomial(
            probabilities["train"], 8, replacement=True, generator=torch.Generator().manual_seed(2)
        )
        seen.append(loss(network, Batch(indices, torch.Generator().manual_seed(1))))
    assert torch.equal(*seen) and torch.isfinite(seen[0]).all()


def test_targets_count_equally_and_their_last_frames_validate():
    frames = {"AGS": FRAMES["AGS"], "GSAG": np.concatenate([FRAMES["GSAG"]] * 3)}
    own = {name: TARGETS[name] for name in frames}
    loss, probabilities, scale = denoising_loss(dataset(frames), own, SETTINGS, "cpu")
    train, validation = probabilities["train"], probabilities["validation"]
    assert train[:8].sum().item() == pytest.approx(0.5) and validation[:8].sum().item() == pytest.approx(0.5)
    assert (train[:6] > 0).all() and not train[6:8].any() and not validation[:6].any() and scale == 2.0
    assert loss.places[8:].tolist() == [[1, k] for k in range(24)]


def test_structures_come_in_pairs_with_opposite_noise(known_noise):
    """The mean of both is the clean structure; orientations are turned forth and back by the same rotation."""
    seen = []

    class Recorder(torch.nn.Module):
        conditions = protein.network(MODEL).conditions

        def forward(self, positions, rotations, noise, rotation_noise, conditions):
            seen.append((positions, rotations, noise, rotation_noise))
            return torch.zeros_like(positions), torch.zeros_like(positions)

    loss = loss_of("VAA")
    loss(Recorder(), batch(0, 5))
    (positions, rotations, noise, turned), clean = seen[0], loss.groups[0].frames(torch.tensor([0, 5]))
    torch.testing.assert_close((positions[:2] + positions[2:]) / 2, clean["positions"], rtol=0, atol=1e-5)
    forth, back = (clean["rotations"].mT @ own for own in (rotations[:2], rotations[2:]))
    torch.testing.assert_close(forth @ back, torch.eye(3).expand(2, 3, 3, 3), rtol=0, atol=1e-5)
    assert (forth - back).abs().max() > 0.1
    process, time = diffusion_process(PROCESS), torch.tensor(LEVEL)
    assert noise.tolist() == pytest.approx([process["positions"].noise_to_signal(time).item()] * 4)
    assert turned.tolist() == pytest.approx([process["rotations"].sigma(time).item()] * 4)


def test_a_scale_far_from_the_data_is_refused_in_one_line():
    for scale in (0.2, 20.0):
        settings = SETTINGS | {"model": MODEL | {"scale_angstrom": scale}}
        with pytest.raises(ValueError, match=r"expected model\.scale_angstrom near .* got ") as caught:
            denoising_loss(dataset(FRAMES), TARGETS, settings, "cpu")
        assert "\n" not in str(caught.value) and str(scale) in str(caught.value)
