"""The training on crystals: denoising of fractional coordinates and lattice together; every batch holds crystals of one number of atoms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.losses import Batch, unit_variance_residuals
from dig_core.diffusion.processes import Process, State
from dig_core.models.periodic import LARGEST_IMAGE, images_needed
from dig_core.systems.batches import even_times, indices_of_one_target
from dig_core.systems.carbon_model import (
    FRACTIONAL,
    LATTICE,
    LatticeScale,
    diffusion_process,
    lattice_scale,
    score,
)


@dataclass(frozen=True)
class SameCount:
    """Crystals of the same number of atoms, as states."""

    fractional: Float[Tensor, "crystals atoms 3"]
    lattice: Float[Tensor, "crystals 3 3"]
    atomic_numbers: Int[Tensor, "crystals atoms"]

    def states(self, indices: Int[Tensor, " batch"]) -> State:
        """The crystals with these indices."""
        return {FRACTIONAL: self.fractional[indices], LATTICE: self.lattice[indices]}


@dataclass(frozen=True)
class TimeRange:
    """A range of times (0 to 1), and the share of crystals whose time is in it."""

    share: float
    first: float
    last: float


@dataclass
class CrystalDenoising:
    """The training loss on all crystals.

    Args:
        groups: crystals by number of atoms; indices count through all of them.
        emphasis: a range of times that is trained more than the rest.
    """

    groups: Sequence[SameCount]
    process: dict[str, Process]
    scale: LatticeScale
    emphasis: TimeRange | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the crystals with these indices; the first one picks the number of atoms.

        Only the first half of the indices is used, each twice, with opposite noise: what is odd in the noise cancels.
        """
        number, local = indices_of_one_target(batch.indices, [len(group.lattice) for group in self.groups])
        group, half = self.groups[number], (len(local) + 1) // 2
        clean = group.states(local[:half])
        time = training_times(half, batch.generator, self.emphasis)
        noise = {field: own.noise(clean[field], batch.generator) for field, own in self.process.items()}
        times, numbers = batch.own(time.repeat(2), group.atomic_numbers[local[:half]].repeat(2, 1))
        twice = {field: batch.own(torch.cat([x, x]))[0] for field, x in clean.items()}
        opposite = {field: batch.own(torch.cat([eps, -eps]))[0] for field, eps in noise.items()}
        own_score = score(model, self.process, self.scale, numbers)
        residuals = unit_variance_residuals(own_score, self.process, twice, times, opposite)
        return mean_square(residuals)


def training_times(
    count: int, generator: torch.Generator, emphasis: TimeRange | None
) -> Float[Tensor, " batch"]:
    """Even times; those of a share of the crystals in a range of their own."""
    if emphasis is None:
        return even_times(count, generator)
    inside = round(emphasis.share * count)
    own = emphasis.first + (emphasis.last - emphasis.first) * even_times(inside, generator)
    return torch.cat([own, even_times(count - inside, generator)])


def mean_square(residuals: State) -> Float[Tensor, " batch"]:
    """Of both fields alike, each over its free coordinates: 3 (atoms - 1), since crystals may be shifted, and 6."""
    atoms = residuals[FRACTIONAL].shape[1]
    moved = residuals[FRACTIONAL].square().sum(dim=(1, 2)) / (3 * max(1, atoms - 1))
    return 0.5 * (moved + residuals[LATTICE].square().sum(dim=(1, 2)) / 6)


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[CrystalDenoising, dict[str, Tensor], float]:
    """The loss on the crystals of a dataset, and the probabilities by which they train and validate."""
    expect_seen(dataset["lattices_angstrom"], settings["model"]["cutoff_angstrom"])
    process, scale = diffusion_process(settings["process"]), lattice_scale(settings["model"])
    groups, places = crystals_by_count(dataset, scale, device), places_by_count(dataset["counts"])
    probabilities = device_probabilities(dataset["weights"], places, settings["training"], device)
    emphasis = emphasis_in_time(process, settings["training"].get("emphasis"))
    return CrystalDenoising(groups, process, scale, emphasis), probabilities, 1.0


def emphasis_in_time(
    process: Mapping[str, Process], settings: Mapping[str, float] | None
) -> TimeRange | None:
    """From the settings `training.emphasis` of a study, which name noise of fractional coordinates."""
    if settings is None:
        return None
    ends = process[FRACTIONAL].time(torch.tensor([settings["sigma_min"], settings["sigma_max"]])).tolist()
    return TimeRange(settings["share"], *ends)


def places_by_count(counts: Int[np.ndarray, " crystals"]) -> list[Int[np.ndarray, " _"]]:
    """Where the crystals of each number of atoms are, smallest first."""
    return [np.flatnonzero(counts == atoms) for atoms in np.unique(counts)]


def crystals_by_count(dataset: Mapping[str, np.ndarray], scale: LatticeScale, device: str) -> list[SameCount]:
    """The crystals of a dataset as states, by number of atoms, smallest first."""
    groups, last = [], np.cumsum(dataset["counts"])
    for chosen in places_by_count(dataset["counts"]):
        atoms = int(dataset["counts"][chosen[0]])
        rows = last[chosen][:, None] - atoms + np.arange(atoms)
        lattices = torch.as_tensor(dataset["lattices_angstrom"][chosen], dtype=torch.float64)
        groups.append(
            SameCount(
                torch.as_tensor(dataset["fractional"][rows], dtype=torch.get_default_dtype()).to(device),
                scale.scaled(lattices, atoms).to(device, torch.get_default_dtype()),
                torch.as_tensor(dataset["atomic_numbers"][rows], dtype=torch.long).to(device),
            )
        )
    return groups


def device_probabilities(
    weights: Float[np.ndarray, " crystals"],
    places: Sequence[Int[np.ndarray, " _"]],
    training: Mapping[str, Any],
    device: str,
) -> dict[str, Tensor]:
    """`crystal_probabilities` of crystals by number of atoms, on the device."""
    own = [torch.as_tensor(weights[chosen], dtype=torch.get_default_dtype()) for chosen in places]
    found = crystal_probabilities(own, training["validation_fraction"])
    return {part: values.to(device) for part, values in found.items()}


def crystal_probabilities(weights: Sequence[Tensor], validation_fraction: float) -> dict[str, Tensor]:
    """Probabilities of crystals that train and of those that validate, the last ones of each number of atoms; a lone one trains.

    Raises:
        ValueError: there is one crystal in all.
    """
    kept = [torch.arange(len(own)) >= max(1, round(len(own) * (1 - validation_fraction))) for own in weights]
    if not any(own.any() for own in kept):
        kept[-1][-1] = True
    every, validates = torch.cat(list(weights)), torch.cat(kept)
    if validates.all():
        raise ValueError("expected two crystals or more to train on; got one. Add crystals")
    parts = {"train": every * ~validates, "validation": every * validates}
    return {part: values / values.sum() for part, values in parts.items()}


def expect_seen(lattices: Float[np.ndarray, "crystals 3 3"], cutoff: float) -> None:
    """Raise ValueError where images of a crystal that are within the cutoff would not be seen."""
    needed = int(images_needed(torch.as_tensor(lattices), cutoff).max())
    if needed > LARGEST_IMAGE:
        raise ValueError(
            f"expected cells whose images up to {LARGEST_IMAGE} along each axis reach model.cutoff_angstrom, {cutoff:g}; got one that"
            f" needs {needed}. Lower the cutoff, or give that crystal in a larger cell"
        )
