"""Band gaps of crystals by GPAW (Mortensen et al. 2024), in plane waves and with its own data sets of atoms.

Named like the package it adapts; absolute imports keep the two apart.
"""

from typing import Any

from ase.units import Ry
from pymatgen.core import Structure

from dig_core.energies.band_gaps import EMPTY_BANDS, PlaneWaves, gap_eV, k_mesh, levels_eV

MOST_ITERATIONS = 333


def band_gap_eV(crystal: Structure, settings: PlaneWaves) -> float:
    """The gap of `band_gaps.gap_eV`.

    Raises:
        RuntimeError: GPAW is not installed, or has no data set for an element.
        ValueError: the calculation did not converge.
    """
    gpaw, atoms = _package(), crystal.to_ase_atoms()
    atoms.calc = gpaw.GPAW(**_settings(crystal, settings), txt=None)
    try:
        atoms.get_potential_energy()
    except gpaw.KohnShamConvergenceError as error:
        raise ValueError(
            f"expected a calculation of {crystal.formula} that converges; got none after {MOST_ITERATIONS} iterations of GPAW. Leave the crystal out"
        ) from error
    except FileNotFoundError as error:
        raise RuntimeError(
            f"expected data sets of GPAW for {crystal.formula}; got none. Install them with `gpaw install-data <folder>`"
        ) from error
    filled, alone = divmod(round(atoms.calc.get_number_of_electrons()), 2)
    # Spins are paired: with one electron more a band is half filled, and the crystal a metal.
    return 0.0 if alone else gap_eV(levels_eV(atoms.calc), filled, settings.smallest_gap_eV)


def _package() -> Any:
    try:
        import gpaw
    except ImportError as error:
        raise RuntimeError(
            "expected GPAW; found none. Install it (conda-forge: gpaw; pip install gpaw where libxc and BLAS are), or use labels that are there"
        ) from error
    return gpaw


def _settings(crystal: Structure, settings: PlaneWaves) -> dict[str, object]:
    return {
        "mode": {"name": "pw", "ecut": settings.cutoff_Ry * Ry},
        "xc": "PBE",
        "kpts": {"size": k_mesh(crystal, settings.k_spacing_per_angstrom), "gamma": True},
        "nbands": -EMPTY_BANDS,  # so many beyond the filled ones
        "convergence": {"bands": -1},  # all but one
        "occupations": {"name": "fermi-dirac", "width": 0.05},
        "maxiter": MOST_ITERATIONS,
    }
