"""Crystals as arrays, in reduced cells.

The cell is Niggli's reduced one, and its lattice the symmetric matrix with the same lengths and angles: rows are lattice vectors,
sqrt(G) of the metric G. Turning the crystal does not change it; its mirror image stays another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from pymatgen.core import Element, Lattice, Structure

SMALLEST_VOLUME = 1.0  # cubic Angstrom per atom
LARGEST_RATIO = 100.0  # of two sides of a reduced cell


@dataclass(frozen=True)
class Crystals:
    """Crystals of any number of atoms; those of all crystals stand one after another, coordinates in [0, 1)."""

    counts: Int[np.ndarray, " crystals"]
    fractional: Float[np.ndarray, "atoms 3"]
    atomic_numbers: Int[np.ndarray, " atoms"]
    lattices_angstrom: Float[np.ndarray, "crystals 3 3"]

    @classmethod
    def of(cls, structures: Sequence[Structure]) -> "Crystals":
        """In reduced cells with symmetric lattices."""
        reduced = [structure.get_reduced_structure("niggli") for structure in structures]
        return cls(
            np.array([len(structure) for structure in reduced]),
            # Twice: -1e-17 % 1.0 is 1.0.
            np.concatenate([structure.frac_coords % 1.0 % 1.0 for structure in reduced]),
            np.concatenate([structure.atomic_numbers for structure in reduced]),
            np.stack([symmetric_lattice(structure.lattice.matrix) for structure in reduced]),
        )

    def structures(self) -> list[Structure]:
        """As pymatgen has them."""
        ends = np.cumsum(self.counts)
        return [
            Structure(
                Lattice(lattice),
                self.atomic_numbers[last - count : last].tolist(),
                self.fractional[last - count : last],
            )
            for lattice, last, count in zip(self.lattices_angstrom, ends, self.counts, strict=True)
        ]

    def chosen(self, which: Bool[np.ndarray, " crystals"]) -> "Crystals":
        """Some of them, in the same order."""
        atoms = np.repeat(which, self.counts)
        return Crystals(
            self.counts[which],
            self.fractional[atoms],
            self.atomic_numbers[atoms],
            self.lattices_angstrom[which],
        )


def crystals_of(arrays: Mapping[str, np.ndarray]) -> Crystals:
    """The crystals in the arrays of a file."""
    return Crystals(**{name: arrays[name] for name in Crystals.__dataclass_fields__})


def atomic_numbers(atoms: Mapping[str, int]) -> Int[np.ndarray, " atoms"]:
    """Of so many atoms of each element, one after another."""
    return np.repeat([Element(symbol).Z for symbol in atoms], list(atoms.values()))


def symmetric_lattice(lattice: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """sqrt(L L^T): the lattice vectors (rows), turned together until the matrix is symmetric."""
    axes, lengths, _ = np.linalg.svd(lattice)
    return (axes * lengths[..., None, :]) @ np.swapaxes(axes, -1, -2)


def primitive(structure: Structure) -> Structure | None:
    """Niggli's cell and then the primitive one, as StructureMatcher reduces crystals.

    None for cells that only noise makes, smaller than SMALLEST_VOLUME or longer than LARGEST_RATIO: they take minutes,
    or all memory.
    """
    if not SMALLEST_VOLUME * len(structure) <= structure.volume < np.inf:
        return None
    # First a quick reduction: Niggli's takes minutes for a cell that is very skewed.
    compact = structure.get_reduced_structure("LLL")
    if max(compact.lattice.abc) > LARGEST_RATIO * min(compact.lattice.abc):
        return None
    return compact.get_reduced_structure("niggli").get_primitive_structure()
