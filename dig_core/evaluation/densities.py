"""What samples with a density and an energy tell: entropy, free energies, weights, log Z, and whether density follows energy.

Samples are draws from a model with density p (log p in nats) and have potential energies E in kJ/mol. Equilibrium is
exp(-E/kT)/Z. Densities, entropies and log Z are for coordinates in the unit in which p was given: in a unit `scale` times
smaller, log p falls by d ln(scale), and S/k and log Z rise by it (d the dimension). Averages of log p are unbiased by the noise of
estimated divergences; exponentials are not, a variance v of log p adds v/2 to log Z and spoils the weights. Discard unphysical
structures before, and report their share.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from dig_core.evaluation.statistics import bootstrap, kish_effective_size, normalized_weights
from dig_core.units import thermal_energy_kj_per_mol

Values = Float[np.ndarray, "samples"]


@dataclass(frozen=True)
class Estimate:
    """A number and the standard error of it, for independent samples."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class DrawnEnsemble:
    """Independent draws from a model: `log_density` in nats, `energies_kJ_per_mol`, at a temperature in K.

    Raises ValueError for arrays of different length, and for values that are not finite.
    """

    log_density: Float[np.ndarray, "samples"]
    energies_kJ_per_mol: Float[np.ndarray, "samples"]
    temperature_K: float

    def __post_init__(self) -> None:
        if len(self.log_density) != len(self.energies_kJ_per_mol) or len(self.log_density) < 2:
            raise ValueError(
                f"expected a log density and an energy of at least two samples; got {len(self.log_density)} and "
                f"{len(self.energies_kJ_per_mol)}. Evaluate both on the same samples."
            )
        bad = int(np.sum(~(np.isfinite(self.log_density) & np.isfinite(self.energies_kJ_per_mol))))
        if bad or not self.temperature_K > 0:
            raise ValueError(
                f"expected finite values at a temperature > 0 K; got {bad} samples with others and "
                f"{self.temperature_K} K. Discard unphysical structures, and report how many."
            )

    @property
    def kT(self) -> float:
        """kT in kJ/mol."""
        return thermal_energy_kj_per_mol(self.temperature_K)

    @property
    def log_boltzmann(self) -> Values:
        """-E/kT."""
        return -self.energies_kJ_per_mol.astype(np.float64) / self.kT

    @property
    def log_weights(self) -> Values:
        """ln of exp(-E/kT)/p, the unnormalised weights that turn the draws into equilibrium."""
        return self.log_boltzmann - self.log_density


@dataclass(frozen=True)
class Reweighting:
    """Weights [samples] with sum 1, the Kish effective number of samples, and ln Z."""

    weights: Float[np.ndarray, "samples"]
    effective_size: float
    log_partition: Estimate


def mean(values: Values, weights: Values | None = None) -> Estimate:
    """Weighted mean sum(w x)/sum(w), with the error of a ratio, sqrt(sum w^2 (x - mean)^2)/sum(w)."""
    shares = normalized_weights(len(values), weights)
    centre = np.sum(shares * values)
    return Estimate(float(centre), float(np.sqrt(np.sum((shares * (values - centre)) ** 2))))


def entropy_nats(log_density: Values, weights: Values | None = None) -> Estimate:
    """Differential entropy S/k = -<ln p> of the distribution that the samples are drawn from.

    Of the model without weights. With the weights of a `Reweighting` it is the cross entropy -<ln p> of equilibrium, an
    upper bound of its entropy.
    """
    found = mean(log_density.astype(np.float64), weights)
    return Estimate(-found.value, found.standard_error)


def mean_energy_kJ_per_mol(energies: Values, weights: Values | None = None) -> Estimate:
    """Average energy in kJ/mol."""
    return mean(energies.astype(np.float64), weights)


def free_energy_by_counting_kJ_per_mol(
    inside: Bool[np.ndarray, "samples"], temperature_K: float, weights: Values | None = None
) -> Estimate:
    """F = -kT ln P of a state with population P, relative to the whole (kJ/mol); infinite for an empty state."""
    population = mean(inside.astype(np.float64), weights)
    return _minus_kT_log(population, thermal_energy_kj_per_mol(temperature_K))


def free_energy_difference_by_counting_kJ_per_mol(
    inside_a: Bool[np.ndarray, "samples"],
    inside_b: Bool[np.ndarray, "samples"],
    temperature_K: float,
    weights: Values | None = None,
) -> Estimate:
    """F_b - F_a = -kT ln(P_b/P_a) of two states without overlap, in kJ/mol (ln odds of b among samples in either).

    Raises ValueError if they overlap.
    """
    if np.any(inside_a & inside_b):
        raise ValueError("expected two states without a common sample; got an overlap. Draw the border once.")
    shares, kT = normalized_weights(len(inside_a), weights), thermal_energy_kj_per_mol(temperature_K)
    a, b = (_minus_kT_log(_share(shares[inside]), kT) for inside in (inside_a, inside_b))
    return Estimate(b.value - a.value, float(np.hypot(a.standard_error, b.standard_error)))


def free_energy_by_density_kJ_per_mol(
    ensemble: DrawnEnsemble, inside: Bool[np.ndarray, "samples"]
) -> Estimate:
    """F = U - T S of a state, <E>_s + kT <ln(p/P)>_s = -kT ln Z_s for a model that is right within the state (kJ/mol).

    P is the model's population of the state, p/P its density within: so F, and the population exp(-F/kT)/Z that follows
    from it, do not depend on P being right. Else F is too large by kT times the Kullback-Leibler divergence within
    the state (Gibbs-Bogoliubov). Nothing is exponentiated: estimated densities give no bias. Differences between states
    are those of free energies. Raises ValueError for fewer than two samples inside.
    """
    if inside.sum() < 2:
        raise ValueError(f"expected two samples in the state; got {inside.sum()}. Draw more.")
    log_p = ensemble.log_density[inside].astype(np.float64)
    within = mean(ensemble.energies_kJ_per_mol[inside] + ensemble.kT * log_p)
    # The number of samples inside and their mean do not correlate.
    counted = free_energy_by_counting_kJ_per_mol(inside, ensemble.temperature_K)
    return Estimate(
        within.value + counted.value, float(np.hypot(within.standard_error, counted.standard_error))
    )


def log_partition(ensemble: DrawnEnsemble, inside: Bool[np.ndarray, "samples"] | None = None) -> Estimate:
    """ln Z = ln <exp(-E/kT)/p> by importance sampling, Z = int exp(-E/kT); of a state with `inside`.

    Error by the delta method: trust it while the effective size is many samples, otherwise ln Z is too low.
    """
    log_weights = ensemble.log_weights
    if inside is not None:
        log_weights = np.where(inside, log_weights, -np.inf)
    highest = log_weights.max()
    if not np.isfinite(highest):
        raise ValueError("expected a sample in the state; got none. Draw more.")
    ratio = mean(np.exp(log_weights - highest))
    return Estimate(float(highest + np.log(ratio.value)), ratio.standard_error / ratio.value)


def free_energy_by_reweighting_kJ_per_mol(
    ensemble: DrawnEnsemble, inside: Bool[np.ndarray, "samples"]
) -> Estimate:
    """F = -kT ln Z_s of a state by importance sampling (kJ/mol): exact for any model, noisy for a poor one."""
    found = log_partition(ensemble, inside)
    return Estimate(-ensemble.kT * found.value, ensemble.kT * found.standard_error)


def reweighting(ensemble: DrawnEnsemble) -> Reweighting:
    """Weights w ~ exp(-E/kT)/p that turn draws from the model into equilibrium (Noe et al., Science 365, 2019)."""
    log_weights = ensemble.log_weights
    weights = np.exp(log_weights - logsumexp(log_weights))
    return Reweighting(weights, kish_effective_size(weights), log_partition(ensemble))


def density_against_energy(
    ensemble: DrawnEnsemble, generator: np.random.Generator, repeats: int = 1000
) -> dict[str, Estimate]:
    """How ln p follows -E/kT: `correlation` (Pearson) and `slope` (least squares), both 1 for equilibrium.

    Errors by bootstrap. Noise of ln p lowers the correlation, not the slope. Raises ValueError where all
    energies are equal.
    """
    if np.ptp(ensemble.energies_kJ_per_mol) == 0.0:
        raise ValueError("expected energies that differ; got equal ones. Draw more samples.")
    against, log_p = ensemble.log_boltzmann, ensemble.log_density.astype(np.float64)

    def statistic(chosen: np.ndarray) -> dict[str, float]:
        """Correlation and slope of the structures of these indices."""
        covariance = np.cov(against[chosen], log_p[chosen])
        slope = covariance[0, 1] / covariance[0, 0]
        return {"correlation": slope * np.sqrt(covariance[0, 0] / covariance[1, 1]), "slope": slope}

    values = statistic(np.arange(len(log_p)))
    replicates = bootstrap(statistic, len(log_p), repeats, generator)
    return {key: Estimate(float(values[key]), float(replicates[key].std(ddof=1))) for key in values}


def _share(weights: Float[np.ndarray, "inside"]) -> Estimate:
    """Sum of the weights of the samples in a state, its error as for a Poisson number of samples."""
    return Estimate(float(weights.sum()), float(np.sqrt(np.sum(weights**2))))


def _minus_kT_log(population: Estimate, kT: float) -> Estimate:
    if population.value == 0.0:
        return Estimate(float("inf"), float("inf"))
    return Estimate(-kT * float(np.log(population.value)), kT * population.standard_error / population.value)
