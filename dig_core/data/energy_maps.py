"""The energy of an atom above a surface as a map over the surface cell, and structures that are drawn from it.

At every point of the cell the energy is that of the best height, and rises about it as a spring: E(x, y, z) = E(x, y) + k(x, y) (z - h(x, y))^2 / 2. Then
exp(-E/kT) is a density over the cell, exp(-E(x, y)/kT) / sqrt(k(x, y)), times a normal distribution of the height of variance kT/k(x, y).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import resample


@dataclass(frozen=True)
class EnergyMap:
    """On a grid of points at fractional coordinates (i/n1, j/n2) of the surface cell.

    Args:
        cell_angstrom: the lattice vectors of the surface as rows.
        energies_eV: of the best height, from the lowest of the map.
        heights_angstrom: where that is, above the uppermost atom of the slab.
        stiffness_eV_per_angstrom2: d2E/dz2 there.
    """

    cell_angstrom: Float[np.ndarray, "2 2"]
    energies_eV: Float[np.ndarray, "first second"]
    heights_angstrom: Float[np.ndarray, "first second"]
    stiffness_eV_per_angstrom2: Float[np.ndarray, "first second"]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "EnergyMap":
        """Of the arrays of a file."""
        return cls(**{name: arrays[name] for name in MAP})

    def finer(self, times: int) -> "EnergyMap":
        """With `times` as many points along each axis, by Fourier series: smooth and periodic, and unchanged where there were points."""
        # The series of a stiffness may dip below zero where that of its logarithm does not.
        stiffness = np.exp(finer(np.log(self.stiffness_eV_per_angstrom2), times))
        return EnergyMap(
            self.cell_angstrom, finer(self.energies_eV, times), finer(self.heights_angstrom, times), stiffness
        )

    def log_weights(self, kT_eV: float) -> Float[np.ndarray, "first second"]:
        """ln of the density over the cell, up to a constant: -F/kT, the height integrated out."""
        return -self.energies_eV / kT_eV - 0.5 * np.log(self.stiffness_eV_per_angstrom2)

    def drawn(self, count: int, kT_eV: float, generator: np.random.Generator) -> Float[np.ndarray, "count 3"]:
        """Positions in Angstrom, the height above the uppermost atom of the slab: grid points by weight, anywhere in the cell around them."""
        logs = self.log_weights(kT_eV)
        weights = np.exp(logs - logs.max()).ravel()
        chosen = generator.choice(weights.size, size=count, p=weights / weights.sum())
        first, second = np.unravel_index(chosen, logs.shape)
        places = np.stack([first, second], axis=1) + generator.random((count, 2)) - 0.5
        deviation = np.sqrt(kT_eV / self.stiffness_eV_per_angstrom2[first, second])
        heights = self.heights_angstrom[first, second] + deviation * generator.standard_normal(count)
        plane = places / np.array(logs.shape) % 1.0 @ self.cell_angstrom
        return np.column_stack([plane, heights])


MAP = tuple(EnergyMap.__dataclass_fields__)  # arrays of a file


def finer(
    values: Float[np.ndarray, "first second"], times: int
) -> Float[np.ndarray, "more_first more_second"]:
    """A periodic function on `times` as many points along each axis: its Fourier series, evaluated there."""
    for axis in (0, 1):
        values = resample(values, times * values.shape[axis], axis=axis)
    return values
