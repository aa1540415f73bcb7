"""The training on adsorbates: denoising of both fields; every batch holds structures of one target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dig_core.diffusion.losses import Batch, unit_variance_matching
from dig_core.diffusion.processes import Process, State
from dig_core.systems.adsorption_model import PLANE, Heights, Surface, encoded, heights_of, score
from dig_core.systems.batches import even_times, frames_probabilities, structures_of_one_target

LARGEST_MISMATCH_NATS = 0.1


@dataclass(frozen=True)
class OneSurface:
    """The structures of one target, as states."""

    surface: Surface
    states: State
    process: dict[str, Process]

    def __len__(self) -> int:
        return len(next(iter(self.states.values())))


@dataclass(frozen=True)
class AdsorptionDenoising:
    """The training loss on the structures of all targets."""

    targets: Sequence[OneSurface]
    heights: Heights
    validation_fraction: float

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of structures of the target that the first index belongs to (they count through all targets).

        They are half as many as indices, each twice, with opposite noise: what is odd in the noise cancels.
        """
        sizes, count = [len(own) for own in self.targets], (len(batch.indices) + 1) // 2
        number, local = structures_of_one_target(batch, sizes, self.validation_fraction, count)
        own = self.targets[number]
        time = even_times(count, batch.generator)
        clean = {field: x[local] for field, x in own.states.items()}
        noise = {field: each.noise(clean[field], batch.generator) for field, each in own.process.items()}
        (times,) = batch.own(time.repeat(2))
        twice = {field: batch.own(torch.cat([x, x]))[0] for field, x in clean.items()}
        opposite = {field: batch.own(torch.cat([eps, -eps]))[0] for field, eps in noise.items()}
        own_score = score(model, own.surface, own.process, self.heights, encoded(model, own.surface))
        return unit_variance_matching(own_score, own.process, twice, times, opposite)


def _expect_uniform(name: str, nats: float) -> None:
    """What training ends with must be what sampling begins with."""
    print(f"{name}: noised structures are at most {nats:.2f} nats from the sampler's start", flush=True)
    if nats > LARGEST_MISMATCH_NATS:
        raise ValueError(
            f"expected noise that leaves nothing of where an atom was in the cell of {name}; got {nats:.2f} nats from that. Raise process.plane.sigma_max to 0.4 times the longer side"
        )


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[AdsorptionDenoising, dict[str, Tensor], float]:
    """The loss, and the probabilities of the structures.

    Args:
        dataset: `{target}.positions_angstrom` [structures, atoms, 3] of the adsorbate and `{target}.weights` of every target.
        descriptors: arrays of every target.
        settings: `model`, `process` and `training` of the study.

    Raises:
        ValueError: the largest noise in the plane is too small for the cell of a target.
    """
    heights, targets = heights_of(settings["model"]), []
    for name, arrays in descriptors.items():
        surface = Surface.from_arrays(arrays).to(device)
        process = surface.process(settings["process"])
        _expect_uniform(name, process[PLANE].prior_mismatch_nats(1.0, 2 * len(surface.adsorbed)))
        positions = torch.as_tensor(dataset[f"{name}.positions_angstrom"], dtype=torch.float64).to(device)
        targets.append(OneSurface(surface, surface.state(positions, heights), process))
    weights = [torch.as_tensor(dataset[f"{name}.weights"], dtype=torch.float32) for name in descriptors]
    fraction = settings["training"]["validation_fraction"]
    parts = frames_probabilities(weights, fraction)
    probabilities = {part: values.to(device) for part, values in parts.items()}
    return AdsorptionDenoising(targets, heights, fraction), probabilities, 1.0
