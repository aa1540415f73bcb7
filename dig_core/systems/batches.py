"""How frames of several targets are drawn: probabilities, batches of one target, and times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.losses import Batch, Loss


@dataclass(frozen=True)
class OverTargets:
    """The loss of several targets: every batch holds structures of one of them."""

    losses: Sequence[Loss]
    sizes: Sequence[int]

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the structures with these indices, which count through all targets."""
        target, local = indices_of_one_target(batch.indices, self.sizes)
        return self.losses[target](model, Batch(local, batch.generator, batch.progress))


def indices_of_one_target(indices: Int[Tensor, " batch"], sizes: Sequence[int]) -> tuple[int, Tensor]:
    """The target of the first index, and the indices that belong to it, repeated to fill the batch.

    Indices count through all targets, which have `sizes` frames. They follow that target's own weights; a repeated frame
    gets noise of its own.
    """
    offsets = np.cumsum([0, *sizes])
    target = int(np.searchsorted(offsets, int(indices[0]), side="right") - 1)
    first, last = int(offsets[target]), int(offsets[target + 1])
    own = indices[(indices >= first) & (indices < last)] - first
    return target, own[torch.arange(len(indices), device=indices.device) % len(own)]


def structures_of_one_target(
    batch: Batch, sizes: Sequence[int], validation_fraction: float, count: int
) -> tuple[int, Int[Tensor, " count"]]:
    """The target of the first index of a batch, and `count` of its structures, equally probable: all train, or all validate, as that one does.

    Of many targets a batch names few structures of each, so others are drawn in their place.
    """
    target, first = indices_of_one_target(batch.indices[:1], sizes)
    border = trained_frames(sizes[target], validation_fraction)
    low, high = (0, border) if int(first) < border else (border, sizes[target])
    device = batch.generator.device
    return target, torch.randint(low, high, (count,), generator=batch.generator, device=device)


def frames_probabilities(weights: Sequence[Tensor], validation_fraction: float) -> dict[str, Tensor]:
    """Probabilities of training and of validation frames; the validation frames are the last ones of each target."""
    parts: dict[str, list[Tensor]] = {"train": [], "validation": []}
    for own in weights:
        is_validation = torch.arange(len(own)) >= trained_frames(len(own), validation_fraction)
        for part, mask in (("train", ~is_validation), ("validation", is_validation)):
            parts[part].append(own * mask / (own * mask).sum() / len(weights))
    return {part: torch.cat(values) for part, values in parts.items()}


def trained_frames(frames: int, validation_fraction: float) -> int:
    """How many of the frames of a target train; the others, which come last, validate."""
    return min(frames - 1, max(1, round(frames * (1 - validation_fraction))))


def even_times(count: int, generator: torch.Generator) -> Float[Tensor, " batch"]:
    """Evenly spread, so is ln of the noise; one time in each of `count` equal intervals."""
    drawn = torch.rand(count, generator=generator, device=generator.device)
    return (torch.arange(count, device=generator.device) + drawn) / count
