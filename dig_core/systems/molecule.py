"""Kind `molecule`: all atoms of one molecule in Cartesian coordinates, mean-free, in units of the data's standard deviation.

Here the parts meet: force field and features, process and network, frames and loss.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openmm.app as app
import openmm.unit as unit
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.data import datasets, molecules, simulation
from dig_core.data.features import ATOM_FEATURES, PAIR_FEATURES, descriptor_hash, molecular_features
from dig_core.diffusion import processes
from dig_core.diffusion.losses import (
    Batch,
    denoising_score_matching,
    emphasis,
    importance_sampling,
    noise_levels,
    unit_variance_weight,
)
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.evaluation import validity
from dig_core.models.graphormer import Conditions, Graphormer
from dig_core.structure import MolecularGraph
from dig_core.units import ANGSTROM_PER_NM

FIELD = "positions"


def build(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """Topology and descriptor arrays (features, bonds, start structure) of a target.

    Args:
        target: one of `sequence`, `smiles`, `pdb`.
        data: the study's `data` settings; with frames of a user their topology decides, and a sequence is checked against it.
    """
    files = data.get("force_field")
    field = force_field(tuple(files)) if files else None
    if data["source"] == "trajectory":
        topology, positions = _from_trajectory(target, data)
    elif target.get("sequence"):
        topology, positions = molecules.from_sequence(target["sequence"], field)
    elif target.get("smiles"):
        topology, positions = molecules.from_smiles(target["smiles"])
    else:
        topology, positions = molecules.from_pdb(target["pdb"], field)
    if field is not None:
        molecular_system(topology, field, hydrogen_mass_amu=3.0)  # refused here, before anything long has run
    features = molecular_features(molecules.rdkit_molecule(topology, positions))
    metadynamics(data.get("bias"), features["backbone_torsions"])  # as well
    return topology, features | {"positions_angstrom": np.asarray(positions, dtype=np.float32)}


def _from_trajectory(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, np.ndarray]:
    frame = datasets.first_frame(data["files"][0], data)
    names = "-".join(residue.name for residue in frame.topology.residues)
    if target.get("sequence") not in (None, names):
        raise ValueError(
            f"expected frames of {target['sequence']}; got {names} in {data['topology']}. Correct `sequence:` or `topology:`"
        )
    return frame.topology.to_openmm(), frame.xyz[0] * ANGSTROM_PER_NM


def topology_pdb(topology: app.Topology, positions: Float[np.ndarray, "atoms 3"]) -> str:
    """A topology with one structure (Angstrom) as PDB text."""
    text = io.StringIO()
    app.PDBFile.writeFile(topology, positions * unit.angstrom, text, keepIds=True)
    return text.getvalue()


def run_dynamics(
    topology_file: str | Path,
    molecule: Mapping[str, np.ndarray],
    data: Mapping[str, Any],
    temperature_K: float,
    folder: Path,
) -> dict[str, np.ndarray]:
    """Simulate (or go on simulating) one replica with the settings `data` of one run; see `simulation.simulate`."""
    topology = app.PDBFile(str(topology_file)).topology
    system = molecular_system(topology, force_field(tuple(data["force_field"])), data["hydrogen_mass_amu"])
    protocol = simulation.Protocol(
        temperature_K=temperature_K,
        metadynamics=metadynamics(data["bias"], molecule["backbone_torsions"]),
        **{name: data[name] for name in PROTOCOL_SETTINGS},
    )
    return simulation.simulate(system, topology, molecule["positions_angstrom"], protocol, folder)


PROTOCOL_SETTINGS = (
    "timestep_fs", "friction_per_ps", "platform", "duration_ns", "frame_interval_ps", "checkpoint_interval_ps", "seed",
)  # fmt: skip


def metadynamics(bias: Mapping[str, Any] | None, torsions: np.ndarray) -> simulation.Metadynamics | None:
    """The bias on backbone torsions that a study asks for."""
    if bias is None:
        return None
    if len(torsions) == 0:
        raise ValueError(
            "expected a backbone with phi and psi to bias; got a molecule without. Write `bias: null`"
        )
    atoms = [tuple(int(i) for i in torsions[0][("phi", "psi").index(name)]) for name in bias["torsions"]]
    return simulation.Metadynamics(atoms, **{key: value for key, value in bias.items() if key != "torsions"})


def energies(
    topology_file: str | Path, force_field_files: tuple[str, ...], platform: str = "Reference"
) -> OpenMMEnergy:
    """The energy function of a target; masses do not enter it."""
    topology = app.PDBFile(str(topology_file)).topology
    return OpenMMEnergy(molecular_system(topology, force_field(tuple(force_field_files)), 3.0), platform)


def physical_filter(
    positions: Float[np.ndarray, "frames atoms 3"], molecule: Mapping[str, np.ndarray]
) -> validity.Validity:
    """Bond lengths, angles, clashes and chirality of structures against the descriptor of the molecule."""
    lower, upper = np.moveaxis(molecule["distance_bounds_angstrom"], -1, 0)
    centres = molecule["stereocentres"]
    signs = validity.chirality_signs(molecule["positions_angstrom"][None], centres)[0]
    bounds = validity.distance_bounds(lower, upper, molecule["bonds"])
    return validity.check(positions, bounds, centres, signs)


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
    sizes = {key: value for key, value in settings.items() if key != "kind"}
    return Graphormer(tuple(ATOM_FEATURES.values()), tuple(PAIR_FEATURES.values()), **sizes)


def score(model: nn.Module, process: dict[str, processes.Process], conditions: Conditions) -> processes.Score:
    """The score of one molecule: the preconditioned network with the molecule's conditions."""
    return preconditioned(lambda state, noise: {FIELD: model(state[FIELD], noise, conditions)}, process)


@dataclass
class DenoisingLoss:
    """The training loss on the frames of all targets; every batch holds frames of one target.

    Args:
        frames: mean-free positions of each target in units of `scale_angstrom` [frames, atoms, 3].
        factors: of the loss of each frame, for draws that do not follow the weights; see `importance_sampling`.
        graphs: the descriptor of each target.
        process, training: noise, and the settings that say at which levels it is trained and how they weigh.
    """

    frames: list[Tensor]
    factors: list[Tensor]
    graphs: list[MolecularGraph]
    process: dict[str, processes.Process]
    training: Mapping[str, Any]

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
        """Loss of the frames with these indices, which count through all targets; the first one picks the target.

        Only the first half of the indices is used, each twice, with opposite noise: what is odd in the noise cancels, which
        halves the variance of the gradient at noise well below the size of the molecule.
        """
        own_indices = batch.indices[: (len(batch.indices) + 1) // 2]
        target, local = indices_of_one_target(own_indices, [len(frames) for frames in self.frames])
        frames, time = self.frames[target][local], self._levels(len(local), batch.generator)
        noise = self.process[FIELD].noise(frames, batch.generator)
        clean, noise = {FIELD: frames.repeat(2, 1, 1)}, {FIELD: torch.cat([noise, -noise])}
        local, time = local.repeat(2), time.repeat(2)
        own_score = score(model, self.process, model.conditions(self.graphs[target]))
        loss = denoising_score_matching(own_score, self.process, clean, time, noise)
        return loss * self._weight(time) / self.mean_emphasis * self.factors[target][local]

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
) -> TrainedModel:
    """The score of one molecule from a checkpoint (see `training.save_checkpoint`), its conditions computed once.

    States must be of the same `dtype`.

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
    graph = MolecularGraph.from_arrays(molecule, checkpoint["scale_angstrom"]).to(device)
    conditions = model.conditions(replace(graph, bounds=graph.bounds.to(dtype)))
    process = diffusion_process(settings["process"])
    shape = {FIELD: (len(molecule["atom_features"]), 3)}
    return TrainedModel(
        score(model, process, conditions), process, checkpoint["scale_angstrom"], shape, device
    )


def denoising_loss(
    dataset: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    device: str,
) -> tuple[DenoisingLoss, dict[str, Tensor], float]:
    """The training loss, the probabilities of the frames, and the scale of the data.

    Args:
        dataset: `{target}.positions_angstrom` [frames, atoms, 3] and `{target}.weights` of every target.
        descriptors: molecule arrays of every target.
        settings: `process` and `training` of the study, and `scale_angstrom` where pre-training has set it.

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
    loss = DenoisingLoss(
        frames,
        [own.to(device) for own in factors],
        graphs,
        process,
        training,
    )
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


def frames_probabilities(weights: Sequence[Tensor], validation_fraction: float) -> dict[str, Tensor]:
    """Probabilities of training and of validation frames; the validation frames are the last ones of each target."""
    parts: dict[str, list[Tensor]] = {"train": [], "validation": []}
    for own in weights:
        border = min(len(own) - 1, max(1, round(len(own) * (1 - validation_fraction))))
        is_validation = torch.arange(len(own)) >= border
        for part, mask in (("train", ~is_validation), ("validation", is_validation)):
            parts[part].append(own * mask / (own * mask).sum() / len(weights))
    return {part: torch.cat(values) for part, values in parts.items()}
