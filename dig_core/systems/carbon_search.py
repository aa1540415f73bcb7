"""Random structure search: crystals by lot are relaxed under a pressure, and those of low enthalpy are kept (Pickard and Needs 2011, arXiv 1101.3987).

Crystals by lot obey a space group, so that few coordinates are free. Known crystals are relaxed as well: some hundred starts seldom find diamond.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Composition, Structure
from pymatgen.io.cif import CifWriter

from dig_core.crystals import primitive
from dig_core.data.carbon_phases import supercells
from dig_core.data.crystal_files import SHORTEST_ANGSTROM, read_crystals, shortest_distance
from dig_core.energies.crystal_relaxation import relaxed
from dig_core.evaluation.matching import matcher, prototypes
from dig_core.runtime import progress

# Those whose point group has at most eight operations: with more, almost all crystals by lot are stuck far above the lowest.
SPACE_GROUPS = (*range(2, 123), *range(143, 162), *range(168, 175))
ENTHALPY = "enthalpy_eV_per_atom"


def searched(search: Mapping[str, Any], elements: Sequence[str], part: tuple[int, int]) -> pd.DataFrame:
    """One part of a search: crystals at rest, a row each, with `start` (known_1, ..., random_1, ...), enthalpy in eV per atom and `cif`.

    A known crystal gives all of its cells that have the atoms of one of `cells`; one by lot its own.

    Args:
        search: settings `data.search`.
        part: which of so many parts this is, from 0.
    """
    number, parts = part
    known = {f"known_{k}": own for k, own in enumerate(_known(search["known"], elements), start=1)}
    names = [*known, *(f"random_{k}" for k in range(1, search["starts"] + 1))][number::parts]
    rows = []
    for name in progress(names, "crystals relaxed"):
        crystal = known[name] if name in known else random_start(int(name[7:]), search)
        found = relaxed(crystal, search)
        if found.at_rest and shortest_distance(found.crystal) >= SHORTEST_ANGSTROM:
            cells = _cells(found.crystal, search["cells"]) if name in known else [found.crystal]
            enthalpy = found.enthalpy_eV_per_atom
            rows += [(name, enthalpy, str(CifWriter(own, significant_figures=6))) for own in cells]
    print(f"{len({name for name, *_ in rows})} of {len(names)} crystals came to rest", flush=True)
    return pd.DataFrame(rows, columns=["start", ENTHALPY, "cif"])


def gathered(files: Sequence[str | Path], window_eV_per_atom: float) -> pd.DataFrame:
    """All crystals of the parts whose enthalpy is within a window (eV per atom) above the lowest of their formula, lowest first.

    Raises:
        ValueError: none came to rest.
    """
    table = pd.concat(map(pd.read_csv, files), ignore_index=True)
    if table.empty:
        raise ValueError(
            "expected crystals that come to rest; got none. Raise data.search.steps or data.search.starts"
        )
    ratios = [
        Structure.from_str(cif, fmt="cif").composition.reduced_formula
        for cif in progress(table["cif"], "crystals read")
    ]
    above = table[ENTHALPY] - table.groupby(ratios)[ENTHALPY].transform("min")
    print(
        f"{(above <= window_eV_per_atom).sum()} of {len(table)} crystals within {window_eV_per_atom:g} eV per atom of the lowest",
        flush=True,
    )
    return table[above <= window_eV_per_atom].sort_values(ENTHALPY, kind="stable", ignore_index=True)


def random_start(number: int, search: Mapping[str, Any]) -> Structure:
    """The crystal by lot of this number, from 1: the same for the same `seed` and `cells`, which take turns."""
    atoms = search["cells"][(number - 1) % len(search["cells"])]
    crystal = random_crystal(atoms, np.random.default_rng([search["seed"], number]))
    return crystal.scale_lattice(search["volume_per_atom_angstrom3"] * len(crystal))


def random_crystal(atoms: Mapping[str, int], generator: np.random.Generator) -> Structure:
    """So many atoms on positions of a space group by lot, none of them too close, in a cell that is primitive.

    Raises:
        RuntimeError: PyXtal, which knows the positions, is not installed.
    """
    if importlib.util.find_spec("pyxtal") is None:
        raise RuntimeError(
            "expected the package pyxtal; got none. Install it with `pip install -e '.[materials]'`"
        )
    from pyxtal import pyxtal
    from pyxtal.msg import Comp_CompatibilityError, VolumeError

    while True:
        crystal, group = pyxtal(), int(generator.choice(SPACE_GROUPS))
        lot = int(generator.integers(2**31))
        try:
            crystal.from_random(3, group, list(atoms), list(atoms.values()), random_state=lot)
        except (Comp_CompatibilityError, VolumeError):  # the positions of that group hold no such number
            continue
        found = primitive(crystal.to_pymatgen()) if crystal.valid else None
        if found and len(found) == sum(atoms.values()):
            return found


def _known(files: Sequence[str], elements: Sequence[str]) -> list[Structure]:
    """The first of each prototype in the files, in its primitive cell."""
    found = read_crystals(files, elements)
    first = np.unique(prototypes(found, matcher()), return_index=True)[1] if found else []
    return [own for k in first if (own := primitive(found[k]))]


def _cells(crystal: Structure, asked: Sequence[Mapping[str, int]]) -> list[Structure]:
    """Its cells with these atoms."""
    smallest = primitive(crystal)
    if smallest is None:
        return []
    wanted = [Composition(atoms) for atoms in asked]
    return [
        cell
        for whole in wanted
        if smallest.composition.reduced_formula == whole.reduced_formula
        for cell in supercells(smallest, round(whole.num_atoms))
    ]
