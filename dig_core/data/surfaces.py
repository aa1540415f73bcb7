"""Slabs of metals and alloys, and what is adsorbed on them.

A slab is an ase.Atoms whose third lattice vector points along z, with its lowest atom at z = 0 and all of its vacuum above.
It repeats in all three directions (`pbc` is True three times): calculators like CHGNet need a full cell, and the vacuum keeps
images apart. `tags` number the layers from the top, 1 for the uppermost and 0 for adsorbates, as in ASE. Lengths are in Angstrom.

Ordered alloys are named as in Strukturbericht (Mehl et al., Comput. Mater. Sci. 136, S1 (2017)): L1_2 (A3B, like Cu3Au) and
L1_0 (AB, like CuAu) order fcc sites, B2 (AB, like CsCl) orders bcc sites.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from jaxtyping import Float, Int
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from scipy.spatial import cKDTree

from dig_core.data.crystal_files import SHORTEST_ANGSTROM

SMALLEST_VACUUM_ANGSTROM = 8.0  # with less, the next slab touches what is adsorbed
LAYER_TOLERANCE_ANGSTROM = 0.6  # heights closer than that are of one layer
FLAT_ANGSTROM = 1e-3  # heights closer than that are the same in a crystal
ELEMENTS = tuple(chemical_symbols[1:])


@dataclass(frozen=True)
class _Order:
    # In terms of the axes of the conventional cell: rows are vectors of the primitive cell, and positions of its atoms.
    primitive: Sequence[Sequence[float | int]]
    positions: Sequence[Sequence[float | int]]
    kinds: str  # of these atoms: A is the element of which there is more, or the one named first
    c_over_a: float = 1.0
    c_is_free: bool = False


_CUBE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_FCC = _Order(((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), ((0, 0, 0),), "A")
STRUCTURES: Mapping[str, _Order] = {
    "fcc": _FCC,
    "hcp": _Order(_CUBE, ((0, 0, 0), (1 / 3, 2 / 3, 0.5)), "AA", math.sqrt(8 / 3), c_is_free=True),
    "bcc": _Order(((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)), ((0, 0, 0),), "A"),
    "L1_2": _Order(_CUBE, ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)), "BAAA"),
    "L1_0": _Order(
        ((0.5, 0.5, 0), (-0.5, 0.5, 0), (0, 0, 1)), ((0, 0, 0), (0.5, 0, 0.5)), "AB", c_is_free=True
    ),
    "B2": _Order(_CUBE, ((0, 0, 0), (0.5, 0.5, 0.5)), "AB"),
    "random": _FCC,
}

# The atom that binds, a molecule of the G2 set (geometries at MP2(full)/6-31G(d): Curtiss et al., J. Chem. Phys. 106, 1063
# (1997)), and how many of its hydrogens the surface replaces: CH3 is methane without the one that would point down.
ADSORBATES: Mapping[str, tuple[str, str, int]] = {
    "H": ("H", "H", 0),
    "C": ("C", "C", 0),
    "N": ("N", "N", 0),
    "O": ("O", "O", 0),
    "CO": ("C", "CO", 0),
    "CH": ("C", "CH4", 3),
    "CH2": ("C", "CH4", 2),
    "CH3": ("C", "CH4", 1),
    "NH": ("N", "NH", 0),
    "NH2": ("N", "NH2", 0),
    "OH": ("O", "H2O", 1),
}


@dataclass(frozen=True)
class _Surface:
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
    def order(self) -> _Order:
        return STRUCTURES[self.structure]

    @property
    def c(self) -> float | int:
        return self.order.c_over_a * self.lattice_angstrom if self.c_angstrom is None else self.c_angstrom


def slab(surface: Mapping[str, Any]) -> Atoms:
    """A slab as it is cut from the crystal, not relaxed.

    Its vectors in the plane are the shortest ones, the first along x, each repeated. An atom of the uppermost layer is at
    x = y = 0. Atoms are sorted from the lowest layer to the uppermost, as in ASE, and within one by their coordinates.
    Of several terminations it has the one whose uppermost layer has most elements, and so is as near as any to the composition
    of the bulk; among equals the one with most of the element named first, then the one closest to the layer below.

    Args:
        surface: `composition` (element to whole number: {"Pt": 3, "Sn": 1}), `structure` (one of STRUCTURES; `random`: a
            random alloy on fcc sites), `miller` (three indices of the conventional cell, or four of hcp),
            `lattice_angstrom` (a of the conventional cell), and where other than the default `c_angstrom` (of hcp, else
            a sqrt(8/3); of L1_0, else a), `repeat` ([2, 2]: so many surface cells of the crystal along the shorter
            and the longer vector; one of L1_2 (111) has the size of 2 by 2 of fcc),
            `layers` (4: of atoms), `vacuum_angstrom` (15.0, above the top) and `seed` (0: which element of a random alloy sits
            where; of each there are as many as the composition says, to the nearest whole number).

    Raises:
        ValueError: a setting is missing, unknown or out of range, the composition is not that of the structure, layers are
            too close to be told apart, or an element of a random alloy has none of the sites.
    """
    wanted = _read(surface)
    unit = _with_short_vectors(_cut(wanted))
    unit.rotate(-math.degrees(math.atan2(unit.cell[0, 1], unit.cell[0, 0])), "z", rotate_cell=True)
    whole = _in_order(unit.repeat((*wanted.repeat, 1)))
    whole.cell[2] = (0.0, 0.0, np.ptp(whole.positions[:, 2]) + wanted.vacuum_angstrom)
    if wanted.structure == "random":
        whole.symbols = _random_symbols(wanted, len(whole))
    return whole


def _read(surface: Mapping[str, Any]) -> _Surface:
    settings = fields(_Surface)
    for key in surface:
        _expect_known(key, [own.name for own in settings], "a setting of a surface")
    if missing := [own.name for own in settings if own.default is MISSING and own.name not in surface]:
        raise ValueError(f"expected {', '.join(missing)} of the surface; got none. Add it")
    _expect_known(surface["structure"], STRUCTURES, "a structure")
    _expect_composition(surface["composition"], surface["structure"])
    _expect_plane(surface["miller"], surface["structure"])
    _expect_sizes(surface)
    return _Surface(**surface)


def _expect_known(word: object, known: Iterable[str], what: str) -> None:
    if word in (known := list(known)):
        return
    nearest = difflib.get_close_matches(str(word), known, n=1)
    advice = f"Did you mean {nearest[0]!r}? " if nearest else ""
    raise ValueError(f"expected {what}; got {word!r}. {advice}Known are {', '.join(known)}")


def _expect_whole(name: str, numbers: Iterable[Any], least: int) -> None:
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(
                f"expected whole numbers of at least {least} as {name}; got {number!r}. Correct the surface"
            )


def _expect_composition(composition: Mapping[str, Any], structure: str) -> None:
    for element in composition:
        _expect_known(element, ELEMENTS, "an element")
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


def _crystal(wanted: _Surface) -> Atoms:
    order = wanted.order
    angle = 120 if wanted.structure == "hcp" else 90
    axes = Cell.fromcellpar([wanted.lattice_angstrom, wanted.lattice_angstrom, wanted.c, 90, 90, angle]).array
    elements = sorted(wanted.composition, key=wanted.composition.__getitem__, reverse=True)
    return Atoms(
        [elements["AB".index(kind)] for kind in order.kinds],
        cell=order.primitive @ axes,
        positions=order.positions @ axes,
        pbc=True,
    )


def _primitive_plane(wanted: _Surface) -> list[int]:
    # The index of a plane along a lattice vector is their scalar product: here for vectors with halves of the axes.
    numbers = np.array(wanted.miller)[[0, 1, -1]]
    doubled = np.rint(2 * np.array(wanted.order.primitive) @ numbers).astype(int)
    return (doubled // np.gcd.reduce(doubled)).tolist()


def _cut(wanted: _Surface) -> Atoms:
    crystal = _crystal(wanted)
    # Each lattice plane has the same layers; with one more of them there are enough below each layer of the uppermost.
    planes = wanted.layers + 1
    block = ase.build.surface(crystal, _primitive_plane(wanted), planes)
    steps = np.diff(np.sort(block.positions[:, 2]))
    closest = steps[steps > FLAT_ANGSTROM].min()
    if closest <= LAYER_TOLERANCE_ANGSTROM:
        raise ValueError(
            f"expected layers more than {LAYER_TOLERANCE_ANGSTROM} Angstrom apart; got {closest:.2f} between two. Choose a surface with lower Miller indices"
        )
    layers = layers_of(block)
    terminations = int(layers.max()) // planes
    ranks = [_rank(block, layers, top, wanted.composition) for top in range(1, terminations + 1)]
    top = 1 + ranks.index(min(ranks))
    return block[(layers >= top) & (layers < top + wanted.layers)]


def _rank(block: Atoms, layers: Int[np.ndarray, " atoms"], top: int, elements: Iterable[str]) -> list[float]:
    # The lowest is the best termination; rounded, so that equals are equal. Random alloys, as yet of one element, are that too.
    symbols = np.array(block.symbols)[layers == top]
    shares = np.array([np.mean(symbols == element) for element in elements])
    height, below = (block.positions[layers == layer, 2].mean() for layer in (top, top + 1))
    return np.round([-np.count_nonzero(shares), -shares[0], height - below], 3).tolist()


def _with_short_vectors(atoms: Atoms) -> Atoms:
    # Lagrange's and Gauss' reduction in the plane. Vectors that are short already stay, at 60 or 120 degrees.
    first, second = atoms.cell[0].copy(), atoms.cell[1].copy()
    if np.linalg.norm(second) < (1 - 1e-6) * np.linalg.norm(first):
        first, second = second, first
    while times := round((1 - 1e-6) * (first @ second) / (first @ first)):
        second = second - times * first
        if np.linalg.norm(second) < (1 - 1e-6) * np.linalg.norm(first):
            first, second = second, first
    if np.cross(first, second)[2] < 0:
        second = -second
    atoms.cell[:2] = first, second
    return atoms


def _in_order(atoms: Atoms) -> Atoms:
    layers = layers_of(atoms)
    uppermost = atoms.positions[np.flatnonzero(layers == 1)[0]]
    atoms.positions -= (*uppermost[:2], atoms.positions[:, 2].min())
    atoms.cell[2] = (0.0, 0.0, 1.0)  # any height, for coordinates in the plane
    atoms.wrap(pbc=(True, True, False), eps=1e-6)
    x, y, _ = np.round(atoms.get_scaled_positions(wrap=False), 6).T
    order = np.lexsort((x, y, -layers))
    return Atoms(
        atoms.numbers[order],
        positions=atoms.positions[order],
        cell=atoms.cell,
        pbc=True,
        tags=layers[order],
    )


def _random_symbols(wanted: _Surface, sites: int) -> list[str]:
    amounts = np.array(list(wanted.composition.values()))
    exact = sites * amounts / amounts.sum()
    counts = np.floor(exact).astype(int)
    # Those that lose most by rounding down get the sites that are left.
    left = np.argsort(counts - exact, kind="stable")[: sites - counts.sum()]
    counts[left] += 1
    if not counts.all():
        raise ValueError(
            f"expected a site for each of {', '.join(wanted.composition)}; got {sites} sites for {dict(wanted.composition)}. Repeat more cells"
        )
    symbols = np.repeat(list(wanted.composition), counts)
    return np.random.default_rng(wanted.seed).permutation(symbols).tolist()


def layers_of(
    atoms: Atoms, tolerance_angstrom: float = LAYER_TOLERANCE_ANGSTROM
) -> Int[np.ndarray, " atoms"]:
    """The layer of each atom from the top, 1 for the uppermost: a new one begins where heights (z) leave a larger gap.

    Raises:
        ValueError: no atoms, or one layer is twice the tolerance high or more: it may be several.
    """
    heights = atoms.positions[:, 2]
    if not len(heights):
        raise ValueError("expected at least one atom; got none. Add the atoms of the slab")
    order = np.argsort(-heights, kind="stable")
    layers = np.empty(len(heights), dtype=int)
    layers[order] = 1 + np.cumsum(np.diff(-heights[order], prepend=-heights[order[0]]) > tolerance_angstrom)
    highest = max(np.ptp(heights[layers == layer]) for layer in np.unique(layers))
    if not highest < 2 * tolerance_angstrom:
        raise ValueError(
            f"expected layers with more than {tolerance_angstrom:g} Angstrom between them; got one of {highest:.2f} Angstrom in height. Choose a flatter surface or a smaller tolerance"
        )
    return layers


def cell_in_plane(atoms: Atoms) -> Float[np.ndarray, "2 2"]:
    """The two lattice vectors of the surface in Angstrom, as rows.

    Raises:
        ValueError: they span no area, have components along z, or the third vector is not along z.
    """
    cell = np.array(atoms.cell)
    if not (np.isfinite(cell).all() and np.linalg.matrix_rank(cell) == 3):
        raise ValueError(
            f"expected a cell of three lattice vectors; got {cell.round(3).tolist()}. Write the cell of the slab"
        )
    if not (np.abs([*cell[:2, 2], *cell[2, :2]]) < 1e-4).all() or cell[2, 2] < 0:
        raise ValueError(
            f"expected two lattice vectors in the plane of x and y and the third along z; got {cell.round(3).tolist()}. Turn the slab"
        )
    return cell[:2, :2]


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
    _with_short_vectors(whole).wrap(pbc=(True, True, False), eps=1e-6)
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


def adsorbate(name: str) -> Atoms:
    """One of ADSORBATES, ready to stand on a surface: the atom that binds is the first, at the origin, others are above.

    `info["bonds"]` holds its bonds as pairs of atoms. CO and NH are upright. CH, CH2 and CH3 are methane and OH is water with
    the surface in place of missing hydrogens, so OH is tilted by 76 degrees: an upright one would stay so in a relaxation.

    Raises:
        ValueError: there is none of that name.
    """
    _expect_known(name, ADSORBATES, "an adsorbate")
    binding, whole, replaced = ADSORBATES[name]
    molecule = ase.build.molecule(whole)
    first = molecule.symbols.search(binding)[0]
    others = [atom.index for atom in molecule if atom.index != first]
    around = molecule.positions[others] - molecule.positions[first]
    kept = around[replaced:]
    found = Atoms(
        [binding, *molecule.symbols[others[replaced:]]], [np.zeros(3), *kept], tags=[0] * (1 + len(kept))
    )
    if others:
        found.rotate(around[:replaced].sum(axis=0) if replaced else -kept.sum(axis=0), "-z")
    found.info["bonds"] = [(0, other) for other in range(1, len(found))]
    return found


def with_adsorbate(slab: Atoms, adsorbate: Atoms, position: Float[np.ndarray, "3"]) -> Atoms:
    """A new slab with an adsorbate whose first atom is at a position (x, y, z in Angstrom); its atoms are last, with tag 0."""
    placed = Atoms(adsorbate.numbers, adsorbate.positions - adsorbate.positions[0] + position)
    return slab + placed


def symmetry_operations(
    slab: Atoms, tolerance_angstrom: float = 0.01
) -> list[tuple[Int[np.ndarray, "2 2"], Float[np.ndarray, "2"]]]:
    """All symmetries of a slab that keep its top above, as rotation and translation in the plane.

    They map fractional coordinates of the surface cell, x to (rotation @ x + translation) mod 1, and make up a group:
    translations within the cell are among them. Found by spglib (Togo et al., Sci. Technol. Adv. Mater. Meth. 4, 2384822 (2024)).

    Args:
        slab: not necessarily a clean one.
        tolerance_angstrom: how far atoms may be from where a symmetry puts them.

    Raises:
        ValueError: the cell is not upright, see `cell_in_plane`.
    """
    cell_in_plane(slab)
    crystal = Structure(Lattice(slab.cell[:]), slab.numbers, slab.get_scaled_positions())
    operations = SpacegroupAnalyzer(crystal, tolerance_angstrom).get_symmetry_operations()
    return [
        (np.rint(own.rotation_matrix[:2, :2]).astype(int), own.translation_vector[:2] % 1.0)
        for own in operations
        if own.rotation_matrix[2, 2] > 0
    ]


def distinct_points(
    points: Float[np.ndarray, "points 2"],
    operations: Sequence[tuple[Int[np.ndarray, "2 2"], Float[np.ndarray, "2"]]],
    tolerance: float = 2e-3,
) -> tuple[Int[np.ndarray, " orbits"], Int[np.ndarray, " points"]]:
    """Which points are the same for the slab: the first of each orbit, and the number of its orbit for each point.

    Orbits are numbered from 0 by their first points. Where a symmetry leads from a point to none of the others, it joins
    nothing: the grid should have the symmetries of the slab, like one of 12 by 12 points for 2 by 2 surface cells.

    Args:
        points: fractional coordinates of the surface cell.
        operations: a whole group, as from `symmetry_operations`.
        tolerance: how far apart in fractional coordinates two points may be that are the same.
    """
    # Twice: -1e-17 % 1.0 is 1.0.
    within = points % 1.0 % 1.0
    tree = cKDTree(within, boxsize=1.0)
    firsts = np.arange(len(points))
    for rotation, translation in operations:
        images = (within @ rotation.T + translation) % 1.0 % 1.0
        same = tree.query_ball_point(images, tolerance)
        # In a group one operation leads to the first point of the orbit from each of its points.
        firsts = np.minimum(firsts, [min(own, default=len(points)) for own in same])
    # Tolerances are not transitive: a first point has to be in its own orbit.
    while (firsts[firsts] < firsts).any():
        firsts = firsts[firsts]
    return np.unique(firsts, return_inverse=True)
