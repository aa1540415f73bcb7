"""The score network of a protein: process, network and its score, and what sampling needs of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dig_core.backbone import backbone
from dig_core.data.proteins import backbone_mask
from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import Process, Score, State, VarianceExploding, mean_free
from dig_core.models.frames import Conditions, FrameGraphormer
from dig_core.structure import ResidueGraph
from dig_core.systems.molecule_model import accelerated

POSITIONS, ROTATIONS = "positions", "rotations"


def diffusion_process(settings: Mapping[str, Any]) -> dict[str, Process]:
    """Positions, whose noise names the level for both, and orientations."""
    positions, rotations = (
        {key: value for key, value in settings[field].items() if key != "kind"}
        for field in (POSITIONS, ROTATIONS)
    )
    return {
        POSITIONS: VarianceExploding(**positions, projection=mean_free),
        ROTATIONS: BrownianRotations(**rotations),
    }


def network(settings: Mapping[str, Any]) -> FrameGraphormer:
    """The untrained score network."""
    sizes = {key: value for key, value in settings.items() if key not in ("kind", "precision", "compile")}
    return FrameGraphormer(**sizes)


def score(model: nn.Module, process: Mapping[str, Process], conditions: Conditions) -> Score:
    """The score of one protein, or of each structure's own: the preconditioned network with its conditions."""

    def raw(state: State, noise: Tensor) -> State:
        """Outputs of unit variance for both fields."""
        turned = process[ROTATIONS].sigma(process[POSITIONS].time(noise))
        outputs = model(state[POSITIONS], state[ROTATIONS], noise, turned, conditions)
        return dict(zip((POSITIONS, ROTATIONS), outputs, strict=True))

    return preconditioned(raw, process)


@dataclass(frozen=True)
class ProteinModel:
    """What sampling needs of a checkpoint, for one protein."""

    score: Score
    process: dict[str, Process]
    scale_angstrom: float
    shape: dict[str, tuple[int, ...]]  # of one structure, by field
    device: str
    atoms: Bool[np.ndarray, "residues 5"]  # of N, CA, C, O and CB those that there are

    def positions_angstrom(self, state: Mapping[str, Tensor]) -> Float[np.ndarray, "frames atoms 3"]:
        """Backbones in Angstrom, float32."""
        placed = backbone(state[POSITIONS] * self.scale_angstrom, state[ROTATIONS])
        return placed[:, torch.as_tensor(self.atoms)].numpy().astype(np.float32)


def trained_model(
    checkpoint: Mapping[str, Any],
    protein: Mapping[str, np.ndarray],
    device: str = "cpu",
    for_drawing: bool = False,
) -> ProteinModel:
    """The score of one protein, seen in training or not, from a checkpoint; its conditions are computed once.

    `for_drawing` with the arithmetic that the study asks for on a GPU.
    """
    settings = checkpoint["settings"]
    model = network(settings["model"])
    model.load_state_dict(checkpoint["weights"])
    model = model.to(device).eval().requires_grad_(False)
    model = accelerated(model, settings["model"]) if for_drawing else model
    conditions = model.conditions(ResidueGraph.from_arrays(protein).to(device))
    process, residues = diffusion_process(settings["process"]), len(protein["residue_types"])
    shape = {POSITIONS: (residues, 3), ROTATIONS: (residues, 3, 3)}
    atoms = backbone_mask(str(protein["sequence"]))
    scale = checkpoint["scale_angstrom"]
    return ProteinModel(score(model, process, conditions), process, scale, shape, device, atoms)
