"""The training on adsorbates: denoising of both fields; every batch holds structures of one target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.losses import Batch, unit_variance_matching
from dig_core.diffusion.processes import Process, State
from dig_core.systems.adsorption_model import PLANE, Heights, Surface, encoded, heights_of, score
from dig_core.systems.batches import even_times, frames_probabilities, indices_of_one_target, trained_frames

LARGEST_MISMATCH_NATS = 0.1


@dataclass(frozen=True)
class OneSurface:
    """The structures of one target, as states; the first `trained` ones train, the others validate."""

    surface: Surface
    states: State
    process: dict[str, Process]
    trained: int

    def __len__(self) -> int:
        return len(next(iter(self.states.values())))

    def beside(self, index: int, count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
        """Indices of structures that train as this one does, or validate as it does."""
        low, high = (0, self.trained) if index < self.trained else (self.trained, len(self))
        return torch.randint(low, high, (count,), generator=generator, device=generator.device)


@dataclass(frozen=True)
class AdsorptionDenoising:
    """The training loss on the structures of all targets."""

    targets: Sequence[OneSurface]
    heights: Heights

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of structures of the target that the first index belongs to (they count through all targets).

        The other indices are of other targets, and few of them of this one: as many structures are drawn again, all of it. Half as many,
        in fact, each twice, with opposite noise: what is odd in the noise cancels.
        """
        number, first = indices_of_one_target(batch.indices[:1], [len(own) for own in self.targets])
        own, count = self.targets[number], (len(batch.indices) + 1) // 2
        local = own.beside(int(first), count, batch.generator)
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
        trained = trained_frames(len(positions), settings["training"]["validation_fraction"])
        targets.append(OneSurface(surface, surface.state(positions, heights), process, trained))
    weights = [torch.as_tensor(dataset[f"{name}.weights"], dtype=torch.float32) for name in descriptors]
    parts = frames_probabilities(weights, settings["training"]["validation_fraction"])
    probabilities = {part: values.to(device) for part, values in parts.items()}
    return AdsorptionDenoising(targets, heights), probabilities, 1.0
