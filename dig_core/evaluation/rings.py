"""Rings of bonds in crystals: the smallest through every two bonds of an atom (King, Nature 213, 1112 (1967))."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from pymatgen.core import Structure

Site = tuple[int, tuple[int, int, int]]  # an atom and the lattice translation of its image
Bonded = Mapping[int, Sequence[Site]]
LARGEST = 12  # atoms of a ring


def ring_sizes(crystal: Structure, within_angstrom: float) -> Int[np.ndarray, " angles"]:
    """How many atoms the smallest ring through each angle between bonds has; 0 where none has at most LARGEST."""
    bonded: dict[int, list[Site]] = {atom: [] for atom in range(len(crystal))}
    for first, second, image in zip(*crystal.get_neighbor_list(within_angstrom)[:3], strict=True):
        x, y, z = np.rint(image).astype(int).tolist()
        bonded[int(first)].append((int(second), (x, y, z)))
    sizes = [
        size
        for atom, ends in bonded.items()
        for place, start in enumerate(ends)
        for size in _smallest(bonded, atom, start, ends[place + 1 :])
    ]
    return np.array(sizes, dtype=np.int64)


def six_ring_share(crystal: Structure, within_angstrom: float) -> float:
    """The share of angles whose smallest ring has six atoms, as all of diamond and graphite have; 0 without bonds."""
    sizes = ring_sizes(crystal, within_angstrom)
    return float(np.mean(sizes == 6)) if len(sizes) else 0.0


def _smallest(bonded: Bonded, atom: int, start: Site, ends: Sequence[Site]) -> list[int]:
    """Sizes of rings from an atom of the home cell through `start` and each of `ends`: waves of bonds that go around the atom."""
    seen, wave, sizes = {(atom, (0, 0, 0)), start}, [start], dict.fromkeys(ends, 0)
    for size in range(3, LARGEST + 1):
        if all(sizes.values()):
            break
        wave = list({site for own in wave for site in _beside(bonded, own)} - seen)
        seen.update(wave)
        sizes.update((site, size) for site in wave if site in sizes)
    return list(sizes.values())


def _beside(bonded: Bonded, site: Site) -> list[Site]:
    atom, (x, y, z) = site
    return [(other, (x + a, y + b, z + c)) for other, (a, b, c) in bonded[atom]]
