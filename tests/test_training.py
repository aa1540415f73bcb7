"""The training loop on a problem with a known answer, and its faults: kill, NaN, foreign or broken restart points."""

import math

import pytest
import torch
from torch import nn

from dig_core.checkpoints import load_checkpoint, read_tensors, save_checkpoint
from dig_core.training import Schedule, train


def schedule(**changes) -> Schedule:
    settings = {
        "steps": 40, "batch_size": 8, "learning_rate": 0.05, "warmup_steps": 5, "weight_decay": 0.0, "gradient_clip": 10.0,
        "ema_decay": 0.9, "checkpoint_interval_steps": 10, "seed": 3, "fingerprint": "same",
    }  # fmt: skip
    return Schedule(**settings | changes)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


POINTS = torch.linspace(-1, 1, 100)
FRAMES = {part: torch.full((100,), 0.01) for part in ("train", "validation")}


def line_loss(model, batch):
    """Squared distance of a model of x and x^2 from y = 2 x + 1, with a little noise drawn from the generator."""
    x = POINTS[batch.indices][:, None]
    noise = 0.01 * torch.randn(x.shape, generator=batch.generator)
    return (model(torch.cat([x, x**2], dim=1)) - (2 * x + 1 + noise)).square().sum(-1)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs after it."""


def killed_in(calls: int):
    """The loss until the given number of calls, then the kill."""
    count = 0

    def loss(model, batch):
        nonlocal count
        count += 1
        if count > calls:
            raise Killed
        return line_loss(model, batch)

    return loss


def test_finds_the_line(tmp_path):
    trainer = train(network(), line_loss, FRAMES, schedule(steps=600), tmp_path / "restart.pt")
    weights, history = trainer.averaged, trainer.history
    assert weights["weight"].flatten().tolist() == pytest.approx([2.0, 0.0], abs=0.02)
    assert weights["bias"].item() == pytest.approx(1.0, abs=0.02)
    assert history[-1]["step"] == 600
    assert history[-1]["validation_loss"] < 0.01 * history[0]["validation_loss"]


def test_a_seed_gives_the_same_weights_bit_by_bit(tmp_path):
    runs = [train(network(), line_loss, FRAMES, schedule(), tmp_path / f"{i}.pt").averaged for i in range(2)]
    other = train(network(), line_loss, FRAMES, schedule(seed=4), tmp_path / "other.pt").averaged
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not torch.equal(runs[0]["weight"], other["weight"])


@pytest.mark.parametrize(("steps", "interval", "calls", "kept"), [(40, 10, 53, 20), (240, 7, 101, 63)])
def test_killed_training_ends_with_the_same_weights_and_history(tmp_path, steps, interval, calls, kept):
    """Restart points that fall between two reports count as well (reports come every hundredth of the steps)."""
    plan = schedule(steps=steps, checkpoint_interval_steps=interval)
    whole = train(network(), line_loss, FRAMES, plan, tmp_path / "whole.pt")
    restart = tmp_path / "restart.pt"
    with pytest.raises(Killed):
        train(network(), killed_in(calls), FRAMES, plan, restart)  # a step is a call, a report is another
    assert read_tensors(restart)["step"] == kept
    resumed = train(network(), line_loss, FRAMES, plan, restart)
    assert all(torch.equal(whole.averaged[name], resumed.averaged[name]) for name in whole.averaged)
    assert resumed.history == whole.history
    assert resumed.spent() > read_tensors(restart)["cpu_seconds"] > 0


def test_restart_point_of_other_settings_is_not_used(tmp_path):
    restart = tmp_path / "restart.pt"
    with pytest.raises(Killed):
        train(network(), killed_in(53), FRAMES, schedule(), restart)
    fresh, after = (
        train(network(), line_loss, FRAMES, schedule(fingerprint="other"), file)
        for file in (tmp_path / "fresh.pt", restart)
    )
    assert torch.equal(fresh.averaged["weight"], after.averaged["weight"])


def test_nan_in_the_loss_is_told_and_keeps_the_restart_point(tmp_path):
    restart = tmp_path / "restart.pt"
    with pytest.raises(Killed):
        train(network(), killed_in(53), FRAMES, schedule(), restart)
    before = restart.read_bytes()

    def broken(model, batch):
        return line_loss(model, batch) * math.nan

    with pytest.raises(
        ValueError, match=r"expected a finite loss; got nan in step 21. Lower `learning_rate`"
    ):
        train(network(), broken, FRAMES, schedule(), restart)
    assert restart.read_bytes() == before


def test_truncated_restart_point_is_told(tmp_path):
    restart = tmp_path / "restart.pt"
    with pytest.raises(Killed):
        train(network(), killed_in(53), FRAMES, schedule(), restart)
    restart.write_bytes(restart.read_bytes()[:200])
    with pytest.raises(
        ValueError, match=r"expected a whole checkpoint; got a truncated or damaged one: .*restart\.pt"
    ):
        train(network(), line_loss, FRAMES, schedule(), restart)
    assert restart.stat().st_size == 200


def test_checkpoint_returns_weights_and_description(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"w": torch.arange(3.0)}, {"kind": "molecule", "settings": {"a": 1}})
    checkpoint = load_checkpoint(path, "molecule")
    assert torch.equal(checkpoint["weights"]["w"], torch.arange(3.0))
    assert checkpoint["settings"] == {"a": 1}
    with pytest.raises(ValueError, match=r"expected a checkpoint of kind protein; got one of kind molecule"):
        load_checkpoint(path, "protein")


def test_pickled_code_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"description": schedule}, path)
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(path, "molecule")
    with pytest.raises(FileNotFoundError, match="expected the file"):
        load_checkpoint(tmp_path / "absent.pt", "molecule")
