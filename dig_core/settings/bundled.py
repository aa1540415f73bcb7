"""Simulated replicas of proteins, and energies over surfaces, that come with the project: taken where they were made with just the settings that a study asks for."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.protein import ProteinStudy

BUNDLED = Path(__file__).parents[1] / "data" / "bundled"
# Settings of a target that its dynamics does not follow from.
NOT_SIMULATED = {"held_out", "embeddings", "transition"}
# Settings of energies over surfaces that these do not follow from.
NOT_MAPPED = {"structures", "seed", "bundled"}


def simulation_settings(study: ProteinStudy, target: str, replica: str) -> dict[str, Any]:
    """What a replica ('1', '2', ...) of a target follows from, as plain values."""
    return {
        "target": study.targets[target].model_dump(mode="json", exclude=NOT_SIMULATED),
        "data": study.data.dynamics(replica).model_dump(mode="json"),
        "temperature_K": study.temperature_K,
    }


def bundled_replica(study: ProteinStudy, target: str, replica: str) -> Path | None:
    """The file of a replica in the folder that the study names; None where there is none of these settings.

    A target that is a file (`pdb`, `fasta`) is told by its name, not by what is in it.
    """
    if not study.data.bundled:
        return None
    file = BUNDLED / study.data.bundled / f"{target}_{replica}.npz"
    return file if _is_made_with(file, simulation_settings(study, target, replica)) else None


def bundled_share(study: ProteinStudy | AdsorptionStudy) -> tuple[int, int]:
    """How many replicas, or surfaces, come with the project, and how many there are in all."""
    if isinstance(study, AdsorptionStudy):
        return sum(bundled_surface(study, own) is not None for own in study.targets), len(study.targets)
    replicas = [(target, str(k)) for target in study.targets for k in range(1, study.data.replicas + 1)]
    return sum(bundled_replica(study, *own) is not None for own in replicas), len(replicas)


def surface_settings(study: AdsorptionStudy, target: str) -> dict[str, Any]:
    """What the slab of a target and its map of energies follow from, as plain values."""
    return {
        "target": study.targets[target].model_dump(mode="json", exclude=NOT_SIMULATED),
        "data": study.data.model_dump(mode="json", exclude=NOT_MAPPED),
    }


def bundled_surface(study: AdsorptionStudy, target: str) -> Path | None:
    """The file of a target's slab and energies in the folder that the study names; None where there is none of these settings.

    None too for a slab from a file, which may change under its name.
    """
    if not study.data.bundled or study.targets[target].slab:
        return None
    file = BUNDLED / study.data.bundled / f"{target}.npz"
    wanted = surface_settings(study, target)
    # In order: elements are put on the sites of a crystal in the order in which they are named.
    return (
        file if _is_made_with(file, wanted) and json.dumps(_made_with(file)) == json.dumps(wanted) else None
    )


def _is_made_with(file: Path, settings: dict[str, Any]) -> bool:
    is_there = file.is_file() and file.with_suffix(".json").is_file()
    return is_there and _made_with(file) == settings


@cache
def _made_with(file: Path) -> dict[str, Any]:
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
