"""Drawn adsorbates beside the sites of the energy map: metrics of one target, and what its figure shows.

Every number stands beside that of structures drawn from the map itself (noise floor), and at the mean height of the sites that of atoms which are
put anywhere in the cell (random placement) or on one of the tops, bridges and hollows that geometry alone tells (heuristic sites). Where a molecule
is, is where its binding atom is.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from dig_core.data.adsorbates import heuristic_sites
from dig_core.data.energy_maps import FINER, EnergyMap
from dig_core.evaluation.adsorbed_molecules import molecule_metrics, standing
from dig_core.evaluation.site_coverage import (
    BURIED_BELOW,
    DESORBED_ABOVE,
    anomalies,
    random_placement,
    site_coverage,
    site_coverage_relaxed,
    site_precision,
    site_rmsd_angstrom,
)
from dig_core.evaluation.sites import Sites, basins, minima, populations, site_type, visited
from dig_core.systems.adsorption_model import slab_of

Arrays = Mapping[str, np.ndarray]
Metrics = dict[str, float | int]
SAMPLES, FLOOR = "", "_noise_floor"
RANDOM, HEURISTIC = "_baseline_random_placement", "_baseline_heuristic_sites"
AROUND_ANGSTROM = 0.1  # of the mean height of the sites, of atoms that are put anywhere


class Reference(NamedTuple):
    """What the map of energies says of a surface: its sites, the site of every point, and the shares of all sites."""

    found: EnergyMap
    sites: Sites
    basins: Int[np.ndarray, "first second"]
    shares: Float[np.ndarray, " sites"]

    @classmethod
    def of(cls, found: EnergyMap, settings: Mapping[str, Any]) -> "Reference":
        """Of a map with points near enough to find its minima."""
        cell = found.cell_angstrom
        sites = minima(found.energies_eV, found.heights_angstrom, cell, settings["window_eV"])
        where = basins(found.energies_eV, sites.positions_angstrom, cell)
        shares = populations(found.log_weights(settings["kT_eV"]), where, len(sites.energies_eV))
        return cls(found, sites, where, shares)


def evaluate(
    samples: Arrays,
    arrays: Arrays,
    energies: Arrays,
    settings: Mapping[str, Any],
    density: Arrays | None = None,
) -> tuple[Metrics, dict[str, np.ndarray]]:
    """Metrics (one level, units in the keys), and arrays for the figure.

    Args:
        samples: `positions_angstrom` [samples, atoms, 3].
        arrays, energies: of the target and of its map.
        settings: `evaluation` of the study, and `kT_eV`.
        density: what `adsorption_density.density_map` has found at the points of the map of energies.
    """
    kT_eV = settings["kT_eV"]
    reference = Reference.of(EnergyMap.of(energies).finer(FINER), settings)
    series = _series(samples, arrays, reference, settings)
    metrics: Metrics = {
        "samples": len(samples["positions_angstrom"]),
        "sites": len(reference.sites.energies_eV),
    }
    for ending, positions in series.items():
        own = _numbers(positions, reference, settings)
        metrics |= {f"{name}{ending}": float(value) for name, value in own.items()}
    shown = _shown(series[SAMPLES], arrays, reference)
    if density is not None:
        metrics |= _likely(density, energies, settings["window_eV"])
        shown["density.minus_kT_log_p_eV"] = -kT_eV * (
            density["log_density_nats"] - density["log_density_nats"].max()
        )
    return metrics, shown


def _numbers(
    atoms: Float[np.ndarray, "samples atoms 3"], reference: Reference, settings: Mapping[str, Any]
) -> Metrics:
    """Of one series; heights are those above the uppermost atom of the slab."""
    found, sites, cell = reference.found, reference.sites, reference.found.cell_angstrom
    positions = atoms[:, 0]
    visits = visited(positions, reference.basins, cell)
    own = _compared(positions, sites, cell, settings) | anomalies(positions[:, 2], 0.0)
    own |= _occupied(visits, sites, reference.shares)
    bound = (positions[:, 2] > BURIED_BELOW) & (positions[:, 2] < DESORBED_ABOVE)
    if atoms.shape[1] > 1:
        bonds = found.bonds_angstrom(positions[:, :2])
        own |= molecule_metrics(atoms, bonds, cell)
        bound &= standing(atoms, bonds, cell)
    return own | _relaxed(np.where(bound, visits, -1), sites, settings)


def _shown(
    drawn: Float[np.ndarray, "samples atoms 3"], arrays: Arrays, reference: Reference
) -> dict[str, np.ndarray]:
    """Arrays for the figures: the map, the sites, and the samples."""
    found, sites, cell = reference.found, reference.sites, reference.found.cell_angstrom
    visits = visited(drawn[:, 0], reference.basins, cell)
    return {f"map.{name}": values for name, values in vars(found).items()} | {
        "sites.positions_angstrom": sites.positions_angstrom,
        "sites.energies_eV": sites.energies_eV,
        "sites.populations": reference.shares,
        "sites.sampled": _shares(visits, len(reference.shares))[1:],
        "sites.types": np.array(_types(sites, arrays, cell)),
        "samples.positions_angstrom": drawn,
        "samples.sites": visits,
    }


def _likely(density: Arrays, energies: Arrays, window_eV: float) -> Metrics:
    """Whether the density is largest where the energy is lowest, over the points of the map."""
    logs, energy = density["log_density_nats"], energies["energies_eV"]
    low = energy <= energy.min() + window_eV
    return {
        "spearman_log_p_energy": float(spearmanr(logs.ravel(), -energy.ravel()).statistic),
        "spearman_log_p_energy_near_lowest": float(spearmanr(logs[low], -energy[low]).statistic),
        "likely_height_at_edge_fraction": float(density["at_edge"].mean()),
        "log_density_change_nats": float(density["change_nats"]),
        "seconds_density": float(density["seconds_density"]),
    }


def _series(
    samples: Arrays, arrays: Arrays, reference: Reference, settings: Mapping[str, Any]
) -> dict[str, Float[np.ndarray, "samples atoms 3"]]:
    """What is compared, by the ending of its keys; heights are those above the uppermost atom of the slab."""
    top = np.array([0.0, 0.0, arrays["slab_angstrom"][:, 2].max()])
    drawn = samples["positions_angstrom"] - top
    generator, height = (
        np.random.default_rng(settings["seed"]),
        reference.sites.positions_angstrom[:, 2].mean(),
    )
    around = height - AROUND_ANGSTROM, height + AROUND_ANGSTROM
    found, usual = reference.found, heuristic_sites(slab_of(arrays), height) - top
    return {
        SAMPLES: drawn,
        FLOOR: found.drawn(len(drawn), settings["kT_eV"], generator),
        RANDOM: random_placement(len(drawn), found.cell_angstrom, around, generator)[:, None],
        HEURISTIC: usual[generator.integers(len(usual), size=len(drawn))][:, None],
    }


def _compared(
    positions: Float[np.ndarray, "samples 3"], sites: Sites, cell: np.ndarray, settings: Mapping[str, Any]
) -> Metrics:
    places, within = sites.positions_angstrom, settings["within_angstrom"]
    values: Metrics = {}
    for count in settings["per_site"]:
        if count * len(places) <= len(positions):
            values[f"site_coverage_{count}_per_site"] = site_coverage(positions, places, cell, count, within)
    values["site_precision"] = site_precision(positions, places, cell, within)
    values["site_rmsd_angstrom"] = site_rmsd_angstrom(positions, places, cell)
    return values


def _relaxed(visits: Int[np.ndarray, " samples"], sites: Sites, settings: Mapping[str, Any]) -> Metrics:
    """The same when every sample that is bound has gone down the map of energies to a minimum, all but its binding atom at rest."""
    count = len(sites.energies_eV)
    values: Metrics = {"site_precision_relaxed": (visits >= 0).mean()}
    for each in settings["per_site"]:
        if each * count <= len(visits):
            name = f"site_coverage_{each}_per_site_relaxed"
            values[name] = site_coverage_relaxed(visits, count, each)
    return values


def _occupied(visits: Int[np.ndarray, " samples"], sites: Sites, shares: np.ndarray) -> Metrics:
    """Half the sum of differences between the shares of sites by energy and by samples, and the energy of those that are drawn most."""
    counts = _shares(visits, len(shares))
    expected = np.concatenate([[1.0 - shares.sum()], shares])
    kinds = np.unique(np.round(sites.energies_eV, 2), return_inverse=True)[1]
    most = np.argmax(np.bincount(kinds, counts[1:]) / np.bincount(kinds))
    return {
        "site_population_distance": 0.5 * np.abs(counts - expected).sum(),
        "most_probable_site_energy_eV": sites.energies_eV[kinds == most].mean(),
    }


def _shares(visits: Int[np.ndarray, " samples"], sites: int) -> Float[np.ndarray, " one_more"]:
    """Of samples elsewhere, in front, and in the basin of each site."""
    return np.bincount(visits + 1, minlength=sites + 1) / len(visits)


def _types(sites: Sites, arrays: Arrays, cell: np.ndarray) -> list[str]:
    layers, positions = arrays["layers"], arrays["slab_angstrom"]
    top = positions[:, 2].max()
    first, second = (positions[layers == k] - [0, 0, top] for k in (1, 2))
    below = second if len(second) else None  # a slab of one layer has no hcp and fcc hollows
    return [site_type(place, first, cell, below) for place in sites.positions_angstrom]
