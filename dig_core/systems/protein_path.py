"""Paths between two structures of a protein through the latent space of its model, beside straight ones of its rigid residues.

A straight path moves each residue on its own, C-alpha along a line and the orientation along a geodesic: what it breaks says nothing of
a model, and every number of a latent path stands beside that of the straight one.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.backbone import frames_of
from dig_core.diffusion.body_flow import joined, path_of_bodies, up_to
from dig_core.diffusion.interpolation import LatentPath
from dig_core.diffusion.processes import Score, State, mean_free
from dig_core.evaluation import backbone_validity
from dig_core.evaluation.backbone_atoms import sequence_neighbours
from dig_core.geometry import rotation, superposed
from dig_core.systems.molecule_alignment import rmsd
from dig_core.systems.molecule_path import END_ERROR_ANGSTROM, GAP, evenly_spaced, steps_angstrom
from dig_core.systems.protein_model import POSITIONS, ROTATIONS, ProteinModel

Arrays = Mapping[str, np.ndarray]
Corners = Float[np.ndarray, "residues 3 3"]  # N, CA and C of every residue in Angstrom
SERIES = {"latent": "", "straight": "_baseline_straight"}


def interpolate_states(
    model: ProteinModel, protein: Arrays, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The path between the known structures `start_state` and `end_state` of a descriptor: what `interpolate_structures` returns, and
    `state_names` [2].
    """
    names = [settings["start_state"], settings["end_state"]]
    atoms = protein["first_atom_of_residue"][:, None] + np.arange(3)
    known = dict(
        zip(protein["state_names"].tolist(), protein["state_positions_angstrom"][:, atoms], strict=True)
    )
    found = interpolate_structures(model, protein, known[names[0]], known[names[1]], settings)
    return found | {"state_names": np.array(names)}


def interpolate_structures(
    model: ProteinModel, protein: Arrays, first: Corners, second: Corners, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The path from one structure of a protein to another one, which is laid over it (CA) before.

    Args:
        protein: `residue_indices`, `chain_indices`, `first_atom_of_residue` of the backbones of the model.
        settings: `points`, `kind`, `tolerance`, `largest_noise`, as for molecules.

    Returns:
        For the `latent` and the `straight` path `{kind}_positions_angstrom` [points, atoms, 3] and the numbers of each point that `_along`
        names; `latent_shares` [points]; `endpoint_rmsd_angstrom` [2], of the backbones at the ends of the latent path from the given ones;
        `resolved`: no step is longer than GAP mean ones, and both ends came back; `seconds_interpolate` (CPU). Latent points are
        about evenly spaced in the RMSD of backbones, straight ones in the share of the way.

    Raises:
        ValueError: structures that are not of the protein of the model, or what `path_of_bodies` refuses.
    """
    started = time.process_time()
    ends = [_rigid(model, own) for own in (first, laid_over(first, second))]
    shares, latent = _latent_path(model, ends, settings)
    even = torch.linspace(0.0, 1.0, settings["points"], dtype=torch.float64)
    straight = _backbones(model, joined(model.process, *ends, even, "linear"))
    given = straight[[0, -1]].astype(np.float64)
    arrays = {
        "latent_shares": shares,
        "endpoint_rmsd_angstrom": rmsd(latent[[0, -1]].astype(np.float64), given),
    }
    for kind, positions in (("latent", latent), ("straight", straight)):
        arrays |= {f"{kind}_{name}": values for name, values in _along(positions, given, protein).items()}
    steps = steps_angstrom(latent)
    came_back = arrays["endpoint_rmsd_angstrom"].max() <= END_ERROR_ANGSTROM
    arrays["resolved"] = np.array(came_back and steps.max() <= GAP * steps.mean())
    return arrays | {"seconds_interpolate": np.array(time.process_time() - started)}


def laid_over(first: Corners, second: Corners) -> Corners:
    """The second structure, moved as a whole so that its CA lie over those of the first."""
    reference, mobile = torch.as_tensor(first).double(), torch.as_tensor(second).double()
    centre, goal = mobile[:, 1].mean(dim=0), reference[:, 1].mean(dim=0)
    return ((mobile - centre) @ rotation(mobile[:, 1] - centre, reference[:, 1] - goal) + goal).numpy()


def path_metrics(paths: Arrays) -> dict[str, float]:
    """Of a path of `interpolate_structures`: the share of valid points, the largest and the smallest distance of neighbours on it, and its ends.

    A straight path never has a larger one than its ends: there residues come too close.
    """
    values = {
        "path_endpoint_rmsd_angstrom": float(paths["endpoint_rmsd_angstrom"].max()),
        "path_resolved": float(paths["resolved"]),
        "seconds_interpolate": float(paths["seconds_interpolate"]),
    }
    for series, suffix in SERIES.items():
        values[f"path_valid_fraction{suffix}"] = float(paths[f"{series}_valid"].mean())
        for which, extreme in (("max", np.max), ("min", np.min)):
            key = f"neighbour_distance_{which}_angstrom"
            values[f"path_{key}{suffix}"] = float(extreme(paths[f"{series}_{key}"]))
    return values


def _latent_path(
    model: ProteinModel, ends: list[State], settings: Mapping[str, Any]
) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points atoms 3"]]:
    """Shares and backbones."""
    points = settings["points"]
    process = up_to(model.process, settings["largest_noise"])
    latent = LatentPath(points, settings["kind"], settings["tolerance"])
    path = path_of_bodies(_in_single_precision(model.score), process, *ends, latent)

    def decoded(shares: list[np.ndarray]) -> list[np.ndarray]:
        """Backbones at these shares of the one path."""
        return [_backbones(model, path(torch.as_tensor(shares[0])))]

    shares, positions = evenly_spaced(decoded, [np.linspace(0.0, 1.0, points // 2 + 1)], points)
    return shares[0], positions[0]


def _in_single_precision(score: Score) -> Score:
    """A score that is given float32, as in sampling; the flow itself is followed in float64."""

    def single(state: State, time: Tensor) -> State:
        """The score of float32 states."""
        return score({field: x.float() for field, x in state.items()}, time.float())

    return single


def _rigid(model: ProteinModel, corners: Corners) -> State:
    """The residues of a structure as the model knows them, a batch of one."""
    expected = (model.shape[POSITIONS][0], 3, 3)
    if corners.shape != expected:
        raise ValueError(
            f"expected N, CA and C of {expected[0]} residues, {expected}; got {corners.shape}. Give a structure of the protein of the model"
        )
    nitrogen, alpha, carbon = torch.as_tensor(corners, dtype=torch.float64, device=model.device).unbind(-2)
    scaled = mean_free(alpha) / model.scale_angstrom
    return {POSITIONS: scaled[None], ROTATIONS: frames_of(nitrogen, alpha, carbon)[None]}


def _backbones(model: ProteinModel, path: State) -> Float[np.ndarray, "points atoms 3"]:
    """Backbones (Angstrom) of the points of a path [points, 1, ...]."""
    return model.positions_angstrom({field: x[:, 0].cpu() for field, x in path.items()})


def _along(
    positions: Float[np.ndarray, "points atoms 3"], ends: Float[np.ndarray, "2 atoms 3"], protein: Arrays
) -> dict[str, np.ndarray]:
    """The points laid over the first one, for viewers, and numbers of each: `neighbour_distance_max_angstrom` and `_min_` (CA to CA of
    sequence neighbours), `rmsd_to_ends_angstrom` [points, 2] (CA), `valid` and the criteria of `backbone_validity`.
    """
    residues = [protein[name] for name in ("residue_indices", "chain_indices", "first_atom_of_residue")]
    alphas, of_ends = (own[:, residues[2] + 1].astype(np.float64) for own in (positions, ends))
    apart = np.linalg.norm(np.diff(alphas, axis=1), axis=-1)[:, sequence_neighbours(*residues[:2])]
    verdict = backbone_validity.check(positions, *residues)
    exact = torch.as_tensor(positions).double()
    return {
        "positions_angstrom": superposed(exact, exact[:1].expand_as(exact)).numpy().astype(np.float32),
        "neighbour_distance_max_angstrom": apart.max(axis=1),
        "neighbour_distance_min_angstrom": apart.min(axis=1),
        "rmsd_to_ends_angstrom": rmsd(
            np.repeat(alphas[:, None], 2, axis=1), np.repeat(of_ends[None], len(alphas), axis=0)
        ),
        "valid": verdict.valid,
        **verdict.criteria(),
    }
