"""Paths between two states of a molecule through the latent space of its model, beside straight ones in Cartesian coordinates.

Ends are training frames, never held-out ones, from the most probable bin of each state.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dig_core.diffusion.interpolation import PATHS, decode_through, decoding_steps, encode
from dig_core.diffusion.processes import mean_free
from dig_core.evaluation import pathways
from dig_core.evaluation.landscape import landscape, torsion_edges
from dig_core.evaluation.statistics import TorsionRegion
from dig_core.evaluation.torsions import torsion_angles
from dig_core.geometry import superposed
from dig_core.runtime import progress
from dig_core.systems.molecule_alignment import aligned, rmsd
from dig_core.systems.molecule_model import FIELD, TrainedModel, trained_model
from dig_core.systems.series import Arrays, Energy

# Each round halves the largest steps: the flow tears states apart, so that next to the barrier shares must lie very close.
ROUNDS = 16
BATCH = 128
# A longer step, in mean ones, is a jump that halving could not resolve.
GAP = 3.0
# An end that comes back farther away is not the one that was given: there the flow magnifies the errors of its steps.
END_ERROR_ANGSTROM = 0.1
Shares = list[Float[np.ndarray, "_"]]  # of each pair, as many as it needs


@dataclass(frozen=True)
class Ends:
    """Pairs of structures to connect (Angstrom), the ends laid over the starts, and their indices in the training frames."""

    start: Float[np.ndarray, "pairs atoms 3"]
    end: Float[np.ndarray, "pairs atoms 3"]
    frames: Int[np.ndarray, "pairs 2"]


def interpolate_states(
    model: TrainedModel,
    molecule: Arrays,
    training: Arrays,
    settings: Mapping[str, Any],
    energy: Energy | None,
) -> dict[str, np.ndarray]:
    """Paths between the two states, as the settings `interpolation` of a study ask, with their `regions` and `bins`.

    Returns:
        For `latent` and `straight` paths: `{kind}_positions_angstrom` [pairs, points, atoms, 3], `{kind}_torsions_rad` [pairs,
        points, 2] (phi, psi) and, where there is an energy function, `{kind}_potential_energy_kJ_per_mol` [pairs, points];
        `latent_shares` [pairs, points], `resolved` [pairs] (no step is longer than GAP mean ones, and both ends came
        back), `endpoint_rmsd_angstrom` [pairs, 2], `frames` [pairs, 2], `chosen`, `state_names` [2], `seconds_interpolate` (CPU). The chosen pair is, of those
        that are resolved, that whose highest energy along the latent path is lowest, without energies that with the shortest
        path.

    Raises:
        ValueError: a molecule without phi and psi, or too few training frames in a state.
    """
    started = time.process_time()
    ends = ends_of(molecule, training, settings)
    shares, latent = latent_paths(model, ends, settings)
    latent = _laid_over_the_start(latent)
    fractions = np.linspace(0.0, 1.0, settings["points"])[None, :, None, None]
    straight = (1.0 - fractions) * ends.start[:, None] + fractions * ends.end[:, None]
    arrays = {
        "latent_shares": shares,
        "frames": ends.frames,
        "state_names": np.array(list(settings["regions"])),
    }
    for kind, positions in (("latent", latent), ("straight", straight)):
        arrays |= {f"{kind}_{name}": values for name, values in _along(positions, molecule, energy).items()}
    given = np.stack([ends.start, ends.end], axis=1)
    arrays["endpoint_rmsd_angstrom"] = rmsd(latent[:, [0, -1]].astype(np.float64), given)
    steps = np.stack([steps_angstrom(path) for path in latent])
    came_back = arrays["endpoint_rmsd_angstrom"].max(axis=1) <= END_ERROR_ANGSTROM
    arrays["resolved"] = came_back & (steps.max(axis=1) <= GAP * steps.mean(axis=1))
    arrays["chosen"] = np.array(_best(arrays))
    return arrays | {"seconds_interpolate": np.array(time.process_time() - started)}


def path_model(
    checkpoint: Mapping[str, Any], molecule: Arrays, settings: Mapping[str, Any], device: str = "cpu"
) -> TrainedModel:
    """The model of a checkpoint for paths: in double precision, its process ended at `largest_noise` where that is stated.

    Next to a barrier the flow magnifies rounding errors without limit; `largest_noise` is in standard deviations of the data.
    Raises ValueError where it is not above the smallest noise.
    """
    model = trained_model(checkpoint, molecule, device, torch.float64)
    if settings["largest_noise"] is None:
        return model
    own = model.process[FIELD]
    noise = torch.tensor(settings["largest_noise"], dtype=torch.float64)
    least = float(own.noise_to_signal(torch.tensor(own.minimal_time, dtype=torch.float64)))
    if float(noise) <= least:
        raise ValueError(
            f"expected interpolation.largest_noise above the smallest noise, {least:.3g}; got {float(noise):.3g}. Raise it"
        )
    end = float(own.time(noise))
    return replace(model, process={FIELD: replace(own, maximal_time=min(end, own.maximal_time))})


def ends_of(molecule: Arrays, training: Arrays, settings: Mapping[str, Any]) -> Ends:
    """Training frames drawn by weight, without replacement, from the most probable bin of each state, paired as they come.

    Raises ValueError for a molecule without phi and psi, and where a state has fewer training frames than pairs are wanted.
    """
    torsions = _torsions(training["positions_angstrom"], molecule)
    generator = np.random.default_rng(settings["seed"])
    drawn = []
    for name, region in settings["regions"].items():
        inside = np.flatnonzero(_region(region).contains(torsions) & (training["weights"] > 0))
        if len(inside) < settings["paths"]:
            raise ValueError(
                f"expected at least {settings['paths']} training frames in the state {name}; got {len(inside)}. "
                "Lower interpolation.paths, choose another state, or write interpolation: null"
            )
        drawn.append(
            inside[_representatives(torsions[inside], training["weights"][inside], settings, generator)]
        )
    start, end = (training["positions_angstrom"][chosen].astype(np.float64) for chosen in drawn)
    laid = [aligned(b, a, molecule) for a, b in zip(start, end, strict=True)]
    return Ends(start, np.stack(laid), np.stack(drawn, axis=1))


def _representatives(
    torsions: np.ndarray, weights: np.ndarray, settings: Mapping[str, Any], generator: np.random.Generator
) -> Int[np.ndarray, "paths"]:
    """Frames of a state in its most probable bin; the temperature does not matter to their order."""
    density = landscape(torsions, torsion_edges(settings["bins"]), 300.0, weights)
    likely = pathways.frames_by_probability(torsions, weights, density, settings["paths"])
    share = weights[likely].astype(np.float64)
    return generator.choice(likely, size=settings["paths"], replace=False, p=share / share.sum())


def latent_paths(
    model: TrainedModel, ends: Ends, settings: Mapping[str, Any]
) -> tuple[Float[np.ndarray, "pairs points"], Float[np.ndarray, "pairs points atoms 3"]]:
    """Structures (Angstrom) along latent paths, `points` about evenly spaced in the structure, and their latent shares.

    Evenly spaced latent states would jump from state to state in one step: the flow spreads them over the states, and what lies
    between two of these is the image of a thin slice. Intervals whose ends differ by more than a step are therefore halved.
    """
    latent = _encoded(model, np.concatenate([ends.start, ends.end]), settings["tolerance"])
    steps = decoding_steps(model.score, model.process, {FIELD: latent}, settings["tolerance"])
    first, last = latent.chunk(2)
    pairs, between = len(first), PATHS[settings["kind"]]

    def decoded(shares: Shares) -> list[np.ndarray]:
        """Of each pair, the structures at these shares of its way."""
        states = [
            between(first[i : i + 1], last[i : i + 1], torch.as_tensor(shares[i]))[:, 0] for i in range(pairs)
        ]
        flat = _decoded(model, torch.cat(states), steps)
        return np.split(flat, np.cumsum([len(own) for own in shares])[:-1])

    points = settings["points"]
    return evenly_spaced(decoded, [np.linspace(0.0, 1.0, points // 2 + 1)] * pairs, points)


def evenly_spaced(
    decoded: Callable[[Shares], Sequence[np.ndarray]], shares: Shares, points: int
) -> tuple[Float[np.ndarray, "pairs points"], Float[np.ndarray, "pairs points atoms 3"]]:
    """So many points of each path, about evenly spaced along its length, and their shares.

    `decoded` gives the structures of shares, for all paths at once; `shares` are those to begin with. Intervals longer than the
    mean one are halved, up to ROUNDS times; of all points those nearest to even spacing remain. Lengths are root mean square
    distances after superposition.
    """
    found = list(decoded(shares))
    for _ in range(ROUNDS):
        middles = [_middles(own, path, points) for own, path in zip(shares, found, strict=True)]
        if not any(map(len, middles)):
            break
        merged = [_merged(*parts) for parts in zip(shares, found, middles, decoded(middles), strict=True)]
        shares, found = [own for own, _ in merged], [path for _, path in merged]
    kept = [_even(path, points) for path in found]
    return (
        np.stack([own[index] for own, index in zip(shares, kept, strict=True)]),
        np.stack([path[index] for path, index in zip(found, kept, strict=True)]),
    )


def _middles(shares: np.ndarray, path: np.ndarray, points: int) -> np.ndarray:
    steps = steps_angstrom(path)
    long = steps > steps.sum() / (points - 1)
    return ((shares[1:] + shares[:-1]) / 2)[long]


def _merged(
    shares: np.ndarray, path: np.ndarray, middles: np.ndarray, between: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    joined = np.concatenate([shares, middles])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([path, between])[order]


def _even(path: np.ndarray, points: int) -> Int[np.ndarray, "points"]:
    """Indices of the points nearest to even spacing; both ends are among them."""
    length = np.concatenate([[0.0], np.cumsum(steps_angstrom(path))])
    goals = np.linspace(0.0, length[-1], points)
    return np.abs(length[None] - goals[:, None]).argmin(axis=1)


def steps_angstrom(path: Float[np.ndarray, "points atoms 3"]) -> Float[np.ndarray, "steps"]:
    """Root mean square distance of neighbouring structures after superposition."""
    return rmsd(path[1:].astype(np.float64), path[:-1].astype(np.float64))


def _encoded(model: TrainedModel, positions: np.ndarray, tolerance: float) -> Float[Tensor, "ends atoms 3"]:
    state = mean_free(torch.as_tensor(positions / model.scale_angstrom, dtype=torch.float64)).to(model.device)
    return encode(model.score, model.process, {FIELD: state}, tolerance)[FIELD]


def _decoded(
    model: TrainedModel, latent: Float[Tensor, "states atoms 3"], steps: tuple[float, ...]
) -> Float[np.ndarray, "states atoms 3"]:
    parts = latent.split(BATCH)
    states = [
        decode_through(model.score, model.process, {FIELD: part}, steps)[FIELD].cpu()
        for part in progress(parts, f"latent paths: batches of {BATCH} structures", len(parts))
    ]
    return model.positions_angstrom({FIELD: torch.cat(states)})


def _laid_over_the_start(paths: np.ndarray) -> np.ndarray:
    """Paths without rotation, for viewers."""
    positions = torch.as_tensor(paths).double()
    return superposed(positions, positions[:, :1].expand_as(positions)).numpy().astype(np.float32)


def _along(positions: np.ndarray, molecule: Arrays, energy: Energy | None) -> dict[str, np.ndarray]:
    """Positions, torsions and energies of paths [pairs, points, atoms, 3]; the given ends may be of double precision."""
    flat = positions.reshape(-1, *positions.shape[2:]).astype(np.float32)
    arrays = {"positions_angstrom": flat, "torsions_rad": _torsions(flat, molecule)}
    if energy is not None:
        arrays["potential_energy_kJ_per_mol"] = energy(flat)[0]
    return {name: values.reshape(*positions.shape[:2], *values.shape[1:]) for name, values in arrays.items()}


def _best(arrays: Arrays) -> int:
    """The resolved pair (of all, where none is) whose highest energy along the latent path is lowest; without energies that with
    the shortest path.
    """
    if "latent_potential_energy_kJ_per_mol" in arrays:
        height = arrays["latent_potential_energy_kJ_per_mol"].max(axis=1)
    else:
        height = np.array([steps_angstrom(path).sum() for path in arrays["latent_positions_angstrom"]])
    resolved = arrays["resolved"]
    return int(np.where(resolved, height, np.inf).argmin() if resolved.any() else height.argmin())


def _torsions(positions: np.ndarray, molecule: Arrays) -> Float[np.ndarray, "frames 2"]:
    atoms = molecule["backbone_torsions"].reshape(-1, 4)[:2]
    if len(atoms) == 0:
        raise ValueError(
            "expected a molecule with phi and psi, by which states are told apart; got one without. Write interpolation: null"
        )
    return torsion_angles(positions, atoms)


def _region(angles: Mapping[str, Sequence[float]]) -> TorsionRegion:
    return TorsionRegion(tuple(angles["phi_deg"]), tuple(angles["psi_deg"]))
