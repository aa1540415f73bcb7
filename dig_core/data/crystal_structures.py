"""Crystal structures from which surfaces are cut, and how."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """A crystal structure, in terms of the axes of the conventional cell.

    Args:
        primitive: vectors of the primitive cell as rows.
        positions: of its atoms.
        kinds: of these: A is the element of which there is more, or the one named first.
        c_over_a: ideal ratio of the axes.
    """

    primitive: Sequence[Sequence[float | int]]
    positions: Sequence[Sequence[float | int]]
    kinds: str
    c_over_a: float = 1.0


_CUBE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

_FCC = Order(((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), ((0, 0, 0),), "A")

STRUCTURES: Mapping[str, Order] = {
    "fcc": _FCC,
    "hcp": Order(_CUBE, ((0, 0, 0), (1 / 3, 2 / 3, 0.5)), "AA", math.sqrt(8 / 3)),
    "bcc": Order(((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)), ((0, 0, 0),), "A"),
    "L1_2": Order(_CUBE, ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), "BAAA"),
    "L1_0": Order(((0.5, 0.5, 0), (-0.5, 0.5, 0), (0, 0, 1)), ((0, 0, 0), (0.5, 0, 0.5)), "AB"),
    "B2": Order(_CUBE, ((0, 0, 0), (0.5, 0.5, 0.5)), "AB"),
    "random": _FCC,
}


@dataclass(frozen=True)
class Cut:
    """A surface that is cut from a crystal: the settings of `data.surfaces.slab`."""

    composition: Mapping[str, int]
    structure: str
    miller: Sequence[int]
    lattice_angstrom: float | int
    c_angstrom: float | int | None = None
    repeat: Sequence[int] = (2, 2)
    layers: int = 4
    vacuum_angstrom: float | int = 15.0
    seed: int = 0

    @property
    def order(self) -> Order:
        """The crystal structure."""
        return STRUCTURES[self.structure]

    @property
    def c(self) -> float | int:
        """The third axis of the conventional cell in Angstrom."""
        return self.order.c_over_a * self.lattice_angstrom if self.c_angstrom is None else self.c_angstrom
