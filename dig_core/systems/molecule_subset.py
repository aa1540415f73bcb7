"""Some of the frames of a molecule, and frames joined by what they are worth: for studies of what little data can do."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dig_core.evaluation.statistics import TorsionRegion, kish_effective_size
from dig_core.evaluation.torsions import torsion_angles

Arrays = Mapping[str, np.ndarray]
PER_FRAME = ("positions_angstrom", "forces_kJ_per_mol_angstrom")


def subset(frames: Arrays, molecule: Arrays, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Frames in a region of the torsion plane, drawn by weight without replacement, in the order of time; they weigh the same.

    Args:
        settings: `data.subset` of a study: `frames`, `region`, `seed`.

    Raises:
        ValueError: a molecule without phi and psi, or fewer frames in the region.
    """
    if len(molecule["backbone_torsions"]) == 0:
        raise ValueError(
            "expected a backbone with phi and psi for data.subset; got a molecule without. Write `subset: null`"
        )
    torsions = torsion_angles(frames["positions_angstrom"], molecule["backbone_torsions"][0])
    region = TorsionRegion(*(tuple(settings["region"][key]) for key in ("phi_deg", "psi_deg")))
    weights = frames["weights"] * region.contains(torsions)
    if (weights > 0).sum() < settings["frames"]:
        raise ValueError(
            f"expected {settings['frames']} frames in data.subset.region; got {(weights > 0).sum()}. Ask for fewer"
        )
    generator = np.random.default_rng(settings["seed"])
    chosen = generator.choice(len(weights), settings["frames"], replace=False, p=weights / weights.sum())
    count, equal = len(weights), np.full(settings["frames"], 1.0 / settings["frames"])
    return {name: x[np.sort(chosen)] if np.shape(x)[:1] == (count,) else x for name, x in frames.items()} | {
        "weights": equal
    }


def joined(first: Arrays, second: Arrays) -> dict[str, np.ndarray]:
    """Positions, weights and, where both have them, forces; each set with a share in proportion to its effective size (Kish)."""
    sizes = [kish_effective_size(frames["weights"]) for frames in (first, second)]
    weights = [
        frames["weights"] / frames["weights"].sum() * size / sum(sizes)
        for frames, size in zip((first, second), sizes, strict=True)
    ]
    names = [name for name in PER_FRAME if name in first and name in second]
    both = {name: np.concatenate([first[name], second[name]]) for name in names}
    return both | {"weights": np.concatenate(weights)}


def with_kept(dataset: Arrays, kept: Mapping[str, Arrays]) -> dict[str, np.ndarray]:
    """A dataset, `{target}.{array}`, whose targets are joined with the structures that are kept from the pre-training."""
    changed = {}
    for target, structures in kept.items():
        names = [name for name in (*PER_FRAME, "weights") if f"{target}.{name}" in dataset]
        own = {name: dataset[f"{target}.{name}"] for name in names}
        changed |= {f"{target}.{name}": x for name, x in joined(own, structures).items()}
    return {**dataset, **changed}
