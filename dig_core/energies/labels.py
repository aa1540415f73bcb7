"""Labels of crystals by electronic-structure codes: one calculation each, kept by what it is a label of."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from pymatgen.core import Structure

from dig_core.energies import espresso
from dig_core.files import read_json, write_json
from dig_core.runtime import fingerprint

LABELS: dict[str, Callable[[Structure, espresso.PlaneWaves], float]] = {
    "quantum_espresso": espresso.band_gap_eV
}


def by_lot(samples: int, seed: int) -> Int[np.ndarray, " samples"]:
    """The order in which samples are labelled."""
    return np.random.default_rng(seed).permutation(samples)


def label(crystal: Structure, settings: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """The band gap of a crystal by the code that `kind` of the settings names.

    Args:
        cache: folder of what was computed before: the same crystal with the same settings is not computed again.

    Returns:
        `value` in eV, or None where the calculation did not converge; then `why` says so.

    Raises:
        RuntimeError: the code is not installed.
    """
    file = cache / f"{_mark(crystal, settings)}.json"
    if not file.is_file():
        write_json(file, _computed(crystal, settings))
    return read_json(file)


def _computed(crystal: Structure, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {each.name: settings[each.name] for each in fields(espresso.PlaneWaves)}
    try:
        return {"value": LABELS[settings["kind"]](crystal, espresso.PlaneWaves(**own))}
    except ValueError as error:  # noise may leave crystals that no code can do: they are counted
        return {"value": None, "why": str(error)}


def _mark(crystal: Structure, settings: Mapping[str, Any]) -> str:
    numbers = np.round([*crystal.lattice.matrix, *crystal.frac_coords], 6) + 0.0  # no -0.0
    known = {name: value for name, value in settings.items() if name not in ("samples", "seed")}
    return fingerprint(numbers.tobytes(), repr(crystal.atomic_numbers), repr(sorted(known.items())))
