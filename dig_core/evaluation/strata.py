"""Free energies, entropy and effective size from draws of a model that are dense in rare states: stratified sampling.

Log densities are dear, draws cheap. So many draws give the population P_s of each state, and the first n_s of them in
each state get a density; averages over the model are sum_s P_s <.>_s / sum_s P_s (Cochran, Sampling Techniques, 1977,
chapter 5). A state may leave out what is unphysical: P_s then counts the rest only, and nothing else changes. Free
energies are those of `densities`: F = -kT ln int_s exp(-E/kT).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dig_core.evaluation.densities import DrawnEnsemble, Estimate, mean


@dataclass(frozen=True)
class Stratum:
    """Independent draws of a model within one state, and how many of how many cheap draws lie there.

    Raises ValueError unless 0 < inside <= draws.
    """

    ensemble: DrawnEnsemble
    inside: int
    draws: int

    def __post_init__(self) -> None:
        if not 0 < self.inside <= self.draws:
            raise ValueError(
                f"expected 0 < inside <= draws; got {self.inside} of {self.draws}. Leave out an empty state."
            )

    @property
    def share(self) -> float:
        """P_s, the model's population of the state."""
        return self.inside / self.draws

    @property
    def log_share(self) -> Estimate:
        """ln P_s with its binomial error."""
        return Estimate(float(np.log(self.share)), float(np.sqrt((1.0 - self.share) / self.inside)))


def free_energy_by_density_kJ_per_mol(stratum: Stratum) -> Estimate:
    """F = <E + kT ln p>_s - kT ln P_s: no exponential, but too large by kT times the divergence of model from truth within s.

    (Gibbs-Bogoliubov inequality.) In a difference of two states the errors cancel as far as the model is equally
    far from the truth in both.
    """
    own, kT = stratum.ensemble, stratum.ensemble.kT
    within = mean(-kT * own.log_weights)
    share = stratum.log_share
    return Estimate(
        within.value - kT * share.value, float(np.hypot(within.standard_error, kT * share.standard_error))
    )


def free_energy_by_reweighting_kJ_per_mol(stratum: Stratum) -> Estimate:
    """F = -kT ln(P_s <exp(-E/kT)/p>_s): exact for any model with many draws, ruled by the largest weights with few."""
    own, kT = stratum.ensemble, stratum.ensemble.kT
    highest = own.log_weights.max()
    ratio, share = mean(np.exp(own.log_weights - highest)), stratum.log_share
    error = np.hypot(ratio.standard_error / ratio.value, share.standard_error)
    return Estimate(float(-kT * (share.value + highest + np.log(ratio.value))), float(kT * error))


def average(
    strata: Sequence[Stratum], values: Callable[[DrawnEnsemble], Float[np.ndarray, " samples"]]
) -> Estimate:
    """Mean of a value over the model in all strata; the error holds that within strata alone."""
    parts = [mean(values(stratum.ensemble)) for stratum in strata]
    shares = np.array([stratum.share for stratum in strata])
    shares = shares / shares.sum()
    value = float(sum(share * part.value for share, part in zip(shares, parts, strict=True)))
    errors = [share * part.standard_error for share, part in zip(shares, parts, strict=True)]
    return Estimate(value, float(np.linalg.norm(errors)))


def effective_fraction(strata: Sequence[Stratum]) -> float:
    """Kish effective size over number of draws, (sum_s P_s <w>_s)^2 / sum_s P_s <w^2>_s, for draws in proportion.

    What lies in no stratum has weight 0 and counts as drawn. Estimated from few draws it is too high: the largest
    weights of the model have not been seen.
    """
    highest = max(stratum.ensemble.log_weights.max() for stratum in strata)
    weights = [np.exp(stratum.ensemble.log_weights - highest) for stratum in strata]
    shares = [stratum.share for stratum in strata]
    first = sum(share * w.mean() for share, w in zip(shares, weights, strict=True))
    second = sum(share * np.mean(w**2) for share, w in zip(shares, weights, strict=True))
    return float(first**2 / second)
