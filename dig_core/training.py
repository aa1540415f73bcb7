"""The one training loop: batches, optimiser, averaged weights, restart points, history.

It knows neither molecule nor process: a `loss` callable does. Two runs with one seed on one thread agree bit by bit, also
when one of them was killed and went on from its restart point.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dig_core import parallel
from dig_core.checkpoints import load_weights, read_tensors
from dig_core.diffusion.losses import Batch, Loss
from dig_core.files import atomic
from dig_core.optimizers import optimizers
from dig_core.runtime import fingerprint, progress, stoppable


@dataclass(frozen=True)
class Schedule:
    """Settings of the optimisers (Muon and AdamW): linear warm-up, then half a cosine to zero; see config/schema.json."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    ema_decay: float
    checkpoint_interval_steps: int
    seed: int
    fingerprint: str = ""  # of everything that a restart point must have been made with

    def factor(self, step: int) -> float:
        """Share of the largest learning rate in a step."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return 0.5 * (
            1 + math.cos(math.pi * (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps))
        )

    def decay(self, step: int) -> float:
        """Decay of the averaged weights: shorter memory at the start, when the weights are still far off."""
        return min(self.ema_decay, (1 + step) / (10 + step))


@dataclass
class Trainer:
    """A network under training with all that a restart needs."""

    network: nn.Module
    objective: nn.Module  # the loss of the network, shared with the other processes where there are some
    averaged: dict[str, Tensor]
    optimizers: tuple[torch.optim.Optimizer, ...]
    generator: torch.Generator
    step: int
    history: list[dict[str, float | int]]
    losses: list[float] = field(default_factory=list)  # since the last report
    cpu_seconds: float = 0.0  # before the last restart point, over all runs
    started: float = field(default_factory=time.process_time)

    def groups(self) -> list[dict[str, Any]]:
        """The groups of parameters of all optimisers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def spent(self) -> float:
        """CPU seconds of this training so far, interrupted runs included up to their restart points; all processes like this one."""
        return self.cpu_seconds + parallel.processes() * (time.process_time() - self.started)


class Objective(nn.Module):
    """The loss of a network as a module: what DistributedDataParallel knows how to share."""

    def __init__(self, network: nn.Module, loss: Loss):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss of the batch, or of this process's part of it."""
        return self.loss(self.network, batch).mean()


def train(
    network: nn.Module, loss: Loss, frames: Mapping[str, Tensor], schedule: Schedule, restart: Path
) -> Trainer:
    """Minimise the mean of `loss(network, batch)` over frames.

    Args:
        frames: `train` and `validation`: probabilities [frames] by which indices are drawn; both sum to 1.
        restart: file of the restart point; a run that finds one goes on from it.

    Returns:
        The trainer: `averaged` weights, `history` (one row per report: step, training_loss, validation_loss,
        learning_rate), and the CPU time `spent()`.

    Raises:
        ValueError: the loss became NaN, or the restart point is damaged.
        SystemExit: it was asked to end (SIGTERM); the restart point is that of the last step.
    """
    if parallel.processes() > 1 and schedule.batch_size % (2 * parallel.processes()):
        raise ValueError(
            f"expected a batch_size that is a multiple of {2 * parallel.processes()} for {parallel.processes()} processes;"
            f" got {schedule.batch_size}. Change training.batch_size, or the number of GPUs"
        )
    trainer = _trainer(network, loss, schedule, restart)
    report = max(1, schedule.steps // 100)
    steps = progress(range(trainer.step, schedule.steps), "train: steps")
    for step in stoppable(steps, lambda: save_restart(trainer, schedule, restart), parallel.any_of):
        trainer.losses.append(_step(trainer, frames["train"], schedule))
        if (step + 1) % report == 0 or step + 1 == schedule.steps:
            trainer.history.append(_report(trainer, frames["validation"], schedule))
            trainer.losses = []
        if (step + 1) % schedule.checkpoint_interval_steps == 0:
            save_restart(trainer, schedule, restart)
    return trainer


@dataclass(frozen=True)
class Result:
    """What training leaves: averaged weights, what explains them, the history, and its cost."""

    weights: dict[str, Tensor]
    description: dict[str, Any]
    history: list[dict[str, float | int]]
    cpu_seconds: float


@dataclass(frozen=True)
class Material:
    """What a network is trained on.

    Args:
        dataset, descriptors: arrays of the frames, and of every target's molecule.
        pretrained: a checkpoint whose weights are the start, and whose scale of the data is kept; None: random weights.
        loss: what makes the loss, one of `dig_core.systems.PRETRAINING`; None: denoising of the frames.
    """

    dataset: Mapping[str, Any]
    descriptors: Mapping[str, Any]
    pretrained: Mapping[str, Any] | None = None
    loss: Callable[..., tuple[Loss, dict[str, Tensor], float]] | None = None


def train_system(
    system: ModuleType, material: Material, settings: Mapping[str, Any], restart: Path, device: str
) -> Result:
    """Train the network of a kind of system (a module of dig_core.systems) on a dataset.

    Args:
        settings: `kind, model, process, training, temperature_K` of the study, and `pretraining` for a training from energies;
            they go into the checkpoint.
        restart: file of the restart point.

    Raises:
        ValueError: as `train`, and where the weights to start from are those of another network.
    """
    dataset, descriptors, pretrained = material.dataset, material.descriptors, material.pretrained
    if pretrained and not descriptors and settings["training"]["steps"] == 0:
        return _taken_over(system, pretrained, settings)
    known = {"scale_angstrom": pretrained["scale_angstrom"]} if pretrained else {}
    make_loss = material.loss or system.denoising_loss
    loss, frames, scale = make_loss(dataset, descriptors, {**settings, **known}, device)
    hashes = {name: system.descriptor_hash(molecule) for name, molecule in descriptors.items()}
    description = {
        "kind": settings["kind"],
        "settings": dict(settings),
        "molecules": hashes,
        "scale_angstrom": scale,
    }
    description |= _earlier(pretrained, hashes)
    data = [dataset[key].tobytes() for key in sorted(dataset) if key != "provenance"]
    if pretrained:
        data += [value.numpy().tobytes() for value in pretrained["weights"].values()]
    mark = fingerprint(json.dumps(description, sort_keys=True), *data)
    values = {key: settings["training"][key] for key in Schedule.__dataclass_fields__ if key != "fingerprint"}
    torch.manual_seed(values["seed"])  # of the initial weights; everything else has its own generator
    network = system.network(settings["model"]).to(device)
    if material.loss is None:
        system.accelerated(network, settings["model"])
    if pretrained:
        load_weights(network, pretrained)
    own = set(network.state_dict())
    # What a loss learns for itself shares optimisers, averages and restart points, and stays behind in the end.
    network.add_module("of_the_loss", getattr(loss, "learned", None))
    trainer = train(network, loss, frames, Schedule(**values, fingerprint=mark), restart)
    weights = {name: value.cpu() for name, value in trainer.averaged.items() if name in own}
    return Result(weights, description, trainer.history, trainer.spent())


def _earlier(pretrained: Mapping[str, Any] | None, hashes: Mapping[str, str]) -> dict[str, list[str]]:
    """Hashes of what other studies have trained the network on before; nothing where there is none."""
    if not pretrained:
        return {}
    known = {*pretrained.get("earlier_molecules", ()), *pretrained["molecules"].values()} - set(
        hashes.values()
    )
    return {"earlier_molecules": sorted(known)} if known else {}


def _taken_over(system: ModuleType, pretrained: Mapping[str, Any], settings: Mapping[str, Any]) -> Result:
    """A network as another study has trained it, where nothing is trained on; it still names the molecules that it was trained on."""
    load_weights(system.network(settings["model"]), pretrained)
    names = ("molecules", "scale_angstrom", "earlier_molecules")
    known = {key: pretrained[key] for key in names if key in pretrained}
    description = {"kind": settings["kind"], "settings": dict(settings), **known}
    return Result(dict(pretrained["weights"]), description, [], 0.0)


def _step(trainer: Trainer, probabilities: Tensor, schedule: Schedule) -> float:
    for group in trainer.groups():
        group["lr"] = schedule.learning_rate * schedule.factor(trainer.step)
    indices = torch.multinomial(
        probabilities, schedule.batch_size, replacement=True, generator=trainer.generator
    )
    batch = Batch(indices, trainer.generator, trainer.step / schedule.steps, _part())
    value = trainer.objective(batch)
    whole = parallel.mean(value)
    if not torch.isfinite(whole):
        raise ValueError(
            f"expected a finite loss; got {whole.item()} in step {trainer.step + 1}. Lower `learning_rate`, or check the frames"
        )
    trainer.network.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(trainer.network.parameters(), schedule.gradient_clip)
    for optimizer in trainer.optimizers:
        optimizer.step()
    _average(trainer, schedule.decay(trainer.step))
    trainer.step += 1
    return whole.item()


def _part() -> tuple[int, int]:
    return parallel.rank(), parallel.processes()


@torch.no_grad()
def _average(trainer: Trainer, decay: float) -> None:
    """Exponential moving average of the weights: w <- d w + (1 - d) w_new."""
    weights = trainer.network.state_dict()
    torch._foreach_lerp_(
        list(trainer.averaged.values()), [weights[name] for name in trainer.averaged], 1 - decay
    )


@torch.no_grad()
def _report(trainer: Trainer, probabilities: Tensor, schedule: Schedule) -> dict[str, float | int]:
    """A row of the history; the validation loss is that of the averaged weights on the same frames and noise every time."""
    generator = torch.Generator(probabilities.device).manual_seed(schedule.seed)
    current = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.network.load_state_dict(trainer.averaged)
    indices = torch.multinomial(probabilities, 4 * schedule.batch_size, replacement=True, generator=generator)
    validation = parallel.mean(trainer.objective(Batch(indices, generator, part=_part()))).item()
    trainer.network.load_state_dict(current)
    return {
        "step": trainer.step,
        "training_loss": sum(trainer.losses) / len(trainer.losses),
        "validation_loss": validation,
        "learning_rate": trainer.groups()[0]["lr"],
    }


def _trainer(network: nn.Module, loss: Loss, schedule: Schedule, restart: Path) -> Trainer:
    own = optimizers(network, schedule.learning_rate, schedule.weight_decay)
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(schedule.seed)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    objective = parallel.shared(Objective(network, loss))
    trainer = Trainer(network, objective, averaged, own, generator, 0, [])
    if restart.exists():
        load_restart(trainer, schedule, restart)
    return trainer


def save_restart(trainer: Trainer, schedule: Schedule, path: Path) -> None:
    """Write the restart point, whole or not at all; of several processes the first one does."""
    if parallel.rank() > 0:
        return
    content = {
        "network": trainer.network.state_dict(),
        "averaged": trainer.averaged,
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "generator": trainer.generator.get_state(),
        "step": trainer.step,
        "history": trainer.history,
        "losses": trainer.losses,
        "cpu_seconds": trainer.spent(),
        "fingerprint": schedule.fingerprint,
    }
    with atomic(path) as temporary:
        torch.save(content, temporary)


def load_restart(trainer: Trainer, schedule: Schedule, path: Path) -> None:
    """Put a trainer where the restart point left it; one made with other settings or frames is left unused.

    Raises:
        ValueError: the file is damaged.
    """
    content = read_tensors(path)
    if content["fingerprint"] != schedule.fingerprint:
        print(
            f"the restart point {path} was made with other settings or frames: training from the start",
            flush=True,
        )
        return
    trainer.network.load_state_dict(content["network"])
    trainer.averaged = {
        name: value.to(trainer.averaged[name].device) for name, value in content["averaged"].items()
    }
    for optimizer, state in zip(trainer.optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    trainer.generator.set_state(content["generator"])
    trainer.step, trainer.history, trainer.losses = content["step"], content["history"], content["losses"]
    trainer.cpu_seconds = content["cpu_seconds"]
    print(f"going on from step {trainer.step}", flush=True)
