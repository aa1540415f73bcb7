"""Crystals from files: one each in a format that pymatgen reads, or a table with one in every row."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from dig_core.crystals import SMALLEST_VOLUME, Crystals
from dig_core.files import atomic
from dig_core.runtime import progress

FORMATS = {".cif": "cif", ".vasp": "poscar", ".poscar": "poscar", ".json": "json", ".xsf": "xsf"}
TABLES = (".csv", ".csv.gz")
SERIES = (".extxyz", ".xyz")  # with one crystal after another
SHORTEST_ANGSTROM = 0.6  # atoms closer than that are one and the same, or a mistake


def read_crystals(files: Sequence[str | Path], elements: Iterable[str]) -> list[Structure]:
    """All crystals of the files, in order; other columns of a table are their `properties`.

    Raises:
        ValueError: a file of another kind, a table without the column `cif`, or what `read_crystal` refuses.
    """
    return [structure for file in files for structure in _of_file(Path(file), tuple(elements))]


def rows(files: Sequence[str | Path]) -> pd.DataFrame:
    """A row for each crystal of the files, in order: those of the tables as they are, of others the `file`."""
    return pd.concat(map(_rows, files), ignore_index=True)


def _rows(file: str | Path) -> pd.DataFrame:
    if str(file).endswith(TABLES):
        return pd.read_csv(file)
    count = len(_frames(file)) if str(file).endswith(SERIES) else 1
    return pd.DataFrame({"file": [str(file)] * count})


def _of_file(file: Path, elements: tuple[str, ...]) -> list[Structure]:
    if file.name.endswith(TABLES):
        return _of_table(file, elements)
    if file.name.endswith(SERIES):
        return _of_series(file, elements)
    name = "POSCAR" if file.name.startswith("POSCAR") else file.suffix.lower()
    if name != "POSCAR" and name not in FORMATS:
        raise ValueError(
            f"expected a crystal as {', '.join((*FORMATS, *SERIES))} or a table as {', '.join(TABLES)}; got {file}. Convert it"
        )
    return [read_crystal(file.read_text(), FORMATS.get(name, "poscar"), elements, file)]


def _of_series(file: Path, elements: tuple[str, ...]) -> list[Structure]:
    crystals = [AseAtomsAdaptor.get_structure(own) for own in _frames(file)]
    for number, crystal in enumerate(crystals, start=1):
        expect_crystal(crystal, elements, f"{file}, crystal {number}")
    return crystals


def _frames(file: str | Path) -> list[Atoms]:
    frames = ase.io.read(file, index=":", format="extxyz")
    if not all(own.cell.rank == 3 for own in frames):
        raise ValueError(f"expected a cell of every crystal in {file}; got none. Write it as Lattice")
    for own in frames:
        own.calc = None  # energies and forces are not properties of these crystals
    return frames


def _of_table(file: Path, elements: tuple[str, ...]) -> list[Structure]:
    table = pd.read_csv(file)
    if "cif" not in table:
        raise ValueError(
            f"expected a column 'cif' in {file}; got {', '.join(map(str, table.columns))}. Write a CIF in every row"
        )
    crystals = []
    for number, row in enumerate(progress(table.to_dict("records"), f"{file.name}: crystals"), start=1):
        crystals.append(read_crystal(row.pop("cif"), "cif", elements, f"{file}, row {number}"))
        crystals[-1].properties = row
    return crystals


def read_crystal(text: str, format: str, elements: Iterable[str], where: str | Path) -> Structure:
    """One crystal of a file in a format that pymatgen reads (cif, poscar, json, ...), without oxidation states.

    Raises:
        ValueError: it is not one, has other elements, partial occupancies, atoms on top of each other, or no volume.
    """
    with warnings.catch_warnings(record=True) as told:  # of rounded coordinates and the like
        warnings.simplefilter("always")
        try:
            structure = Structure.from_str(text, fmt=format)
        except Exception as error:  # pymatgen and its parsers raise a dozen types
            # Why a CIF has no crystal stands in the last warning.
            why = str(told[-1].message if told else error).strip(" .\n").rpartition("\n")[2]
            raise ValueError(
                f"expected a crystal in {where}; got {type(error).__name__}: {why[:120]}. Correct the file"
            ) from error
    expect_crystal(structure, elements, where)
    return structure.remove_oxidation_states()


def expect_crystal(structure: Structure, elements: Iterable[str], where: str | Path) -> None:
    """Raise ValueError in one line where a crystal is not what a study of these elements can learn from."""
    if not structure.is_ordered:
        raise ValueError(
            f"expected whole atoms in {where}; got partial occupancies. Write one ordered crystal for each arrangement"
        )
    if others := sorted({site.specie.symbol for site in structure} - set(elements)):
        raise ValueError(
            f"expected {', '.join(elements)} in {where}; got {', '.join(others)}. Add it to `data.elements`, or leave the crystal out"
        )
    if not SMALLEST_VOLUME * len(structure) <= structure.volume < np.inf:  # nor NaN
        raise ValueError(
            f"expected at least {SMALLEST_VOLUME:g} cubic Angstrom per atom in {where}; got {structure.volume / len(structure):.3g}. Correct the cell"
        )
    if (shortest := shortest_distance(structure)) < SHORTEST_ANGSTROM:
        raise ValueError(
            f"expected atoms at least {SHORTEST_ANGSTROM} Angstrom apart in {where}; got {shortest:.3f}. Correct the positions"
        )


def shortest_distance(structure: Structure, within_angstrom: float = 5.0) -> float:
    """Between two atoms or an atom and its own image, in Angstrom; `within_angstrom` where there is none within it."""
    distances = structure.get_neighbor_list(within_angstrom)[3]
    return float(distances.min(initial=within_angstrom))


def write_extxyz(path: str | Path, crystals: Crystals | Sequence[Atoms]) -> None:
    """Write crystals, or other atoms in their cells, in extended XYZ, whole or not at all."""
    is_arrays = isinstance(crystals, Crystals)
    frames = [own.to_ase_atoms() for own in crystals.structures()] if is_arrays else list(crystals)
    with atomic(Path(path)) as file:
        ase.io.write(file, frames, format="extxyz")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, whole or not at all."""
    with atomic(Path(path)) as file:
        table.to_csv(file, index=False)
