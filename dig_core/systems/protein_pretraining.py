"""Losses of a protein's pre-training from energies: what `rule pretrain` minimises, on residue frames.

Denoising of weighted structures, which is the loss of the training itself, or the Fokker-Planck equation of a free score with forces and
torques at the smallest noise (PIDP; DiG, arXiv 2306.05445, section 2.2 and SI algorithm 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dig_core.diffusion.fokker_planck import ReverseStep, reverse_step_residual
from dig_core.diffusion.losses import Loss
from dig_core.diffusion.processes import Process, Score, mean_free
from dig_core.pretraining import Emphasis, EnergyLoss, RelevantStructures
from dig_core.structure import ResidueGraph
from dig_core.systems.batches import OverTargets, frames_probabilities
from dig_core.systems.protein_denoising import denoising_loss, rigid_residues
from dig_core.systems.protein_model import POSITIONS, ROTATIONS, diffusion_process, score
from dig_core.units import thermal_energy_kj_per_mol

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ProteinForm:
    """The score network of one protein as a free score."""

    graph: ResidueGraph
    process: Mapping[str, Process]

    def score(self, model: nn.Module) -> Score:
        """That of the training on frames."""
        return score(model, self.process, model.conditions(self.graph))


def pretraining_loss(
    dataset: Arrays, descriptors: Mapping[str, Arrays], settings: Mapping[str, Any], device: str
) -> tuple[Loss, dict[str, Tensor], float]:
    """The loss of the pre-training, the probabilities of the structures, and the scale of the data.

    Args:
        dataset: `{target}.` arrays of `protein_exploration.explore` of every target.
        settings: `model, process, pretraining, training, temperature_K` of the study.

    Returns:
        As `protein_denoising.denoising_loss`.
    """
    if settings["pretraining"]["loss"]["kind"] == "denoising":
        return denoising_loss(dataset, descriptors, settings, device)
    process, losses, sizes = diffusion_process(settings["process"]), [], []
    for name, protein in descriptors.items():
        form = ProteinForm(ResidueGraph.from_arrays(protein).to(device), process)
        relevant = relevant_frames(dataset, name, protein, settings, device)
        losses.append(_fokker_planck(form, relevant, settings["pretraining"]))
        sizes.append(len(relevant.energies_per_kT))
    equal = [torch.ones(count) for count in sizes]
    probabilities = frames_probabilities(equal, settings["training"]["validation_fraction"])
    scale = settings["model"]["scale_angstrom"]
    return OverTargets(losses, sizes), {k: v.to(device) for k, v in probabilities.items()}, scale


def relevant_frames(
    dataset: Arrays, name: str, protein: Arrays, settings: Mapping[str, Any], device: str
) -> RelevantStructures:
    """Frames of one target in units of the model, with energies, forces (per unit of length) and torques (per radian) over kT."""
    scale, kT = settings["model"]["scale_angstrom"], thermal_energy_kj_per_mol(settings["temperature_K"])

    def in_kT(array: str, factor: float) -> Tensor:
        """An array of the target times a factor over kT."""
        return torch.as_tensor(dataset[f"{name}.{array}"] * (factor / kT), dtype=torch.float32, device=device)

    alphas, rotations = rigid_residues(dataset[f"{name}.positions_angstrom"], protein)
    state = {POSITIONS: (alphas / scale).to(device), ROTATIONS: rotations.to(device)}
    forces = {
        POSITIONS: mean_free(in_kT("residue_forces_kJ_per_mol_angstrom", scale)),
        ROTATIONS: in_kT("residue_torques_kJ_per_mol_radian", 1.0),
    }
    return RelevantStructures(state, in_kT("potential_energy_kJ_per_mol", 1.0), forces)


def _fokker_planck(
    form: ProteinForm, relevant: RelevantStructures, settings: Mapping[str, Any]
) -> EnergyLoss:
    own = settings["loss"]
    emphasis = Emphasis(own["narrowest"], own["residual"], own["curriculum"])
    generator = torch.Generator(relevant.energies_per_kT.device).manual_seed(settings["seed"])
    residual = partial(reverse_step_residual, step=ReverseStep(generator))
    return EnergyLoss(relevant, form.process, residual, emphasis, form, is_potential=False)
