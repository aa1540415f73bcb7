"""The score network of a molecule: process, network and its score, and what sampling needs of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dig_core.data.features import ATOM_FEATURES, PAIR_FEATURES, descriptor_hash
from dig_core.diffusion import processes
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.models.graphormer import Conditions, Graphormer
from dig_core.structure import MolecularGraph

FIELD = "positions"


def diffusion_process(settings: Mapping[str, Any]) -> dict[str, processes.Process]:
    """The mean-free process of the positions."""
    options = {key: value for key, value in settings.items() if key != "kind"}
    kinds = {
        "variance_exploding": processes.VarianceExploding,
        "variance_preserving": processes.VariancePreserving,
    }
    return {FIELD: kinds[settings["kind"]](**options, projection=processes.mean_free)}


def network(settings: Mapping[str, Any]) -> Graphormer:
    """The untrained score network."""
    sizes = {key: value for key, value in settings.items() if key not in ("kind", "precision", "compile")}
    return Graphormer(tuple(ATOM_FEATURES.values()), tuple(PAIR_FEATURES.values()), **sizes)


def accelerated(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The same network with the arithmetic that `precision` and `compile` ask for; on a CPU it stays as it is.

    For training on frames and for drawing: densities and training from energies want derivatives of it in full precision.
    """
    if next(model.parameters()).is_cuda:
        model.products = torch.bfloat16 if settings.get("precision") == "bfloat16" else None
        if settings.get("compile"):
            model.compile()
    return model


def score(model: nn.Module, process: dict[str, processes.Process], conditions: Conditions) -> processes.Score:
    """The score of one molecule: the preconditioned network with the molecule's conditions."""
    return preconditioned(lambda state, noise: {FIELD: model(state[FIELD], noise, conditions)}, process)


@dataclass(frozen=True)
class TrainedModel:
    """What sampling needs of a checkpoint, for one molecule."""

    score: processes.Score
    process: dict[str, processes.Process]
    scale_angstrom: float
    shape: dict[str, tuple[int, ...]]  # of one structure, by field
    device: str

    def positions_angstrom(self, state: Mapping[str, Tensor]) -> Float[np.ndarray, "frames atoms 3"]:
        """Structures in Angstrom, float32."""
        return (state[FIELD] * self.scale_angstrom).numpy().astype(np.float32)


def trained_model(
    checkpoint: Mapping[str, Any],
    molecule: Mapping[str, np.ndarray],
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    for_drawing: bool = False,
) -> TrainedModel:
    """The score of one molecule from a checkpoint (see `checkpoints.save_checkpoint`), its conditions computed once.

    States must be of the same `dtype`. `for_drawing` with the arithmetic that the study asks for on a GPU.

    Raises:
        ValueError: the checkpoint was trained on other molecules.
    """
    settings, known = checkpoint["settings"], checkpoint["molecules"]
    if descriptor_hash(molecule) not in known.values():
        raise ValueError(
            f"expected a checkpoint trained on this molecule; got one trained on {', '.join(known)}. "
            "Train the study that holds this target, or correct the path"
        )
    model = network(settings["model"])
    model.load_state_dict(checkpoint["weights"])
    model = model.to(device, dtype).eval().requires_grad_(False)
    model = accelerated(model, settings["model"]) if for_drawing else model
    graph = MolecularGraph.from_arrays(molecule, checkpoint["scale_angstrom"]).to(device)
    conditions = model.conditions(replace(graph, bounds=graph.bounds.to(dtype)))
    process = diffusion_process(settings["process"])
    shape = {FIELD: (len(molecule["atom_features"]), 3)}
    return TrainedModel(
        score(model, process, conditions), process, checkpoint["scale_angstrom"], shape, device
    )
