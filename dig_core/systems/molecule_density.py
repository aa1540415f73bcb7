"""What log densities of a molecule's structures say: against energies, of free energies and of entropy, beside molecular dynamics.

Everything is said of physical structures: those that pass the physical filter and lie below the 99.9th percentile of the
energies of the held-out frames. The rest, strained beyond what dynamics ever shows, has no weight in equilibrium; its share is
reported, and the numbers with it have the ending `_unfiltered`. For a molecule with one phi and psi the main basin is
phi < 0, and free energies are compared between phi < 0 and phi > 0; any other is one state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dig_core.evaluation.densities import DrawnEnsemble, Estimate, density_against_energy, mean
from dig_core.evaluation.statistics import TorsionRegion, bootstrap, weighted_quantile
from dig_core.evaluation.strata import (
    Stratum,
    average,
    effective_fraction,
    free_energy_by_density_kJ_per_mol,
    free_energy_by_reweighting_kJ_per_mol,
)
from dig_core.evaluation.tight_reference import TightReference
from dig_core.evaluation.torsions import torsion_angles
from dig_core.systems.metrics import population_error
from dig_core.systems.series import Arrays, Series
from dig_core.systems.yardstick import Scores, Study
from dig_core.units import GAS_CONSTANT_KJ_PER_MOL_K, KJ_PER_KCAL, thermal_energy_kcal_per_mol

FULL = (-180.0, 180.0)
# The main basin comes first.
REGIONS = {
    "phi_negative": TorsionRegion((-180.0, 0.0), FULL),
    "phi_positive": TorsionRegion((0.0, 180.0), FULL),
}
WHOLE = "all"
DIFFERENCE = "free_energy_difference_phi_negative_phi_positive_kcal_per_mol"
HIGHEST_ENERGY = 0.999
MOST_OF_ALL = 0.95
SEED = 0


def flow_states(positions: Float[np.ndarray, "frames atoms 3"], molecule: Arrays) -> np.ndarray:
    """Name of the state of each structure: one of `REGIONS` for a molecule with one phi and psi, otherwise `all`."""
    backbone = molecule["backbone_torsions"].reshape(-1, 4)
    if len(backbone) != 2:
        return np.full(len(positions), WHOLE)
    inside = REGIONS["phi_positive"].contains(torsion_angles(positions, backbone))
    return np.where(inside, "phi_positive", "phi_negative")


@dataclass(frozen=True)
class Densities:
    """Arrays of log_density.npz (results/README.md) with the temperature (K) and the largest physical energy (kJ/mol)."""

    arrays: Arrays
    temperature_K: float
    highest_energy_kJ_per_mol: float

    def physical(self, prefix: str = "") -> Bool[np.ndarray, " structures"]:
        """Which structures are physical; of all draws with the prefix `draws.`."""
        energies = self.arrays[f"{prefix}potential_energy_kJ_per_mol"]
        return self.arrays[f"{prefix}valid"] & (energies <= self.highest_energy_kJ_per_mol)

    def ensemble(self, chosen: Bool[np.ndarray, " structures"]) -> DrawnEnsemble:
        """Log densities and energies of structures."""
        energies = self.arrays["potential_energy_kJ_per_mol"][chosen].astype(np.float64)
        return DrawnEnsemble(self.arrays["log_density_nats"][chosen], energies, self.temperature_K)

    @property
    def drawn(self) -> Bool[np.ndarray, " structures"]:
        """Which structures come from the model; the others are held-out frames."""
        return self.arrays["source"] == "drawn"

    @property
    def main(self) -> Bool[np.ndarray, " structures"]:
        """Which structures lie in the main basin."""
        return np.isin(self.arrays["state"], [WHOLE, next(iter(REGIONS))])

    def strata(self) -> dict[str, Stratum]:
        """The physical part of each state with two drawn structures at least."""
        found, inside = {}, self.physical("draws.")
        for name in (WHOLE, *REGIONS):
            own = self.drawn & self.physical() & (self.arrays["state"] == name)
            if own.sum() >= 2:
                count = int((inside & (self.arrays["draws.state"] == name)).sum())
                found[name] = Stratum(self.ensemble(own), count, len(inside))
        return found


def density_metrics(
    arrays: Arrays | None, study: Study, compared: Mapping[str, Series], tight: TightReference | None
) -> Scores:
    """All metrics of the densities; those without meaning (no energies, an empty state) are left out.

    Args:
        arrays: of log_density.npz; None for a study without densities, which has no such metric.
        compared: the series `samples`, `training`, `reference`, `competitor` of the evaluation.
    """
    if arrays is None:
        return {}
    values = cost_scores(arrays)
    reference = compared["reference"]
    if "potential_energy_kJ_per_mol" not in arrays or reference.energies is None:
        values |= entropy_without_energies(arrays)
    else:
        limit = weighted_quantile(reference.energies, HIGHEST_ENERGY, reference.weights)
        own = Densities(arrays, study.temperature_K, limit)
        values |= {"highest_physical_energy_kJ_per_mol": limit}
        values |= agreement_scores(own) | model_scores(own)
    if WHOLE not in arrays["state"]:
        values |= counted_differences(arrays, study, compared, tight)
    return {key: value for key, value in values.items() if np.isfinite(value)}


def agreement_scores(own: Densities) -> Scores:
    """How log p follows -E/kT in the main basin: of drawn structures, of all drawn with the unphysical ones, of frames.

    `_phi_positive` are those of the other basin. Half the variance of the log weights is about the divergence within a
    state, by which `_by_density` is too high (in kT): where the two differ, so does the free energy from the truth.
    """
    groups = {
        "": own.drawn & own.main & own.physical(),
        "_phi_positive": own.drawn & ~own.main & own.physical(),
        "_unfiltered": own.drawn & own.main,
        "_reference": ~own.drawn & own.main,
    }
    values: Scores = {}
    for suffix, chosen in groups.items():
        energies = own.arrays["potential_energy_kJ_per_mol"]
        # Atoms on top of each other have no finite energy; few frames drawn by weight may be one and the same.
        chosen = chosen & np.isfinite(energies)
        if len(np.unique(energies[chosen])) < 3:
            continue
        ensemble = own.ensemble(chosen)
        generator = np.random.default_rng(SEED)
        found = density_against_energy(ensemble, generator)
        found["spread"] = _deviation(ensemble.log_weights, generator)
        names = {
            "correlation": "log_p_energy_correlation",
            "slope": "log_p_energy_slope_kT",
            "spread": "log_weight_standard_deviation_nats",
        }
        for key, name in names.items():
            values |= _with_error(f"{name}{suffix}", found[key])
        values[f"density_structures{suffix}"] = int(chosen.sum())
    return values


def _deviation(values: np.ndarray, generator: np.random.Generator) -> Estimate:
    repeated = bootstrap(lambda i: float(values[i].std(ddof=1)), len(values), 1000, generator)
    return Estimate(float(values.std(ddof=1)), float(repeated.std(ddof=1)))


def model_scores(own: Densities) -> Scores:
    """Entropy, effective size, distance from the frames, and free-energy differences by density and by reweighting."""
    strata, physical = own.strata(), own.physical("draws.")
    parts, values = list(strata.values()), {"unphysical_fraction": 1.0 - float(physical.mean())}
    # Averages over the model need its states; one that is all but empty may lack.
    if not parts or sum(part.share for part in parts) < MOST_OF_ALL * physical.mean():
        return values
    values |= {
        "effective_sample_size_fraction": effective_fraction(parts),
        "effective_sample_size_structures": sum(len(part.ensemble.log_density) for part in parts),
    }
    frames = own.ensemble(~own.drawn)
    log_p = average(parts, lambda part: part.log_density.astype(np.float64))
    values |= _entropies(log_p, mean(frames.log_density.astype(np.float64)))
    here, there = average(parts, lambda part: part.log_weights), mean(frames.log_weights)
    error = float(np.hypot(here.standard_error, there.standard_error))
    values |= _with_error("jeffreys_divergence_nats", Estimate(there.value - here.value, error))
    values |= _median_difference(own)
    if set(REGIONS) <= set(strata):
        values |= _difference("_by_density", strata, free_energy_by_density_kJ_per_mol)
        values |= _difference("_by_reweighting", strata, free_energy_by_reweighting_kJ_per_mol)
    return values


def _median_difference(own: Densities) -> Scores:
    """Of log weights in the main basin: frames that the flow carries through a gap of the model do not spoil it."""
    groups = ~own.drawn & own.main, own.drawn & own.main & own.physical()
    if min(chosen.sum() for chosen in groups) < 2:
        return {}
    frames, draws = (float(np.median(own.ensemble(chosen).log_weights)) for chosen in groups)
    return {"log_weight_median_difference_nats": frames - draws}


def _entropies(drawn: Estimate, frames: Estimate) -> Scores:
    """Of the model, -R <ln p>; and -R <ln p> over the frames, the cross entropy, which bounds the frames' own from above."""
    values: Scores = {}
    for suffix, own in (("", drawn), ("_reference", frames)):
        values |= _with_error(f"log_density_mean_nats{suffix}", own)
        entropy = Estimate(
            -GAS_CONSTANT_KJ_PER_MOL_K * own.value, GAS_CONSTANT_KJ_PER_MOL_K * own.standard_error
        )
        values |= _with_error(f"{'cross_' if suffix else ''}entropy_kJ_per_mol_K{suffix}", entropy)
    return values


def entropy_without_energies(arrays: Arrays) -> Scores:
    """Entropy of all draws and cross entropy of the frames, where no energy says what is unphysical."""
    drawn = arrays["source"] == "drawn"
    parts = []
    for name in np.unique(arrays["state"][drawn]):
        log_p = arrays["log_density_nats"][drawn & (arrays["state"] == name)].astype(np.float64)
        share = float((arrays["draws.state"] == name).mean())
        parts.append((share, mean(log_p)))
    value = sum(share * part.value for share, part in parts)
    error = float(np.linalg.norm([share * part.standard_error for share, part in parts]))
    frames = mean(arrays["log_density_nats"][~drawn].astype(np.float64))
    return _entropies(Estimate(float(value), error), frames)


def _difference(suffix: str, strata: Mapping[str, Stratum], free_energy) -> Scores:
    a, b = (free_energy(strata[name]) for name in REGIONS)
    error = float(np.hypot(a.standard_error, b.standard_error))
    found = Estimate((b.value - a.value) / KJ_PER_KCAL, error / KJ_PER_KCAL)
    return _with_error(f"{DIFFERENCE}{suffix}", found)


def counted_differences(
    arrays: Arrays, study: Study, compared: Mapping[str, Series], tight: TightReference | None
) -> Scores:
    """kT ln(P(phi < 0) / P(phi > 0)) of the samples, the draws of the flow, all dynamics and the tight reference."""
    inside = arrays["draws.state"] == "phi_positive"
    error = float(inside.std() / np.sqrt(len(inside)))
    populations = {"_of_flow": (float(inside.mean()), error)}
    region = REGIONS["phi_positive"]
    endings = {
        "samples": "",
        "training": "_training",
        "reference": "_reference",
        "competitor": "_equal_cost_md",
    }
    for source in (name for name in endings if name in compared):
        own = compared[source]
        inside = region.contains(own.torsions[:, :2])
        populations[endings[source]] = float(own.weights[inside].sum()), population_error(study, own, inside)
    if tight is not None:
        error = tight.population_standard_error(region, study.generator)
        populations["_tight_reference"] = tight.population(region), error
    kT, values = thermal_energy_kcal_per_mol(study.temperature_K), {}
    for suffix, (share, error) in populations.items():
        if 0.0 < share < 1.0:
            odds = share * (1.0 - share)
            estimate = Estimate(kT * float(np.log((1.0 - share) / share)), kT * error / odds)
            values |= _with_error(f"{DIFFERENCE}{suffix}", estimate)
    return values


def cost_scores(arrays: Arrays) -> Scores:
    """CPU seconds of a draw and of a density, evaluations of the divergence, and how much a last doubling changed."""
    drawn = arrays["source"] == "drawn"
    return {
        "seconds_per_flow_draw": float(arrays["seconds_draws"]) / len(arrays["draws.state"]),
        "seconds_per_log_density": float(arrays["seconds"][drawn].mean()),
        "log_density_evaluations": float(arrays["evaluations"][drawn].mean()),
        "log_density_change_median_nats": float(np.median(arrays["change_nats"][drawn])),
        "log_density_change_max_nats": float(arrays["change_nats"][drawn].max()),
        "log_density_standard_error_nats": float(arrays["standard_error_nats"][drawn].mean()),
    }


def _with_error(key: str, estimate: Estimate) -> Scores:
    return {key: float(estimate.value), f"{key}_standard_error": float(estimate.standard_error)}
