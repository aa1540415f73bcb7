"""Simulated replicas of proteins that come with the project: taken where they were made with just the settings that a study asks for."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from dig_core.settings.protein import ProteinStudy

BUNDLED = Path(__file__).parents[1] / "data" / "bundled"
# Settings of a target that its dynamics does not follow from.
NOT_SIMULATED = {"held_out", "embeddings", "transition"}


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
    is_there = file.is_file() and file.with_suffix(".json").is_file()
    return file if is_there and _made_with(file) == simulation_settings(study, target, replica) else None


def bundled_share(study: ProteinStudy) -> tuple[int, int]:
    """How many replicas come with the project, and how many there are in all."""
    replicas = [(target, str(k)) for target in study.targets for k in range(1, study.data.replicas + 1)]
    return sum(bundled_replica(study, *own) is not None for own in replicas), len(replicas)


@cache
def _made_with(file: Path) -> dict[str, Any]:
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
