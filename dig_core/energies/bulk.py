"""Lattice constants of an interatomic potential."""

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import covalent_radii
from scipy.optimize import minimize_scalar

RANGE = (0.8, 1.25)  # times the lattice in which neighbours are two covalent radii apart
ACCURACY = 1e-4


def scale_at_rest(crystal: Atoms, calculator: BaseCalculator) -> float:
    """Times which all vectors of a crystal are as long as those of the lowest energy, their directions and ratios unchanged.

    Args:
        crystal: with vectors of any length.

    Raises:
        ValueError: the energy has no minimum near to where atoms touch.
    """
    pair = crystal.repeat((2, 2, 2))
    touching = 2 * covalent_radii[crystal.numbers].mean() / pair.get_all_distances(mic=True)[0, 1:].min()

    def energy(scale: float) -> float:
        """In eV, of the crystal so many times as large as where atoms touch."""
        strained = crystal.copy()
        strained.set_cell(scale * touching * crystal.cell, scale_atoms=True)
        strained.calc = calculator
        return float(strained.get_potential_energy())

    found = minimize_scalar(energy, bounds=RANGE, method="bounded", options={"xatol": ACCURACY})
    if min(found.x - RANGE[0], RANGE[1] - found.x) < 10 * ACCURACY:
        raise ValueError(
            f"expected a lattice constant of {crystal.symbols} at which the energy is lowest; got none near to where atoms touch. Write lattice_angstrom"
        )
    return float(found.x * touching)
