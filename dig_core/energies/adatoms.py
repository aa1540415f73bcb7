"""The energy of an atom above a frozen slab, at the height where it is lowest."""

from collections.abc import Callable
from dataclasses import dataclass

import ase
import numpy as np
from ase.calculators.calculator import BaseCalculator
from jaxtyping import Float
from scipy.optimize import brentq

STEP = 0.3  # Angstrom, of the search for heights with forces of both signs
STRETCH = 0.1  # Angstrom, over which the stiffness is measured
ACCURACY = 0.01  # Angstrom, of the height
LOWEST, HIGHEST = -2.0, 6.0  # Angstrom above the uppermost atom of the slab


@dataclass(frozen=True)
class BestHeight:
    """Where the force on the atom along the normal is zero: the energy there, the height, and d2E/dz2."""

    energy_eV: float
    height_angstrom: float
    stiffness_eV_per_angstrom2: float


@dataclass(frozen=True)
class Adatom:
    """One atom, the last, above the others, which stay where they are; energies by a calculator of ASE."""

    atoms: ase.Atoms
    calculator: BaseCalculator

    @property
    def top_angstrom(self) -> float:
        """Height of the uppermost other atom."""
        return float(self.atoms.positions[:-1, 2].max())

    def energy_and_force(self, position: Float[np.ndarray, "3"]) -> tuple[float, float]:
        """In eV, and eV/Angstrom along the normal, of the atom at a position in Angstrom."""
        self.atoms.positions[-1] = position
        self.atoms.calc = self.calculator
        force = float(self.atoms.get_forces(apply_constraint=False)[-1, 2])
        return float(self.atoms.get_potential_energy()), force

    def best_height(self, plane: Float[np.ndarray, "2"], guess_angstrom: float) -> BestHeight:
        """Above a point of the plane, searched for from a height (above the uppermost atom of the slab).

        Raises:
            ValueError: there is none between LOWEST and HIGHEST: the atom is not bound there, or falls into the slab.
        """

        def force(height: float) -> float:
            """In eV/Angstrom along the normal, so far above the uppermost atom of the slab."""
            return self.energy_and_force(np.array([*plane, self.top_angstrom + height]))[1]

        found = float(brentq(force, *bracketed(force, guess_angstrom), xtol=ACCURACY))
        stiffness = (force(found - STRETCH) - force(found + STRETCH)) / (2 * STRETCH)
        energy, rest = self.energy_and_force(np.array([*plane, self.top_angstrom + found]))
        if stiffness <= 0:
            raise ValueError(
                f"expected a minimum of the energy over height; got a stiffness of {stiffness:.2g} at {found:.2f} Angstrom"
            )
        # What is left of the force is taken off as by a spring.
        return BestHeight(energy - 0.5 * rest**2 / stiffness, found + rest / stiffness, stiffness)


def bracketed(force: Callable[[float], float], guess: float) -> tuple[float, float]:
    """Two heights, the force pushing up at the lower and down at the upper one, STEP apart.

    Raises:
        ValueError: there are none between LOWEST and HIGHEST.
    """
    height, up = guess, force(guess) > 0
    while LOWEST <= height <= HIGHEST:
        after = height + (STEP if up else -STEP)
        if (force(after) > 0) != up:
            return (height, after) if up else (after, height)
        height = after
    where = "falls into the slab" if height < LOWEST else "is not bound"
    raise ValueError(f"expected a height at which the atom is at rest; got none: it {where}")
