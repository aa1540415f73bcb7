"""Slabs from files."""

import math
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from jaxtyping import Float

from dig_core.data.crystal_files import SHORTEST_ANGSTROM
from dig_core.data.slabs import cell_in_plane, layers_of, with_short_vectors

SMALLEST_VACUUM_ANGSTROM = 8.0  # with less, the next slab touches what is adsorbed


def read_slab(file: str | Path) -> Atoms:
    """The slab of a file that ASE reads (CONTCAR, extxyz, cif, ...), in the order of the file.

    It is moved along z until its lowest atom is at 0 and all vacuum above it, and its vectors in the plane are the shortest
    ones. Nothing else of the file remains: which atoms are held fixed is for a relaxation to say.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no slab or several, no or partial atoms, a cell that is not upright, less than 8 Angstrom of
            vacuum, atoms closer than 0.6 Angstrom to each other, or layers that cannot be told apart.
    """
    try:
        return _checked(_only_frame(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _only_frame(file: str | Path) -> Atoms:
    try:
        frames = ase.io.read(file, index=":")
    except FileNotFoundError:
        raise
    except Exception as error:  # parsers of ASE raise a dozen types
        why = str(error).strip(" .\n").rpartition("\n")[2]
        raise ValueError(
            f"expected a slab; got {type(error).__name__}: {why[:120]}. Write it as CONTCAR, extxyz or cif"
        ) from error
    if len(frames) != 1:
        raise ValueError(f"expected one slab; got {len(frames)}. Write each to a file of its own")
    return frames[0]


def _checked(atoms: Atoms) -> Atoms:
    _expect_atoms(atoms)
    cell_in_plane(atoms)
    whole = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    # The cell as it is read may have 1e-15 where nothing belongs.
    whole.cell[:2, 2], whole.cell[2, :2] = 0.0, 0.0
    whole.positions[:, 2] = _below_vacuum(whole)
    with_short_vectors(whole).wrap(pbc=(True, True, False), eps=1e-6)
    shortest = neighbor_list("d", whole, SHORTEST_ANGSTROM).min(initial=math.inf)
    if shortest < SHORTEST_ANGSTROM:
        raise ValueError(
            f"expected atoms at least {SHORTEST_ANGSTROM} Angstrom apart; got {shortest:.3f}. Correct the positions"
        )
    whole.set_tags(layers_of(whole))
    return whole


def _expect_atoms(atoms: Atoms) -> None:
    if not len(atoms) or not atoms.numbers.all():
        got = "none" if not len(atoms) else "one of no element"
        raise ValueError(f"expected atoms of known elements; got {got}. Correct the file")
    if not np.isfinite(atoms.positions).all():
        raise ValueError("expected positions that are numbers; got others. Correct the file")
    shares = [share for site in atoms.info.get("occupancy", {}).values() for share in site.values()]
    if not np.allclose(shares, 1.0):
        raise ValueError(
            "expected whole atoms; got partial occupancies. Write one ordered slab for each arrangement"
        )


def _below_vacuum(atoms: Atoms) -> Float[np.ndarray, " atoms"]:
    # Heights from the upper end of the largest gap. A file may have half of the slab on the other side of its cell.
    height = atoms.cell[2, 2]
    heights = np.sort(atoms.positions[:, 2] % height)
    gaps = np.diff(heights, prepend=heights[-1] - height)
    if gaps.max() < SMALLEST_VACUUM_ANGSTROM - 1e-3:  # files have rounded it
        raise ValueError(
            f"expected at least {SMALLEST_VACUUM_ANGSTROM:g} Angstrom of vacuum along z; got {gaps.max():.2f}. Make the cell higher"
        )
    # Half of the gap lower, so that no atom ends on the other side by rounding.
    lowest = heights[gaps.argmax()] - gaps.max() / 2
    above = (atoms.positions[:, 2] - lowest) % height
    return above - above.min()
