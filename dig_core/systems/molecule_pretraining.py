"""Losses of a molecule's pre-training from energies and forces: what `rule pretrain` minimises.

Three kinds: denoising of weighted structures (the loss of the training itself), the Fokker-Planck equation with forces at the
boundary (PIDP, DiG section 2.2), and forces as targets of the score at small noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dig_core.diffusion import processes
from dig_core.diffusion.divergence import HutchinsonDivergence
from dig_core.diffusion.fokker_planck import Potential, ReverseStep, potential_residual, reverse_step_residual
from dig_core.diffusion.losses import Batch, Loss, unit_variance_weight
from dig_core.pretraining import Emphasis, EnergyLoss, RelevantStructures
from dig_core.structure import MolecularGraph
from dig_core.systems.batches import OverTargets, frames_probabilities
from dig_core.systems.molecule_denoising import denoising_loss, mean_free_frames
from dig_core.systems.molecule_model import FIELD, diffusion_process, score
from dig_core.units import thermal_energy_kj_per_mol

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class MoleculeForm:
    """The score network of one molecule as a free score, or as a potential."""

    graph: MolecularGraph
    process: Mapping[str, processes.Process]

    def score(self, model: nn.Module) -> processes.Score:
        """That of the training on frames."""
        return score(model, dict(self.process), model.conditions(self.graph))

    def potential(self, model: nn.Module) -> Potential:
        """phi = -1/2 || y / sqrt(1 + tau^2) - F(y, tau) ||^2, F the network's output; known up to a constant of each time.

        What is squared has unit variance whatever the noise, as F has in the training on frames: log q of a stiff molecule spans
        tens of nats over lengths of sigma, which a network with an output of order 1 cannot give otherwise (the form of an
        energy in Salimans and Ho 2021, "Should EBMs model the energy or the score?").
        """
        conditions, own = model.conditions(self.graph), self.process[FIELD]

        def potential(state: processes.State, time: Tensor) -> Tensor:
            """log q + constant [batch] at times [batch]."""
            tau = own.noise_to_signal(time)
            y = state[FIELD] / processes.over_trailing(own.alpha(time), state[FIELD])
            whitened = y / processes.over_trailing(torch.sqrt(1.0 + tau**2), y)
            return -0.5 * (whitened - own.projection(model(y, tau, conditions))).flatten(1).square().sum(
                dim=1
            )

        return potential


@dataclass(frozen=True)
class HarmonicForceLoss:
    """Denoising with the score of the energy's harmonic expansion as target, which has no noise.

    Around a structure x_0 with force f and Hessian H (both over kT, negative curvatures taken as 0) the density
    exp(-E/kT), blurred by sigma, has the score (1 + sigma^2 H)^-1 (f - H d) at x_0 + d: exact for a harmonic energy, and an
    approximation while sigma is small against the lengths over which H changes.
    """

    state: Float[Tensor, "frames atoms 3"]
    forces: Float[Tensor, "frames coordinates"]
    curvatures: Float[Tensor, "frames coordinates"]
    modes: Float[Tensor, "frames coordinates coordinates"]  # columns
    form: MoleculeForm
    largest_noise: float

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Squared error of sigma s, in the units of the loss of the training on frames."""
        clean, own = self.state[batch.indices], self.form.process[FIELD]
        drawn = torch.rand(len(clean), generator=batch.generator, device=clean.device)
        smallest = own.noise_to_signal(torch.tensor(own.minimal_time)).item()
        tau = (np.log(smallest) + np.log(self.largest_noise / smallest) * drawn).exp()
        time = own.time(tau)
        noise = own.noise(clean, batch.generator)
        shift = processes.over_trailing(tau, noise) * noise
        slope = self.form.score(model)({FIELD: own.perturb(clean, time, noise)}, time)[FIELD]
        error = own.alpha(time)[:, None] * slope.flatten(1) - self.target(
            batch.indices, shift.flatten(1), tau
        )
        weight = unit_variance_weight({FIELD: own}, time)
        return weight * (tau[:, None] * error).square().mean(dim=1)

    def target(self, indices: Tensor, shift: Tensor, tau: Tensor) -> Float[Tensor, "batch coordinates"]:
        """(1 + tau^2 H)^-1 (f - H d), in the units of clean structures."""
        curvatures, modes = self.curvatures[indices], self.modes[indices]
        force, moved = (torch.einsum("bcm,bc->bm", modes, x) for x in (self.forces[indices], shift))
        along = (force - curvatures * moved) / (1.0 + tau[:, None] ** 2 * curvatures)
        return torch.einsum("bcm,bm->bc", modes, along)


def pretraining_loss(
    dataset: Arrays, descriptors: Mapping[str, Arrays], settings: Mapping[str, Any], device: str
) -> tuple[Loss, dict[str, Tensor], float]:
    """The loss of the pre-training, the probabilities of the structures, and the scale of the data.

    Args:
        dataset: `{target}.` arrays of `molecule_exploration.explore` of every target.
        settings: `process, pretraining, training, temperature_K` of the study, and `scale_angstrom` where it starts from another one.

    Returns:
        As `molecule.denoising_loss`.
    """
    kind = settings["pretraining"]["loss"]["kind"]
    if kind == "denoising":
        return denoising_loss(dataset, descriptors, settings, device)
    frames, scale = mean_free_frames(dataset, descriptors, settings.get("scale_angstrom"))
    process = diffusion_process(settings["process"])
    losses: list[Loss] = []
    for (name, molecule), own in zip(descriptors.items(), frames, strict=True):
        form = MoleculeForm(MolecularGraph.from_arrays(molecule, scale).to(device), process)
        arrays = {key.removeprefix(f"{name}."): x for key, x in dataset.items() if key.startswith(f"{name}.")}
        kT = thermal_energy_kj_per_mol(settings["temperature_K"])
        make = _harmonic_forces if kind == "forces" else _fokker_planck
        losses.append(make(form, own.to(device), _in_kT(arrays, kT, scale, device), settings["pretraining"]))
    equal = [torch.ones(len(own)) for own in frames]
    probabilities = frames_probabilities(equal, settings["training"]["validation_fraction"])
    sizes = [len(own) for own in frames]
    return OverTargets(losses, sizes), {k: v.to(device) for k, v in probabilities.items()}, scale


def _in_kT(arrays: Arrays, kT: float, scale: float, device: str) -> dict[str, Tensor]:
    """Energies, forces and Hessians over kT, for lengths in units of `scale` Angstrom."""
    factors = {
        "potential_energy_kJ_per_mol": 1.0 / kT,
        "forces_kJ_per_mol_angstrom": scale / kT,
        "hessians_kJ_per_mol_angstrom2": scale**2 / kT,
    }
    return {
        name.split("_")[0]: torch.as_tensor(arrays[name] * factor, dtype=torch.float32, device=device)
        for name, factor in factors.items()
        if name in arrays
    }


def _fokker_planck(
    form: MoleculeForm, state: Tensor, answers: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> Loss:
    own = settings["loss"]
    relevant = RelevantStructures(
        {FIELD: state}, answers["potential"], {FIELD: processes.mean_free(answers["forces"])}
    )
    is_potential = own["form"] == "potential"
    emphasis = Emphasis(own["narrowest"], own["residual"], own["curriculum"], free_constant=is_potential)
    generator = torch.Generator(state.device).manual_seed(settings["seed"])
    residual = (
        partial(potential_residual, divergence=HutchinsonDivergence(generator, probes=1))
        if is_potential
        else partial(reverse_step_residual, step=ReverseStep(generator))
    )
    return EnergyLoss(relevant, form.process, residual, emphasis, form, is_potential)


def _harmonic_forces(
    form: MoleculeForm, state: Tensor, answers: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> Loss:
    curvatures, modes = torch.linalg.eigh(answers["hessians"].double())
    return HarmonicForceLoss(
        state,
        answers["forces"].flatten(1),
        curvatures.clamp(min=0.0).float(),
        modes.float(),
        form,
        settings["loss"]["largest_noise"],
    )
