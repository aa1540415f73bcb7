"""How far drawn crystals are from rest: some of them, by lot, relaxed with an interatomic potential."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from dig_core.crystals import Crystals, crystals_of
from dig_core.energies.crystal_relaxation import Relaxed, relaxed
from dig_core.energies.labels import by_lot
from dig_core.evaluation.matching import matcher, matches
from dig_core.evaluation.phases import phase_shares
from dig_core.runtime import progress
from dig_core.systems.carbon_evaluation import known_crystals

ENTHALPY, LABELLED = "enthalpy_eV_per_atom", "band_gap_eV"
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


def tabulated(found: Mapping[str, Arrays], labels: Sequence[float | None]) -> pd.DataFrame:
    """The crystals at rest of all targets, lowest first: `name` (of the target, and which sample it was), enthalpy in eV per atom and `cif`.

    Args:
        found: of each target what `relaxed_samples` gives.
        labels: band gaps of as many of each target, from the first, one target after another, as `band_gap_eV`; those that have none are
            left out. Empty: no such column, and none is left out.
    """
    if not found:
        raise ValueError(
            "expected targets whose samples are relaxed; got none. Write `relaxation:`, and `examined: true` for a target"
        )
    count, tables = len(labels) // len(found), []
    for number, (target, own) in enumerate(found.items()):
        gaps = list(labels[number * count : (number + 1) * count])
        rows = {
            "name": [f"{target}_{sample}" for sample in own["samples"]],
            ENTHALPY: own["enthalpy_eV_per_atom"],
            LABELLED: gaps + [None] * (len(own["samples"]) - count),
            "cif": [
                str(CifWriter(crystal, significant_figures=6)) for crystal in crystals_of(own).structures()
            ],
        }
        tables.append(pd.DataFrame(rows)[own["at_rest"]])
    table = pd.concat(tables).sort_values(ENTHALPY, kind="stable", ignore_index=True)
    return table.dropna(subset=LABELLED) if labels else table.drop(columns=LABELLED)


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
