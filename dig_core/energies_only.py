"""Training from energies alone on a density with a known truth: one network, its samples, its cost."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dig_core.diffusion.divergence import ExactDivergence
from dig_core.diffusion.fokker_planck import fokker_planck_residual, potential_residual
from dig_core.diffusion.processes import Process, Score
from dig_core.energies.frames import Framed
from dig_core.models.potential import PairNetwork, PointNetwork
from dig_core.pretraining import Emphasis, EnergyLoss, PointForm, relevant_structures, within_decades
from dig_core.runtime import fingerprint
from dig_core.sampling import Draw, draw
from dig_core.systems.analytic import BOX, FIELD, energy_of, process_of, score_errors
from dig_core.training import Schedule, Trainer, train


@dataclass(frozen=True)
class Run:
    """What one training needs: the settings of its target and study, its form (potential, score) and its seed."""

    target: Mapping[str, Any]
    process: Mapping[str, Any]
    pretraining: Mapping[str, Any]
    sampler: Mapping[str, Any]
    form: str
    seed: int


def pretrain_and_draw(run: Run, restart: Path) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    """Train a network by energies and draw from it.

    Args:
        restart: file of the restart point; a run that finds one goes on from it.

    Returns:
        Averaged weights, and arrays: `positions` of the samples in the unit of the energy, `energy_calls`,
        `seconds_train` (CPU, with its energy calls), `seconds_sample`, `steps`, `training_loss`, for a mixture also
        `score_errors` (see `systems.analytic.score_errors`).
    """
    started = time.process_time()
    energy, process = energy_of(run.target), process_of(run.process)
    network, loss, trainer = _trained(run, energy, process, restart, started)
    calls, seconds = energy.calls, trainer.spent()
    network.load_state_dict(trainer.averaged)
    arrays = _drawn(run, loss.score(network), process, energy)
    if run.target["energy"] == "gaussian_mixture":
        arrays["score_errors"] = score_errors(loss.score(network), process, run.target)
    losses = [row["training_loss"] for row in trainer.history]
    cost = {"energy_calls": calls, "seconds_train": seconds, "steps": trainer.step, "training_loss": losses}
    return trainer.averaged, arrays | {name: np.array(value) for name, value in cost.items()}


def _trained(
    run: Run, energy: Framed, process: Mapping[str, Process], restart: Path, started: float
) -> tuple[PointNetwork | PairNetwork, EnergyLoss, Trainer]:
    settings, is_potential = run.pretraining, run.form == "potential"
    count = settings["structures"]
    relevant = relevant_structures(energy, BOX, count, np.random.default_rng(run.seed))
    if settings["force_decades"]:
        relevant = within_decades(relevant, settings["force_decades"])
    narrowest = run.target["narrowest"] / energy.length
    stated = ("residual", "curriculum", "boundary", "rescaled", "warm_up")
    emphasis = Emphasis(narrowest, **{name: settings[name] for name in stated})
    form = PointForm(process, emphasis)
    equation = potential_residual if is_potential else fokker_planck_residual
    residual = partial(equation, divergence=ExactDivergence())
    loss = EnergyLoss(relevant, process, residual, emphasis, form, is_potential)
    torch.manual_seed(run.seed)  # of the initial weights; everything else has its own generator
    network = _network(energy, is_potential, settings["width"])
    kept = len(relevant.energies_per_kT)
    equal = torch.full((kept,), 1.0 / kept)
    exploring = time.process_time() - started
    trainer = train(network, loss, {"train": equal, "validation": equal}, _schedule(run), restart)
    trainer.cpu_seconds += exploring
    return network, loss, trainer


def _network(energy: Framed, is_potential: bool, width: int) -> PointNetwork | PairNetwork:
    """Particles are seen by their distances: their many mirror images and permutations need not be learned one by one."""
    (free,) = energy.shape
    outputs = 1 if is_potential else free
    if len(energy.energy.shape) == 1:
        return PointNetwork(free, outputs, width)
    return PairNetwork(torch.tensor(energy.basis), energy.energy.shape[1], outputs, width)


def _schedule(run: Run) -> Schedule:
    names = set(Schedule.__dataclass_fields__) - {"seed", "fingerprint"}
    values = {name: run.pretraining[name] for name in names}
    mark = fingerprint(json.dumps([run.target, run.process, run.pretraining, run.form], sort_keys=True))
    return Schedule(**values, seed=run.seed, fingerprint=f"{mark}{run.seed}")


def _drawn(run: Run, score: Score, process: Mapping[str, Process], energy: Framed) -> dict[str, np.ndarray]:
    started = time.process_time()
    settings = {**run.sampler, "seed": run.sampler["seed"] + run.seed}
    state = draw(score, process, Draw(**settings, shape={FIELD: energy.shape}))[FIELD].numpy()
    return {
        "positions": energy.positions(state),
        "seconds_sample": np.array(time.process_time() - started),
    }
