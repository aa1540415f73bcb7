"""The loss of the pre-training of adsorbed atoms from energies (PIDP, DiG section 2.2): what `rule pretrain` minimises.

The energies are those of the maps from which structures are drawn, and cost no calls of their own. Structures of the loss are anywhere over the
cell, by no weight: the Fokker-Planck equation and the forces at the smallest noise have to tell which places are likely.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dig_core.data.energy_maps import FINER, MAP, EnergyMap
from dig_core.diffusion.fokker_planck import ReverseStep, reverse_step_residual
from dig_core.diffusion.losses import Batch, Loss
from dig_core.diffusion.processes import Process, Score
from dig_core.pretraining import Emphasis, EnergyLoss, RelevantStructures
from dig_core.systems.adsorption_model import HEIGHT, PLANE, Heights, Surface, encoded, heights_of, score
from dig_core.systems.batches import frames_probabilities, structures_of_one_target
from dig_core.units import thermal_energy_eV


@dataclass(frozen=True)
class AdsorptionForm:
    """The score network of one surface as a free score."""

    surface: Surface
    process: Mapping[str, Process]
    heights: Heights

    def score(self, model: nn.Module) -> Score:
        """That of the training on structures."""
        return score(model, self.surface, self.process, self.heights, encoded(model, self.surface))


@dataclass(frozen=True)
class OverSurfaces:
    """The loss of several targets: every batch holds structures of one of them."""

    losses: Sequence[EnergyLoss]
    sizes: Sequence[int]
    validation_fraction: float

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of structures of the target that the first index belongs to (they count through all targets)."""
        count = len(batch.indices)
        number, local = structures_of_one_target(batch, self.sizes, self.validation_fraction, count)
        return self.losses[number](model, Batch(local, batch.generator, batch.progress))


def pretraining_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[Loss, dict[str, Tensor], float]:
    """The loss, the probabilities of the structures, and the scale of the data, which is 1.

    Args:
        dataset: `{target}.` arrays of the map of energies of every target.
        descriptors: arrays of every target.
        settings: `model, process, pretraining, training, temperature_K` of the study.

    Raises:
        ValueError: a target is a molecule.
    """
    own, losses = settings["pretraining"], []
    generator = torch.Generator(device).manual_seed(own["seed"])
    for number, (name, arrays) in enumerate(descriptors.items()):
        found = EnergyMap.of({key: dataset[f"{name}.{key}"] for key in MAP}).finer(FINER)
        surface = Surface.from_arrays(arrays).to(device)
        form = AdsorptionForm(surface, surface.process(settings["process"]), heights_of(settings["model"]))
        relevant = relevant_structures(found, form, settings, np.random.default_rng([own["seed"], number]))
        losses.append(_fokker_planck(form, relevant, own["loss"], generator))
    sizes = [len(each.relevant.energies_per_kT) for each in losses]
    fraction = settings["training"]["validation_fraction"]
    probabilities = frames_probabilities([torch.ones(count) for count in sizes], fraction)
    return OverSurfaces(losses, sizes, fraction), {k: v.to(device) for k, v in probabilities.items()}, 1.0


def relevant_structures(
    found: EnergyMap, form: AdsorptionForm, settings: Mapping[str, Any], generator: np.random.Generator
) -> RelevantStructures:
    """Structures of one target with energies and forces over kT, the latter per Angstrom in the plane and per spread of heights."""
    kT, heights, surface = thermal_energy_eV(settings["temperature_K"]), form.heights, form.surface
    positions, energies, forces = found.spread(settings["pretraining"]["structures"], kT, generator)

    def in_kT(values: np.ndarray) -> Tensor:
        """In the type and on the device of the surface."""
        return torch.as_tensor(values / kT).to(surface.lattice)

    above = torch.as_tensor(positions).to(surface.lattice.device)
    above[..., 2] += surface.top_angstrom
    parts = {PLANE: in_kT(forces[..., :2]), HEIGHT: in_kT(forces[..., 2:] * heights.spread_angstrom)}
    return RelevantStructures(surface.state(above, heights), in_kT(energies), parts)


def _fokker_planck(
    form: AdsorptionForm, relevant: RelevantStructures, own: Mapping[str, Any], generator: torch.Generator
) -> EnergyLoss:
    emphasis = Emphasis(own["narrowest"], own["residual"], own["curriculum"])
    residual = partial(reverse_step_residual, step=ReverseStep(generator))
    return EnergyLoss(relevant, form.process, residual, emphasis, form, is_potential=False)
