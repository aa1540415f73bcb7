"""Folding as a process of two states: which state a distance from the folded structure means, and how often it changed.

A structure is folded up to one distance and unfolded beyond a larger one; in between it is neither, and counts for the state that it was in
last. Crossing one threshold to and fro is then no event (core sets: Buchete, Hummer, J. Phys. Chem. B 112, 6057, 2008).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dig_core.units import thermal_energy_kcal_per_mol

FOLDED, NEITHER, UNFOLDED = 1, 0, -1


@dataclass(frozen=True)
class Events:
    """Changes from unfolded to folded, and back."""

    folding: int
    unfolding: int


def states(
    rmsd_angstrom: Float[np.ndarray, "*shape"], within_angstrom: float, beyond_angstrom: float
) -> Int[np.ndarray, "*shape"]:
    """`FOLDED` up to `within_angstrom`, `UNFOLDED` beyond `beyond_angstrom`, otherwise (and for NaN) `NEITHER`."""
    folded, unfolded = rmsd_angstrom <= within_angstrom, rmsd_angstrom > beyond_angstrom
    return np.where(folded, FOLDED, np.where(unfolded, UNFOLDED, NEITHER))


def events(
    rmsd_angstrom: Float[np.ndarray, "walkers frames"], within_angstrom: float, beyond_angstrom: float
) -> Events:
    """Events of continuous walkers, each in its order of time: of a walker they alternate."""
    changes = [
        np.diff(own[own != NEITHER]) for own in states(rmsd_angstrom, within_angstrom, beyond_angstrom)
    ]
    joined = np.concatenate(changes) if changes else np.zeros(0)
    return Events(folding=int((joined > 0).sum()), unfolding=int((joined < 0).sum()))


def along_walkers(
    values: Float[np.ndarray, "rounds temperatures"], walkers: Int[np.ndarray, "rounds temperatures"]
) -> Float[np.ndarray, "walkers rounds"]:
    """Values of each walker in time, from those at each temperature and the number of the walker that was there."""
    return np.take_along_axis(values, walkers.argsort(axis=1), axis=1).T


def stability_kcal_per_mol(states_found: Int[np.ndarray, "frames"], temperature_K: float) -> float:
    """Free energy of the unfolded state less that of the folded one, kT ln(P_folded / P_unfolded); infinite where one is not there, NaN without both."""
    folded, unfolded = (states_found == FOLDED).sum(), (states_found == UNFOLDED).sum()
    if not folded and not unfolded:
        return np.nan
    with np.errstate(divide="ignore"):
        return float(thermal_energy_kcal_per_mol(temperature_K) * (np.log(folded) - np.log(unfolded)))
