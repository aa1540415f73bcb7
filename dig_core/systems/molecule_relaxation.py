"""Samples of a molecule after a short run of dynamics with the true forces."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm.app as app

from dig_core.energies.openmm import force_field, molecular_system
from dig_core.energies.relaxation import Relaxation, Relaxed, relax
from dig_core.evaluation.validity import Validity
from dig_core.systems.molecule import physical_filter

OF_THE_SYSTEM = ("force_field", "hydrogen_mass_amu")


def relax_samples(
    topology_file: str | Path,
    molecule: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    settings: Mapping[str, Any] | None,
) -> dict[str, np.ndarray]:
    """Relax every sample; one that blows up, or ends hot, keeps its positions.

    Args:
        settings: `sampler.relaxation` of a study, with its temperature, `force_field` and `platform`.

    Returns:
        `positions_angstrom` [samples, atoms, 3], `valid` [samples] (physical filter), `relaxed` [samples] (false: kept its
        positions), `potential_energy_kJ_per_mol` and `unrelaxed_energy_kJ_per_mol` [samples], `seconds_relax` (CPU),
        `energy_calls`, `force_calls`.

    Raises:
        ValueError: the study has no `sampler.relaxation`.
    """
    if settings is None:
        raise ValueError(
            "expected sampler.relaxation in the study; got null. Add it, or do not ask for relaxed.npz"
        )
    started = time.process_time()
    system = molecular_system(
        app.PDBFile(str(topology_file)).topology,
        force_field(tuple(settings["force_field"])),
        settings["hydrogen_mass_amu"],
    )
    protocol = Relaxation(**{key: value for key, value in settings.items() if key not in OF_THE_SYSTEM})
    found = relax(system, samples["positions_angstrom"], protocol)
    positions = found.positions.astype(np.float32)
    verdict, seconds = physical_filter(positions, molecule), time.process_time() - started
    print(_told(found, verdict, seconds), flush=True)
    return {
        "positions_angstrom": positions,
        "valid": verdict.valid,
        "relaxed": found.relaxed,
        "potential_energy_kJ_per_mol": found.energies,
        "unrelaxed_energy_kJ_per_mol": found.energies_before,
        "seconds_relax": np.array(seconds),
        "energy_calls": np.array(found.energy_calls),
        "force_calls": np.array(found.force_calls),
    }


def _told(found: Relaxed, verdict: Validity, seconds: float) -> str:
    kept = int((~found.relaxed).sum())
    before, after = np.median(found.energies_before), np.median(found.energies)
    return (
        f"of {len(found.relaxed)} structures {kept} could not be relaxed and kept their positions; median energy {before:.1f} ->"
        f" {after:.1f} kJ/mol; valid {int(verdict.valid.sum())}; {found.force_calls} forces; {seconds:.0f} CPU seconds"
    )
