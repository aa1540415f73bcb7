"""What paths between two states are worth: where they run on the landscape, and which energies they pass.

Every number of the latent paths stands beside that of the straight ones (`_baseline_straight`), and that of all pairs beside that
of the chosen one (`chosen_path_...`), which is chosen without the landscape.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from dig_core.evaluation import pathways
from dig_core.evaluation.landscape import Landscape
from dig_core.evaluation.statistics import weighted_quantile
from dig_core.systems.metrics import Evaluated
from dig_core.systems.yardstick import Scores, Study

# A bin is low for a path up to so far above the saddle, an energy so far above the 99.9th percentile of dynamics.
ABOVE_SADDLE_KCAL_PER_MOL = 2.0
ABOVE_P999_KJ_PER_MOL = 40.0
SERIES = {"latent": "", "straight": "_baseline_straight"}


def path_metrics(paths: Mapping[str, np.ndarray], evaluated: Evaluated, study: Study) -> Scores:
    """Metrics of the paths of `molecule_path.interpolate_states`, those that are finite.

    The landscape is the tight reference where there is one, otherwise the held-out replica; numbers of it are left out where
    it is not that of phi and psi.
    """
    values: Scores = {
        "path_pairs": len(paths["latent_shares"]),
        "path_endpoint_rmsd_angstrom": float(paths["endpoint_rmsd_angstrom"].max()),
        "chosen_path_endpoint_rmsd_angstrom": float(paths["endpoint_rmsd_angstrom"][paths["chosen"]].max()),
        "path_resolved_fraction": float(paths["resolved"].mean()),
        "seconds_interpolate": float(paths["seconds_interpolate"]),
    }
    if evaluated.coordinates.is_torsion_plane:
        name = "tight_reference" if "tight_reference" in evaluated.landscapes else "reference"
        values |= landscape_metrics(paths, evaluated.landscapes[name], study, name)
    if evaluated.series["reference"].energies is not None and "latent_potential_energy_kJ_per_mol" in paths:
        values |= energy_metrics(paths, evaluated)
    return {key: value for key, value in values.items() if np.isfinite(value)}


def landscape_metrics(
    paths: Mapping[str, np.ndarray], landscape: Landscape, study: Study, name: str
) -> Scores:
    """The saddle between the states, the share of each path in bins up to 2 kcal/mol above it, and the highest bin."""
    saddle = pathways.barrier(landscape, *(study.regions[str(state)] for state in paths["state_names"]))
    values: Scores = {f"saddle_kcal_per_mol_{name}": saddle}
    for series, suffix in SERIES.items():
        energy = pathways.free_energy_along(paths[f"{series}_torsions_rad"], landscape)
        low = (energy <= saddle + ABOVE_SADDLE_KCAL_PER_MOL).mean(axis=1)
        values |= _of_pairs(f"in_low_bins_fraction{suffix}", low, paths)
        values |= _of_pairs(f"highest_free_energy_kcal_per_mol{suffix}", energy.max(axis=1), paths)
    return values


def energy_metrics(paths: Mapping[str, np.ndarray], evaluated: Evaluated) -> Scores:
    """The highest energy on any path, and the share of their structures that lie at most 40 kJ/mol above dynamics."""
    reference = evaluated.series["reference"]
    limit = weighted_quantile(reference.energies, 0.999, reference.weights) + ABOVE_P999_KJ_PER_MOL
    values: Scores = {"path_energy_limit_kJ_per_mol": limit}
    for series, suffix in SERIES.items():
        energies = paths[f"{series}_potential_energy_kJ_per_mol"]
        values[f"path_energy_max_kJ_per_mol{suffix}"] = float(energies.max())
        values[f"chosen_path_energy_max_kJ_per_mol{suffix}"] = float(energies[paths["chosen"]].max())
        values |= _of_pairs(f"energy_below_limit_fraction{suffix}", (energies <= limit).mean(axis=1), paths)
    return values


def _of_pairs(key: str, values: Float[np.ndarray, "pairs"], paths: Mapping[str, np.ndarray]) -> Scores:
    """Mean over the pairs with its standard error, and the value of the chosen one."""
    count = len(values)
    error = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    mean = {f"path_{key}": float(values.mean()), f"path_{key}_standard_error": error}
    return mean | {f"chosen_path_{key}": float(values[paths["chosen"]])}
