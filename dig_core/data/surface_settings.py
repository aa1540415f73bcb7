"""What a surface is cut from, and how: crystal structures, and settings that are checked."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ase.data import chemical_symbols

ELEMENTS = tuple(chemical_symbols[1:])

SMALLEST_VACUUM_ANGSTROM = 8.0  # with less, the next slab touches what is adsorbed


@dataclass(frozen=True)
class Order:
    """A crystal structure, in terms of the axes of the conventional cell.

    Args:
        primitive: vectors of the primitive cell as rows.
        positions: of its atoms.
        kinds: of these: A is the element of which there is more, or the one named first.
        c_over_a: ideal ratio of the axes.
        c_is_free: whether the ratio may be another one.
    """

    primitive: Sequence[Sequence[float | int]]
    positions: Sequence[Sequence[float | int]]
    kinds: str
    c_over_a: float = 1.0
    c_is_free: bool = False


_CUBE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

_FCC = Order(((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), ((0, 0, 0),), "A")

STRUCTURES: Mapping[str, Order] = {
    "fcc": _FCC,
    "hcp": Order(_CUBE, ((0, 0, 0), (1 / 3, 2 / 3, 0.5)), "AA", math.sqrt(8 / 3), c_is_free=True),
    "bcc": Order(((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)), ((0, 0, 0),), "A"),
    "L1_2": Order(_CUBE, ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), "BAAA"),
    "L1_0": Order(
        ((0.5, 0.5, 0), (-0.5, 0.5, 0), (0, 0, 1)), ((0, 0, 0), (0.5, 0, 0.5)), "AB", c_is_free=True
    ),
    "B2": Order(_CUBE, ((0, 0, 0), (0.5, 0.5, 0.5)), "AB"),
    "random": _FCC,
}


@dataclass(frozen=True)
class CutSurface:
    """The settings of a surface that is cut from a crystal, as `data.surfaces.slab` has them."""

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


def cut_surface(surface: Mapping[str, Any]) -> CutSurface:
    """The settings, checked; ValueError in one line for what is missing, unknown or out of range."""
    settings = fields(CutSurface)
    for key in surface:
        expect_known(key, [own.name for own in settings], "a setting of a surface")
    if missing := [own.name for own in settings if own.default is MISSING and own.name not in surface]:
        raise ValueError(f"expected {', '.join(missing)} of the surface; got none. Add it")
    expect_known(surface["structure"], STRUCTURES, "a structure")
    _expect_composition(surface["composition"], surface["structure"])
    _expect_plane(surface["miller"], surface["structure"])
    _expect_sizes(surface)
    return CutSurface(**surface)


def _expect_whole(name: str, numbers: Iterable[Any], least: int) -> None:
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(
                f"expected whole numbers of at least {least} as {name}; got {number!r}. Correct the surface"
            )


def _expect_composition(composition: Mapping[str, Any], structure: str) -> None:
    for element in composition:
        expect_known(element, ELEMENTS, "an element")
    _expect_whole("composition", composition.values(), 1)
    amounts, kinds = sorted(composition.values(), reverse=True), STRUCTURES[structure].kinds
    parts = [kinds.count(kind) for kind in sorted(set(kinds))]
    if structure == "random":
        fits, shape = len(amounts) > 1, "at least two elements"
    elif len(parts) == 1:
        fits, shape = len(amounts) == 1, "one element"
    else:
        fits = len(amounts) == 2 and amounts[0] * parts[1] == amounts[1] * parts[0]
        shape = f"two elements as {parts[0]}:{parts[1]}"
    if not fits:
        raise ValueError(
            f"expected {shape} in a crystal {structure}; got {dict(composition)}. Change the composition or the structure"
        )


def _expect_plane(miller: Sequence[Any], structure: str) -> None:
    for number in miller:
        _expect_whole("miller, apart from signs", [abs(number)], 0)
    is_four = len(miller) == 4 and structure == "hcp" and sum(miller[:3]) == 0
    if not any(miller) or not (len(miller) == 3 or is_four):
        raise ValueError(
            f"expected three Miller indices, not all 0, or four h, k, -h-k, l of hcp; got {list(miller)}. Correct `miller`"
        )


def _expect_sizes(surface: Mapping[str, Any]) -> None:
    _expect_whole("repeat", surface.get("repeat", ()), 1)
    _expect_whole("layers", [surface.get("layers", 1)], 1)
    _expect_whole("seed", [surface.get("seed", 0)], 0)
    if len(surface.get("repeat", (1, 1))) != 2:
        raise ValueError(
            f"expected two numbers as repeat; got {list(surface['repeat'])}. Correct the surface"
        )
    if surface.get("c_angstrom") is not None and not STRUCTURES[surface["structure"]].c_is_free:
        raise ValueError(f"expected no c_angstrom of {surface['structure']}; got one. Remove it")
    _expect_length(surface, "lattice_angstrom", 1.0)
    _expect_length(surface, "c_angstrom", 1.0)
    _expect_length(surface, "vacuum_angstrom", SMALLEST_VACUUM_ANGSTROM)


def _expect_length(surface: Mapping[str, Any], name: str, least: float) -> None:
    length = surface.get(name)
    if length is not None and not least <= length < math.inf:  # nor NaN
        raise ValueError(f"expected {name} of at least {least:g}; got {length}. Correct the surface")


def expect_known(word: object, known: Iterable[str], what: str) -> None:
    """Raise ValueError with the nearest and all known words for one that is not among them."""
    if word in (known := list(known)):
        return
    nearest = difflib.get_close_matches(str(word), known, n=1)
    advice = f"Did you mean {nearest[0]!r}? " if nearest else ""
    raise ValueError(f"expected {what}; got {word!r}. {advice}Known are {', '.join(known)}")
