"""Band gaps of crystals by Quantum ESPRESSO (Giannozzi et al. 2009), run through ASE."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.espresso import Espresso, EspressoProfile
from jaxtyping import Float
from pymatgen.core import Structure

from dig_core.energies.band_gaps import EMPTY_BANDS, PlaneWaves, gap_eV, k_mesh, levels_eV

PROGRAM = "pw.x"
VALENCE_ELECTRONS = {"C": 4, "Si": 4, "Ge": 4}


def band_gap_eV(crystal: Structure, settings: PlaneWaves) -> float:
    """The gap of `band_gaps.gap_eV`.

    Raises:
        RuntimeError: Quantum ESPRESSO is not installed, has no pseudopotential for an element, or was killed.
        ValueError: the calculation did not converge.
    """
    expect_installed(crystal, settings)
    filled = sum(VALENCE_ELECTRONS[site.specie.symbol] for site in crystal) // 2
    with tempfile.TemporaryDirectory() as folder:
        levels = _levels(crystal.to_ase_atoms(), filled + EMPTY_BANDS, settings, folder)
    return gap_eV(levels, filled, settings.smallest_gap_eV)


def expect_installed(crystal: Structure, settings: PlaneWaves) -> None:
    """Raise RuntimeError in one line where the program or a pseudopotential is missing."""
    if shutil.which(PROGRAM) is None:
        raise RuntimeError(
            f"expected {PROGRAM} of Quantum ESPRESSO; found none. Install it (Debian: quantum-espresso, conda-forge: qe), or use labels that are there"
        )
    for symbol in sorted({site.specie.symbol for site in crystal}):
        name = settings.pseudopotentials.get(symbol)
        if symbol not in VALENCE_ELECTRONS or name is None or not Path(settings.folder, name).is_file():
            raise RuntimeError(
                f"expected a pseudopotential for {symbol} in {settings.folder}; got {name}. Install quantum-espresso-data (Debian), or name the file and the folder"
            )


def _levels(
    atoms: Atoms, bands: int, settings: PlaneWaves, folder: str
) -> Float[np.ndarray, "k_points bands"]:
    """Kohn-Sham levels in eV at all k points that symmetry leaves."""
    atoms.calc = Espresso(
        profile=EspressoProfile(command=PROGRAM, pseudo_dir=settings.folder),
        pseudopotentials=dict(settings.pseudopotentials),
        kpts=k_mesh(Structure.from_ase_atoms(atoms), settings.k_spacing_per_angstrom),
        directory=folder,
        input_data=_input(bands, settings.cutoff_Ry),
    )
    try:
        atoms.get_potential_energy()
    except (CalculationFailed, subprocess.CalledProcessError) as error:
        formula = atoms.get_chemical_formula()
        if getattr(error, "returncode", 0) < 0:  # by a signal: this says nothing about the crystal
            raise RuntimeError(
                f"expected {PROGRAM} to end by itself for {formula}; it was killed. Ask for more memory or time"
            ) from error
        raise ValueError(
            f"expected a calculation of {formula} that converges; got {type(error).__name__} of {PROGRAM}. Leave the crystal out"
        ) from error
    return levels_eV(atoms.calc)


def _input(bands: int, cutoff_Ry: float) -> dict[str, dict[str, object]]:
    # Above 100 k points levels are only printed with high verbosity.
    return {
        "control": {"calculation": "scf", "verbosity": "high", "disk_io": "none"},
        "system": {
            "ecutwfc": cutoff_Ry, "ecutrho": 8 * cutoff_Ry, "nbnd": bands,
            "occupations": "smearing", "smearing": "mv", "degauss": 0.005,
        },
        "electrons": {"conv_thr": 1e-7},
    }  # fmt: skip
