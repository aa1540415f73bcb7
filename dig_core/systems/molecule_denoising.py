"""The training on frames of molecules: denoising, and where forces on the frames are known, with targets of less noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dig_core.diffusion import processes
from dig_core.diffusion.control_variate import Springs, SpringVariate
from dig_core.diffusion.losses import (
    Batch,
    denoising_score_matching,
    emphasis,
    importance_sampling,
    noise_levels,
    unit_variance_weight,
)
from dig_core.structure import MolecularGraph
from dig_core.systems.batches import frames_probabilities, indices_of_one_target
from dig_core.systems.molecule_model import FIELD, diffusion_process, score
from dig_core.units import thermal_energy_kj_per_mol


@dataclass(frozen=True)
class FrameForces:
    """Forces on the frames of one target over kT, in the units of the frames, and the springs that tell how stiff it is."""

    forces_per_kT: Float[Tensor, "frames atoms 3"]
    springs: Springs

    @classmethod
    def of(cls, forces_per_kT: np.ndarray, frames: Tensor, graph: MolecularGraph) -> "FrameForces":
        """Those of a target; a force on the molecule as a whole, of rounding, is taken off."""
        forces = torch.as_tensor(forces_per_kT, dtype=torch.float32, device=frames.device)
        return cls(processes.mean_free(forces), Springs.of(frames, graph.pairs[0, ..., 0]))


@dataclass
class DenoisingLoss:
    """The training loss on the frames of all targets; every batch holds frames of one target.

    Args:
        frames: mean-free positions of each target in units of `scale_angstrom` [frames, atoms, 3].
        factors: of the loss of each frame, for draws that do not follow the weights; see `importance_sampling`.
        graphs: the descriptor of each target.
        process, training: noise, and the settings that say at which levels it is trained and how they weigh.
        forces: on the frames of each target, with `learned`, the control variate that takes noise off the targets with them;
            it is trained with the network.
    """

    frames: list[Tensor]
    factors: list[Tensor]
    graphs: list[MolecularGraph]
    process: dict[str, processes.Process]
    training: Mapping[str, Any]
    forces: Sequence[FrameForces] = ()
    learned: SpringVariate | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the frames with these indices, which count through all targets; the first one picks the target.

        Only the first half of the indices is used, each twice, with opposite noise: what is odd in the noise cancels, which
        halves the variance of the gradient at noise well below the size of the molecule.
        """
        own_indices = batch.indices[: (len(batch.indices) + 1) // 2]
        target, local = indices_of_one_target(own_indices, [len(frames) for frames in self.frames])
        frames, time = self.frames[target][local], self._levels(len(local), batch.generator)
        noise = self.process[FIELD].noise(frames, batch.generator)
        clean, noise = frames.repeat(2, 1, 1), torch.cat([noise, -noise])
        clean, noise, local, time = batch.own(clean, noise, local.repeat(2), time.repeat(2))
        own_score = score(model, self.process, model.conditions(self.graphs[target]))
        if self.learned is not None:
            own_score = self._relieved(own_score, self.forces[target], local, noise)
        loss = denoising_score_matching(own_score, self.process, {FIELD: clean}, time, {FIELD: noise})
        return loss * self._weight(time) / self.mean_emphasis * self.factors[target][local]

    def _relieved(
        self, own_score: processes.Score, known: FrameForces, frames: Tensor, noise: Tensor
    ) -> processes.Score:
        """The score less K g / sigma: what forces on the clean frames say of the noise is not asked of the network."""

        def relieved(state: processes.State, time: Tensor) -> processes.State:
            """Fields [batch, atoms, 3] at times [batch]."""
            own, slope = self.process[FIELD], own_score(state, time)
            denoised = processes.denoised(lambda x, t: slope, self.process, state, time)[FIELD].detach()
            tau, sigma = own.noise_to_signal(time), own.sigma(time)
            gradient = known.forces_per_kT[frames] + noise / processes.over_trailing(tau, noise)
            taken = self.learned(known.springs, denoised, gradient, tau)
            return {FIELD: slope[FIELD] - taken / processes.over_trailing(sigma, taken)}

        return relieved

    def _levels(self, count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
        training = self.training
        return noise_levels(
            count, self.process, training["noise_log_mean"], training["noise_log_std"], generator
        )

    def _emphasis(self, time: Tensor) -> Float[Tensor, " batch"]:
        return emphasis(self.process, time, self.training["weight_low"], self.training["weight_high"])

    def _weight(self, time: Tensor) -> Float[Tensor, " batch"]:
        return unit_variance_weight(self.process, time) * self._emphasis(time)

    @cached_property
    def mean_emphasis(self) -> float:
        """By which the loss is divided, so that a network that returns 0 has a loss of 1."""
        levels = self._levels(10_000, torch.Generator().manual_seed(0))
        return self._emphasis(levels).mean().item()


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[DenoisingLoss, dict[str, Tensor], float]:
    """The training loss, the probabilities of the frames, and the scale of the data.

    Args:
        dataset: `{target}.positions_angstrom` [frames, atoms, 3] and `{target}.weights` of every target; with a control
            variate also `{target}.forces_kJ_per_mol_angstrom`.
        descriptors: molecule arrays of every target.
        settings: `process`, `training` and `temperature_K` of the study, and `scale_angstrom` where pre-training has set it.

    Returns:
        The loss; probabilities `train` and `validation` over all frames (targets count equally; validation frames are
        contiguous stretches at the end of each target); standard deviation of all coordinates in Angstrom.
    """
    frames, scale = mean_free_frames(dataset, descriptors, settings.get("scale_angstrom"))
    frames = [own.to(device) for own in frames]
    graphs = [MolecularGraph.from_arrays(molecule, scale).to(device) for molecule in descriptors.values()]
    training = settings["training"]
    weights = [torch.as_tensor(dataset[f"{name}.weights"], dtype=torch.float32) for name in descriptors]
    drawn, factors = zip(
        *(importance_sampling(own, training["draw_exponent"]) for own in weights), strict=True
    )
    probabilities = frames_probabilities(drawn, training["validation_fraction"])
    process = diffusion_process(settings["process"])
    for name, own in zip(descriptors, frames, strict=True):
        nats = process[FIELD].prior_mismatch_nats(own.square().mean().item(), 3 * (own.shape[1] - 1))
        print(f"{name}: noised structures are at most {nats:.2f} nats from the sampler's start", flush=True)
    loss = DenoisingLoss(frames, [own.to(device) for own in factors], graphs, process, training)
    if training["control_variate"] == "forces":
        kT = thermal_energy_kj_per_mol(settings["temperature_K"])
        loss.forces = [
            FrameForces.of(dataset[f"{name}.forces_kJ_per_mol_angstrom"] * (scale / kT), own, graph)
            for name, own, graph in zip(descriptors, frames, graphs, strict=True)
        ]
        ends = torch.tensor([process[FIELD].minimal_time, process[FIELD].maximal_time], dtype=torch.float64)
        loss.learned = SpringVariate(*process[FIELD].noise_to_signal(ends).tolist()).to(device)
    return loss, {part: values.to(device) for part, values in probabilities.items()}, scale


def mean_free_frames(
    dataset: Mapping[str, np.ndarray], names: Iterable[str], scale_angstrom: float | None = None
) -> tuple[list[Float[Tensor, "frames atoms 3"]], float]:
    """Mean-free positions of each target over the scale, by default the standard deviation of all coordinates in Angstrom."""
    centred = [
        processes.mean_free(torch.as_tensor(dataset[f"{name}.positions_angstrom"], dtype=torch.float32))
        for name in names
    ]
    own = float(np.sqrt(np.mean([positions.square().mean().item() for positions in centred])))
    scale = scale_angstrom or own
    return [positions / scale for positions in centred], scale
