"""How far drawn crystals are from rest: some of them, by lot, relaxed with an interatomic potential."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymatgen.core import Structure

from dig_core.crystals import Crystals, crystals_of
from dig_core.energies.crystal_relaxation import Relaxed, relaxed
from dig_core.energies.labels import by_lot
from dig_core.evaluation.matching import matcher, matches
from dig_core.evaluation.phases import phase_shares
from dig_core.runtime import progress
from dig_core.systems.carbon_evaluation import known_crystals

Arrays = Mapping[str, np.ndarray]


def relaxed_samples(samples: Arrays, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The first `samples` by lot, relaxed.

    Args:
        samples: arrays of drawn crystals.
        settings: those of `energies.crystal_relaxation.relaxed`, with `samples` and `seed`.

    Returns:
        The arrays of `Crystals`, `samples` [crystals] (which of the drawn ones they were), `enthalpy_eV_per_atom`, `released_eV_per_atom`
        and `at_rest` [crystals].
    """
    structures = crystals_of(samples).structures()
    chosen = by_lot(len(structures), settings["seed"])[: settings["samples"]]
    found: list[Relaxed] = [
        relaxed(structures[k], settings) for k in progress(chosen.tolist(), "crystals relaxed")
    ]
    names = ("enthalpy_eV_per_atom", "released_eV_per_atom", "at_rest")
    values = {name: np.array([getattr(own, name) for own in found]) for name in names}
    return vars(Crystals.of([own.crystal for own in found])) | {"samples": chosen} | values


def relaxed_metrics(
    found: Arrays,
    crystals: Arrays,
    atoms: Mapping[str, int],
    within_angstrom: float,
    phases: Sequence[Structure] = (),
) -> dict[str, float | int]:
    """Of `relaxed_samples`: how many came to rest, how much enthalpy that set free, how far they are above the lowest of them, and how many match a known crystal and the named `phases`."""
    known = known_crystals(crystals, atoms, within_angstrom)
    structures = crystals_of(found).structures()
    matched = matches(structures, known.references, matcher())
    enthalpies = found["enthalpy_eV_per_atom"]
    metrics = {
        "relaxed_samples": len(enthalpies),
        "relaxed_at_rest_fraction": float(found["at_rest"].mean()),
        "enthalpy_released_median_eV_per_atom": float(np.median(found["released_eV_per_atom"])),
        "enthalpy_above_lowest_median_eV_per_atom": float(np.median(enthalpies - enthalpies.min())),
        "match_rate_relaxed": float(matched.found.mean()),
    }
    if matched.found.any():
        metrics["match_rms_relaxed"] = float(np.nanmean(matched.rms))
    return metrics | phase_shares(structures, phases, "_relaxed")
