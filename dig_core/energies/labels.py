"""Labels of crystals by electronic-structure codes: one calculation each, kept by what it is a label of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pymatgen.core import Structure

from dig_core.crystals import primitive
from dig_core.energies import espresso, gpaw
from dig_core.energies.band_gaps import PlaneWaves
from dig_core.files import read_json, write_json
from dig_core.runtime import fingerprint, progress

LABELS: dict[str, Callable[[Structure, PlaneWaves], float]] = {
    "quantum_espresso": espresso.band_gap_eV,
    "gpaw": gpaw.band_gap_eV,
}


def by_lot(samples: int, seed: int) -> Int[np.ndarray, " samples"]:
    """The order in which samples are labelled."""
    return np.random.default_rng(seed).permutation(samples)


def labelled_prototypes(
    crystals: Sequence[Structure],
    prototypes: Int[np.ndarray, " crystals"],
    settings: Mapping[str, Any],
    part: tuple[int, int],
    cache: Path,
) -> dict[str, list[Any]]:
    """Labels of the first crystals of prototypes, in their primitive cells; settings, cache and errors as for `label`.

    Args:
        prototypes: the number of each crystal's.
        part: which of so many parts these are, from 0.

    Returns:
        `prototypes`, and `values` in eV, with None where a calculation did not converge.
    """
    number, parts = part
    numbers, first = np.unique(prototypes, return_index=True)
    own = progress(first[number::parts].tolist(), "prototypes labelled")
    cells = (primitive(crystals[place]) or crystals[place] for place in own)
    values = [label(cell, settings, cache)["value"] for cell in cells]
    return {"prototypes": numbers[number::parts].tolist(), "values": values}


def labels_of_crystals(
    prototypes: Int[np.ndarray, " crystals"], parts: Sequence[Mapping[str, Sequence[Any]]]
) -> Float[np.ndarray, " crystals"]:
    """Of every crystal the label of its prototype in eV, from all parts of `labelled_prototypes`; NaN where it has none."""
    values = {p: v for own in parts for p, v in zip(own["prototypes"], own["values"], strict=True)}
    return np.array([values[p] for p in prototypes.tolist()], dtype=float)


def label(crystal: Structure, settings: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """The band gap of a crystal by the code that `kind` of the settings names.

    Args:
        settings: `kind` and those of the calculation, nothing else: they mark what is kept.
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
    own = {each.name: settings[each.name] for each in fields(PlaneWaves)}
    try:
        return {"value": LABELS[settings["kind"]](crystal, PlaneWaves(**own))}
    except ValueError as error:  # noise may leave crystals that no code can do: they are counted
        return {"value": None, "why": str(error)}


def _mark(crystal: Structure, settings: Mapping[str, Any]) -> str:
    numbers = np.round([*crystal.lattice.matrix, *crystal.frac_coords], 6) + 0.0  # no -0.0
    return fingerprint(numbers.tobytes(), repr(crystal.atomic_numbers), repr(sorted(settings.items())))
