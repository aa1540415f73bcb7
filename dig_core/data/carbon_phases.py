"""Named phases of carbon, and the cells in which a crystal of so many atoms can be one of them.

Lattice constants were measured at room temperature: diamond, Straumanis and Aka, J. Am. Chem. Soc. 73, 5643 (1951);
lonsdaleite, Bundy and Kasper, J. Chem. Phys. 46, 3437 (1967), here with ideal positions; graphite, Baskin and Meyer,
Phys. Rev. 100, 544 (1955). Graphite is stacked as AB; ABC (rhombohedral) and AA, which has not been found in nature,
are given the same layers and spacing.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

LAYER, SPACING = 2.461, 3.354  # Angstrom: lattice constant within a layer of graphite, and between layers

# Space group, conventional cell in Angstrom, fractional coordinates of inequivalent atoms.
PHASES: Mapping[str, tuple[str, Lattice, list[list[float]]]] = {
    "diamond": ("Fd-3m", Lattice.cubic(3.567), [[0, 0, 0]]),
    "lonsdaleite": ("P6_3/mmc", Lattice.hexagonal(2.52, 4.12), [[1 / 3, 2 / 3, 1 / 16]]),
    "graphite_aa": ("P6/mmm", Lattice.hexagonal(LAYER, SPACING), [[1 / 3, 2 / 3, 0]]),
    "graphite_ab": (
        "P6_3/mmc",
        Lattice.hexagonal(LAYER, 2 * SPACING),
        [[0, 0, 1 / 4], [1 / 3, 2 / 3, 1 / 4]],
    ),
    "graphite_abc": ("R-3m", Lattice.hexagonal(LAYER, 3 * SPACING), [[0, 0, 1 / 6]]),
}


def phase(name: str) -> Structure:
    """One of PHASES in its primitive cell: two atoms, or four (lonsdaleite, graphite AB).

    Raises:
        ValueError: there is none of that name.
    """
    if name not in PHASES:
        raise ValueError(f"expected one of {', '.join(PHASES)}; got {name}. Name a phase of carbon")
    group, lattice, positions = PHASES[name]
    return Structure.from_spacegroup(
        group, lattice, ["C"] * len(positions), positions
    ).get_primitive_structure()


def cells_of_phases(largest_atoms: int) -> dict[str, Structure]:
    """All phases in all of their cells of at most so many atoms, named `<phase>_<atoms>_<number>`, numbers from 1."""
    cells = {}
    for name in PHASES:
        own = phase(name)
        for atoms in range(len(own), largest_atoms + 1, len(own)):
            for number, cell in enumerate(supercells(own, atoms), start=1):
                cells[f"{name}_{atoms}_{number}"] = cell
    return cells


def supercells(crystal: Structure, atoms: int) -> list[Structure]:
    """All cells of so many atoms that repeat a crystal, reduced (Niggli); none where `atoms` is no multiple of its own.

    Two that a symmetry of the crystal turns into each other are one (Hart and Forcade, Phys. Rev. B 77, 224115 (2008)).

    Args:
        crystal: in its primitive cell; with another one, only multiples of that.
    """
    multiple, rest = divmod(atoms, len(crystal))
    if rest or multiple < 1:
        return []
    cells = _distinct(_sublattices(multiple), _rotations(crystal))
    return [crystal.make_supercell(cell, in_place=False).get_reduced_structure("niggli") for cell in cells]


def _sublattices(index: int) -> Int[np.ndarray, "sublattices 3 3"]:
    # Each once, by its Hermite normal form: rows are its vectors in terms of those of the lattice.
    diagonals = [
        (a, b, index // (a * b))
        for a in range(1, index + 1)
        for b in range(1, index + 1)
        if index % (a * b) == 0
    ]
    return np.array(
        [
            [[a, x, y], [0, b, z], [0, 0, c]]
            for a, b, c in diagonals
            for x in range(b)
            for y in range(c)
            for z in range(c)
        ]
    )


def _rotations(crystal: Structure) -> Float[np.ndarray, "rotations 3 3"]:
    # They act from the right on rows of fractional coordinates, and are made of whole numbers.
    operations = SpacegroupAnalyzer(crystal).get_symmetry_operations()
    return np.unique([np.rint(own.rotation_matrix.T) for own in operations], axis=0)


def _distinct(
    cells: Int[np.ndarray, "cells 3 3"], rotations: Float[np.ndarray, "rotations 3 3"]
) -> list[Int[np.ndarray, "3 3"]]:
    distinct = []
    while len(cells):
        distinct.append(cells[0])
        # One cell in terms of another of the same volume: whole numbers if and only if they span the same lattice.
        turned = cells[0] @ rotations[:, None] @ np.linalg.inv(cells)
        same = np.isclose(turned, np.rint(turned), atol=1e-6).all(axis=(-2, -1)).any(axis=0)
        cells = cells[~same]
    return distinct
