"""Slabs of metals and alloys, cut from their crystals.

A slab is an ase.Atoms whose third lattice vector points along z, with its lowest atom at z = 0 and all of its vacuum above.
It repeats in all three directions (`pbc` is True three times): calculators like CHGNet need a full cell, and the vacuum keeps
images apart. `tags` number the layers from the top, 1 for the uppermost and 0 for adsorbates, as in ASE. Lengths are in Angstrom.

Ordered alloys are named as in Strukturbericht (Mehl et al., Comput. Mater. Sci. 136, S1 (2017)): L1_2 (A3B, like Cu3Au) and
L1_0 (AB, like CuAu) order fcc sites, B2 (AB, like CsCl) orders bcc sites.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import ase.build
import numpy as np
from ase import Atoms
from ase.cell import Cell
from jaxtyping import Int

from dig_core.data.crystal_structures import Cut
from dig_core.data.slabs import LAYER_TOLERANCE_ANGSTROM, layers_of, with_short_vectors

FLAT_ANGSTROM = 1e-3  # heights closer than that are the same in a crystal


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
        ValueError: layers are too close to be told apart, or an element of a random alloy has none of the sites. What else can be
            wrong with the settings is for `settings.adsorption.CutSurface` to say.
    """
    wanted = Cut(**surface)
    unit = with_short_vectors(_cut(wanted))
    unit.rotate(-math.degrees(math.atan2(unit.cell[0, 1], unit.cell[0, 0])), "z", rotate_cell=True)
    whole = _in_order(unit.repeat((*wanted.repeat, 1)))
    whole.cell[2] = (0.0, 0.0, np.ptp(whole.positions[:, 2]) + wanted.vacuum_angstrom)
    if wanted.structure == "random":
        whole.symbols = _random_symbols(wanted, len(whole))
    return whole


def crystal(surface: Mapping[str, Any]) -> Atoms:
    """The primitive cell of the crystal from which a surface is cut, `surface` as for `slab`."""
    return _crystal(Cut(**surface))


def _crystal(wanted: Cut) -> Atoms:
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


def _primitive_plane(wanted: Cut) -> list[int]:
    # The index of a plane along a lattice vector is their scalar product: here for vectors with halves of the axes.
    numbers = np.array(wanted.miller)[[0, 1, -1]]
    doubled = np.rint(2 * np.array(wanted.order.primitive) @ numbers).astype(int)
    return (doubled // np.gcd.reduce(doubled)).tolist()


def _cut(wanted: Cut) -> Atoms:
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


def _random_symbols(wanted: Cut, sites: int) -> list[str]:
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
