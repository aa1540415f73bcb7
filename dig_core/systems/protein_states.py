"""What the samples of a protein with known structures are worth: how near each of them they come, beside crystal + noise.

Distances are those of C-alpha atoms after superposition, of structures as rigid residues hold them. The baseline is the first structure
with noise in positions and orientations: all that can be had without a model, and it has only one of the states.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from dig_core.backbone import backbone, frames_of
from dig_core.data.proteins import backbone_mask
from dig_core.evaluation import statistics
from dig_core.evaluation.proteins import ca_rmsd, radius_of_gyration_angstrom, reached, tm_score
from dig_core.geometry import superposed
from dig_core.rotations import exponential
from dig_core.settings.protein_evaluation import CrystalNoise, KnownStates
from dig_core.systems.metrics import share_with_interval, suffixed
from dig_core.systems.protein import physical_filter
from dig_core.systems.protein_evaluation import validity_shares
from dig_core.systems.series import Arrays
from dig_core.systems.yardstick import Scores

BASELINE = "baseline_crystal_noise"
Alphas = Float[np.ndarray, "frames residues 3"]
Distances = Float[np.ndarray, "states frames"]


@dataclass(frozen=True)
class Compared:
    """Metrics by key, and the arrays of the figure; see results/README.md."""

    metrics: Scores
    arrays: dict[str, np.ndarray]


def evaluate(protein: Arrays, samples: Arrays, settings: KnownStates, trained: bool) -> Compared:
    """Compare samples, and as many structures of the baseline, with the known structures of the descriptor `protein`.

    Args:
        samples: `positions_angstrom` [samples, atoms, 3].
        trained: whether the network was trained on these structures; the figure says so.
    """
    drawn = samples["positions_angstrom"]
    noisy = crystal_with_noise(protein, settings.crystal_noise, len(drawn))
    distances = {"samples": state_rmsd(drawn, protein), "baseline": state_rmsd(noisy, protein)}
    own = ensemble_metrics(drawn, protein, distances["samples"], settings)
    baseline = ensemble_metrics(noisy, protein, distances["baseline"], settings)
    metrics = {"samples": len(drawn), **own, **suffixed(baseline, BASELINE), **known_metrics(protein)}
    arrays = figure_arrays(protein, drawn, distances["samples"])
    arrays |= {f"{name}.rmsd_angstrom": values.astype(np.float32) for name, values in distances.items()}
    arrays |= {"within_angstrom": np.array(settings.within_angstrom), "trained": np.array(trained)}
    defined = {key: value for key, value in metrics.items() if np.isfinite(value)}
    return Compared(defined, arrays)


def crystal_with_noise(
    protein: Arrays, noise: CrystalNoise, count: int
) -> Float[np.ndarray, "frames atoms 3"]:
    """The first known structure, `count` times, with normal noise in the positions and turns of its residues; Angstrom, float32."""
    atoms = torch.as_tensor(protein["state_positions_angstrom"][0], dtype=torch.float32)
    first = torch.as_tensor(protein["first_atom_of_residue"])
    nitrogen, alpha, carbon = (atoms[first + k] for k in range(3))
    generator = torch.Generator().manual_seed(noise.seed)
    moves, turns = torch.randn(2, count, len(alpha), 3, generator=generator)
    rotations = frames_of(nitrogen, alpha, carbon) @ exponential(np.radians(noise.rotations_deg) * turns)
    placed = backbone(alpha + noise.positions_angstrom * moves, rotations)
    return placed[:, torch.as_tensor(backbone_mask(str(protein["sequence"])))].numpy()


def state_rmsd(positions: Float[np.ndarray, "frames atoms 3"], protein: Arrays) -> Distances:
    """Distance of every structure from every state in Angstrom; NaN where it is not finite."""
    alphas = alphas_of(positions, protein)
    alphas[~np.isfinite(positions).all(axis=(1, 2))] = np.nan
    return np.stack([ca_rmsd(alphas, known) for known in known_alphas(protein).values()])


def ensemble_metrics(
    positions: Float[np.ndarray, "frames atoms 3"],
    protein: Arrays,
    rmsd_angstrom: Distances,
    settings: KnownStates,
) -> Scores:
    """How well structures reach each state, which of them pass the physical filter, and how compact they are."""
    alphas, values = alphas_of(positions, protein), {}
    nearest = nearest_states(rmsd_angstrom)
    for number, (name, known) in enumerate(known_alphas(protein).items()):
        own = rmsd_angstrom[number]
        values |= reached_metrics(name, own, settings.within_angstrom)
        values |= share_with_interval(f"nearest_{name}_fraction", nearest == number)
        if (nearest == number).any():
            values[f"tm_score_{name}"] = float(tm_score(alphas[nearest == number], known).mean())
    values |= validity_shares(physical_filter(positions, protein))
    gyration = radius_of_gyration_angstrom(alphas[nearest >= 0])
    return values | {"radius_of_gyration_angstrom": float(gyration.mean()) if len(gyration) else np.nan}


def reached_metrics(
    state: str, rmsd_angstrom: Float[np.ndarray, " frames"], within_angstrom: float
) -> Scores:
    """Best distance from a state, share of structures within the threshold with its interval, and how many are needed for one of them."""
    found = reached(rmsd_angstrom, within_angstrom)
    low, high = statistics.wilson_interval(int((rmsd_angstrom <= within_angstrom).sum()), len(rmsd_angstrom))
    share = f"within_{within_angstrom:g}_angstrom_{state}_fraction"
    return {
        f"best_rmsd_{state}_angstrom": found.best_rmsd_angstrom,
        share: found.within_fraction,
        f"{share}_ci_low": low,
        f"{share}_ci_high": high,
        f"expected_samples_{state}": found.expected_samples,
    }


def known_metrics(protein: Arrays) -> Scores:
    """Of the known structures themselves: how far apart they are, how compact each is, and which share passes the physical filter."""
    known = known_alphas(protein)
    values: Scores = {
        f"radius_of_gyration_angstrom_{name}": float(radius_of_gyration_angstrom(own[None])[0])
        for name, own in known.items()
    }
    (first, start), *others = known.items()
    for name, own in others:
        values[f"rmsd_{first}_{name}_angstrom"] = float(ca_rmsd(own[None], start)[0])
    verdict = physical_filter(protein["state_positions_angstrom"], protein)
    return values | {"valid_fraction_reference": float(verdict.valid.mean())}


def figure_arrays(
    protein: Arrays, positions: Float[np.ndarray, "frames atoms 3"], rmsd_angstrom: Distances
) -> dict[str, np.ndarray]:
    """C-alpha atoms of the states, laid over the first, and of the sample nearest each, laid over its state."""
    names, states = zip(*known_alphas(protein).items(), strict=True)
    laid = np.stack([_laid_over(own, states[0]) for own in states])
    nearest = np.nanargmin(rmsd_angstrom, axis=1)
    alphas = alphas_of(positions[nearest], protein)
    over = np.stack([_laid_over(own, state) for own, state in zip(alphas, laid, strict=True)])
    return {
        "state_names": np.array(names),
        "state_alphas_angstrom": laid.astype(np.float32),
        "nearest_sample": nearest,
        "nearest_alphas_angstrom": over.astype(np.float32),
        **{name: protein[name] for name in ("residue_indices", "chain_indices")},
    }


def nearest_states(rmsd_angstrom: Distances) -> Int[np.ndarray, " frames"]:
    """Number of the state that each structure is nearest to; -1 where it is not finite."""
    finite = np.isfinite(rmsd_angstrom).all(axis=0)
    return np.where(finite, np.where(finite, rmsd_angstrom, 0.0).argmin(axis=0), -1)


def known_alphas(protein: Arrays) -> Mapping[str, Float[np.ndarray, "residues 3"]]:
    """C-alpha atoms of the known structures by name (Angstrom)."""
    alphas = alphas_of(protein["state_positions_angstrom"], protein)
    return {str(name): own for name, own in zip(protein["state_names"], alphas, strict=True)}


def alphas_of(positions: Float[np.ndarray, "frames atoms 3"], protein: Arrays) -> Alphas:
    """C-alpha atoms of backbones."""
    return positions[:, protein["first_atom_of_residue"] + 1].astype(np.float64)


def _laid_over(mobile: np.ndarray, state: np.ndarray) -> Float[np.ndarray, "residues 3"]:
    return superposed(torch.as_tensor(mobile), torch.as_tensor(state)).numpy()
