"""The training on frames of proteins: denoising of positions and orientations together, many sequences in a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.backbone import frames_of
from dig_core.diffusion.losses import Batch, emphasis, noise_levels, unit_variance_residuals
from dig_core.diffusion.processes import Process, State, mean_free
from dig_core.structure import ResidueGraph
from dig_core.systems.batches import frames_probabilities
from dig_core.systems.protein_model import POSITIONS, ROTATIONS, diffusion_process, score


@dataclass
class FrameDenoising:
    """The training loss on the frames of all targets; every batch holds frames of proteins of one length.

    Args:
        groups: targets of the same number of residues.
        places: group and index in it of every frame, counted through all targets [frames, 2].
        process, training: noise, and the settings that say at which levels it is trained and how they weigh.
    """

    groups: Sequence["SameLength"]
    places: Int[Tensor, "frames 2"]
    process: dict[str, Process]
    training: Mapping[str, Any]

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the frames with these indices; the first one picks the length.

        Only the first half of the indices is used, each twice, with opposite noise: what is odd in the noise cancels.
        """
        group, local = self._of_one_length(batch.indices[: (len(batch.indices) + 1) // 2])
        clean, time = group.frames(local), self._levels(len(local), batch.generator)
        noise = {field: self.process[field].noise(x, batch.generator) for field, x in clean.items()}
        noise = {field: torch.cat([x, -x]) for field, x in noise.items()}
        clean = {field: torch.cat([x, x]) for field, x in clean.items()}
        time, local = batch.own(time.repeat(2), local.repeat(2))
        noise, clean = ({f: batch.own(x)[0] for f, x in state.items()} for state in (noise, clean))
        conditions = group.conditions(model, local)
        residuals = unit_variance_residuals(
            score(model, self.process, conditions), self.process, clean, time, noise
        )
        loss = torch.cat([residual.flatten(1) for residual in residuals.values()], dim=1).square().mean(dim=1)
        return loss * self._emphasis(time) / self.mean_emphasis

    def _of_one_length(self, indices: Int[Tensor, " batch"]) -> tuple["SameLength", Tensor]:
        """The group of the first index, and the indices in it, repeated to fill the batch."""
        places = self.places[indices]
        number = int(places[0, 0])
        own = places[places[:, 0] == number, 1]
        return self.groups[number], own[torch.arange(len(indices), device=indices.device) % len(own)]

    def _levels(self, count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
        settings = self.training["noise_log_mean"], self.training["noise_log_std"]
        return noise_levels(count, self.process, *settings, generator)

    def _emphasis(self, time: Tensor) -> Float[Tensor, " batch"]:
        return emphasis(self.process, time, self.training["weight_low"], self.training["weight_high"])

    @cached_property
    def mean_emphasis(self) -> float:
        """By which the loss is divided, so that a network that returns 0 has a loss near 1 (0.8 for three residues: the centre has no noise)."""
        return self._emphasis(self._levels(10_000, torch.Generator().manual_seed(0))).mean().item()


@dataclass(frozen=True)
class SameLength:
    """Frames of all targets with one number of residues."""

    positions: Float[Tensor, "frames residues 3"]  # mean-free, in units of the data's standard deviation
    rotations: Float[Tensor, "frames residues 3 3"]
    targets: Int[Tensor, " frames"]  # which graph
    graph: ResidueGraph

    def frames(self, indices: Int[Tensor, " batch"]) -> State:
        """Clean structures."""
        return {POSITIONS: self.positions[indices], ROTATIONS: self.rotations[indices]}

    def conditions(self, model: nn.Module, indices: Int[Tensor, " batch"]) -> Any:
        """What the network knows of each structure's sequence; computed for the sequences that occur, and shared where it is one."""
        present, rows = self.targets[indices].unique(return_inverse=True)
        known = model.conditions(_rows(self.graph, present))
        return known if len(present) == 1 else known.of(rows)


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[FrameDenoising, dict[str, Tensor], float]:
    """The training loss, the probabilities of the frames, and the scale of the data.

    Args:
        dataset: `{target}.positions_angstrom` [frames, atoms, 3] (backbones) and `{target}.weights`; targets without a descriptor
            are left alone.
        descriptors: arrays of every target that is trained on.
        settings: `model`, `process` and `training` of the study.

    Returns:
        The loss; probabilities `train` and `validation` over all frames (targets count equally; validation frames are contiguous
        stretches at the end of each target, or the training frames where none are kept); unit of the positions in Angstrom.

    Raises:
        ValueError: the unit is far from the standard deviation of the C-alpha coordinates.
    """
    frames = [rigid_residues(dataset[f"{name}.positions_angstrom"], own) for name, own in descriptors.items()]
    alphas, rotations = zip(*frames, strict=True)
    scale = settings["model"]["scale_angstrom"]
    spread = float(np.sqrt(np.mean([alpha.square().mean().item() for alpha in alphas])))
    print(f"standard deviation of the C-alpha coordinates: {spread:.2f} Angstrom", flush=True)
    if not 0.5 < spread / scale < 2.0:
        raise ValueError(
            f"expected model.scale_angstrom near the standard deviation of the data, {spread:.1f}; got {scale}. Correct it"
        )
    weights = [torch.as_tensor(dataset[f"{name}.weights"], dtype=torch.float32) for name in descriptors]
    probabilities = _probabilities(weights, settings["training"]["validation_fraction"])
    process = diffusion_process(settings["process"])
    nats = process[POSITIONS].prior_mismatch_nats(1.0, 3 * (max(alpha.shape[1] for alpha in alphas) - 1))
    print(f"noised positions are at most {nats:.2f} nats from the sampler's start", flush=True)
    graphs = [ResidueGraph.from_arrays(own) for own in descriptors.values()]
    groups, places = _grouped([alpha / scale for alpha in alphas], rotations, graphs, device)
    loss = FrameDenoising(groups, places.to(device), process, settings["training"])
    return loss, {part: values.to(device) for part, values in probabilities.items()}, scale


def _probabilities(weights: Sequence[Tensor], validation_fraction: float) -> dict[str, Tensor]:
    """As `frames_probabilities`; without frames kept for validation, those that train are looked at with other noise."""
    if validation_fraction:
        return frames_probabilities(weights, validation_fraction)
    print(
        "no frames are kept for validation: its loss is that of the training frames with other noise",
        flush=True,
    )
    everything = torch.cat([own / own.sum() / len(weights) for own in weights])
    return {"train": everything, "validation": everything}


def rigid_residues(
    positions_angstrom: Float[np.ndarray, "frames atoms 3"], protein: Mapping[str, np.ndarray]
) -> tuple[Float[Tensor, "frames residues 3"], Float[Tensor, "frames residues 3 3"]]:
    """C-alpha positions (mean-free, Angstrom) and orientations of the residues of backbones."""
    atoms = torch.as_tensor(positions_angstrom, dtype=torch.float32)
    first = torch.as_tensor(protein["first_atom_of_residue"])
    nitrogen, alpha, carbon = (atoms[:, first + k] for k in range(3))
    return mean_free(alpha), frames_of(nitrogen, alpha, carbon)


def _grouped(
    alphas: Sequence[Tensor], rotations: Sequence[Tensor], graphs: Sequence[ResidueGraph], device: str
) -> tuple[list[SameLength], Int[Tensor, "frames 2"]]:
    """Targets of one length together, in the order of the first of them, and the place of every frame."""
    lengths = [alpha.shape[1] for alpha in alphas]
    groups, places = [], [torch.empty(0)] * len(alphas)
    for number, length in enumerate(dict.fromkeys(lengths)):
        members = [k for k, own in enumerate(lengths) if own == length]
        counts = [len(alphas[k]) for k in members]
        starts = np.cumsum([0, *counts])
        for k, start, count in zip(members, starts, counts, strict=False):
            places[k] = torch.stack([torch.full((count,), number), start + torch.arange(count)], dim=1)
        parts = [torch.cat([own[k] for k in members]).to(device) for own in (alphas, rotations)]
        targets = torch.repeat_interleave(torch.arange(len(members)), torch.tensor(counts)).to(device)
        groups.append(SameLength(*parts, targets, _joined([graphs[k] for k in members]).to(device)))
    return groups, torch.cat(places)


def _joined(graphs: Sequence[ResidueGraph]) -> ResidueGraph:
    """Graphs of one length as one batch."""
    parts = {f.name: [getattr(graph, f.name) for graph in graphs] for f in fields(ResidueGraph)}
    return ResidueGraph(**{name: None if own[0] is None else torch.cat(own) for name, own in parts.items()})


def _rows(graph: ResidueGraph, chosen: Int[Tensor, " rows"]) -> ResidueGraph:
    found = {f.name: getattr(graph, f.name) for f in fields(graph)}
    return replace(graph, **{name: own[chosen] for name, own in found.items() if own is not None})
