"""Band gaps of crystals by density-functional theory: what electronic-structure codes have in common.

Kohn-Sham gaps (PBE) are too small by a third or so: diamond has 4.2 eV in place of 5.5. The mesh of k points is centred on Gamma, and its divisions are
multiples of three: the K point of graphite, where its bands touch, is at thirds of every cell that repeats it, and a mesh without it shows a gap
of some eV where there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from pymatgen.core import Structure

EMPTY_BANDS = 4


@dataclass(frozen=True)
class PlaneWaves:
    """How a gap is computed; pseudopotentials, for codes that ask for files, are those of Debian's package quantum-espresso-data."""

    cutoff_Ry: float = 30.0
    k_spacing_per_angstrom: float = 0.25
    smallest_gap_eV: float = 0.3  # below it a crystal counts as a metal
    pseudopotentials: Mapping[str, str] = field(default_factory=lambda: {"C": "C.pbe-rrkjus.UPF"})
    folder: str = "/usr/share/espresso/pseudo"


@runtime_checkable
class Bands(Protocol):
    """What ASE's calculators of electronic structure offer."""

    def get_ibz_k_points(self) -> np.ndarray:
        """The k points that symmetry leaves."""
        ...

    def get_eigenvalues(self, kpt: int) -> np.ndarray:
        """Levels in eV at one of them."""
        ...


def levels_eV(calculator: Bands) -> Float[np.ndarray, "k_points bands"]:
    """Kohn-Sham levels at all k points that symmetry leaves."""
    points = range(len(calculator.get_ibz_k_points()))
    return np.array([calculator.get_eigenvalues(kpt=point) for point in points])


def gap_eV(levels: Float[np.ndarray, "k_points bands"], filled: int, smallest_gap_eV: float) -> float:
    """The smallest difference between empty and filled levels, of any k points; 0 where it is smaller than a gap that counts."""
    gap = float(levels[:, filled].min() - levels[:, filled - 1].max())
    return gap if gap >= smallest_gap_eV else 0.0


def k_mesh(crystal: Structure, spacing_per_angstrom: float) -> tuple[int, int, int]:
    """Divisions of a mesh that is centred on Gamma: multiples of three, neighbours at most so far apart (with the factor 2 pi)."""
    lengths = crystal.lattice.reciprocal_lattice.abc
    first, second, third = (3 * max(1, int(np.ceil(own / spacing_per_angstrom / 3))) for own in lengths)
    return first, second, third
