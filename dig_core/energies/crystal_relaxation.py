"""Crystals brought to rest, atoms and cell, with an interatomic potential under a pressure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.units import GPa
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from dig_core.energies.ase import calculator


@dataclass(frozen=True)
class Relaxed:
    """Where a relaxation ended.

    Args:
        enthalpy_eV_per_atom: there.
        released_eV_per_atom: how much less that is than at the start.
        at_rest: whether forces are small enough; otherwise the steps were too few.
    """

    crystal: Structure
    enthalpy_eV_per_atom: float
    released_eV_per_atom: float
    at_rest: bool


def relaxed(crystal: Structure, settings: Mapping[str, Any]) -> Relaxed:
    """The crystal after at most so many steps of FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)).

    Args:
        settings: `calculator` (a name in energies.ase.CALCULATORS), `pressure_GPa`, `steps`, and `force_eV_per_angstrom`, also on the cell.
    """
    atoms, pressure = AseAtomsAdaptor.get_atoms(crystal, msonable=False), settings["pressure_GPa"] * GPa
    atoms.calc = _potential(settings["calculator"])

    def enthalpy() -> float:
        """In eV per atom."""
        return float(atoms.get_potential_energy() + pressure * atoms.get_volume()) / len(atoms)

    first, moving = enthalpy(), FrechetCellFilter(atoms, scalar_pressure=pressure)
    rests = FIRE(moving, logfile=None).run(fmax=settings["force_eV_per_angstrom"], steps=settings["steps"])
    last = enthalpy()
    return Relaxed(AseAtomsAdaptor.get_structure(atoms), last, first - last, bool(rests))


@cache
def _potential(name: str) -> BaseCalculator:
    """Loaded once."""
    return calculator(name, {})
