"""Some of the frames of a molecule: for studies of what little data can do."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dig_core.evaluation.statistics import TorsionRegion
from dig_core.evaluation.torsions import torsion_angles

Arrays = Mapping[str, np.ndarray]


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
