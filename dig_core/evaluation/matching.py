"""Crystals against known ones: matches by StructureMatcher, recall, validity, coordination and density.

Two tolerances: pymatgen's own (0.2, 0.3, 5), and those of DiG, SI A.7 (0.3, 0.5, 10), at which one crystal can match
diamond and graphite. The matcher brings volumes together, so it does not see densities. Its root-mean-square distance
is in units of (V/N)^(1/3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from dig_core.crystals import primitive
from dig_core.runtime import progress

TOLERANCES = {"": (0.2, 0.3, 5.0), "_paper": (0.3, 0.5, 10.0)}  # ltol, stol, angle_tol in degrees


def matcher(tolerances: tuple[float, float, float] = TOLERANCES[""]) -> StructureMatcher:
    """Compares primitive cells of any volume."""
    lengths, sites, angles = tolerances
    return StructureMatcher(ltol=lengths, stol=sites, angle_tol=angles)


@dataclass(frozen=True)
class Matches:
    """Root-mean-square distances in units of (V/N)^(1/3), infinite where sample and reference do not match."""

    distances: Float[np.ndarray, "samples references"]

    @property
    def found(self) -> Bool[np.ndarray, " samples"]:
        """Which samples match a reference."""
        return np.isfinite(self.distances).any(axis=1)

    @property
    def reference(self) -> Int[np.ndarray, " samples"]:
        """The reference that each sample is nearest to, -1 for none."""
        return np.where(self.found, np.argmin(self._padded, axis=1), -1)

    @property
    def rms(self) -> Float[np.ndarray, " samples"]:
        """The distance to it, NaN for none."""
        return np.where(self.found, self.distances.min(axis=1, initial=np.inf), np.nan)

    @property
    def _padded(self) -> Float[np.ndarray, "samples _"]:
        """With a reference that nothing matches: there may be no other."""
        return np.pad(self.distances, ((0, 0), (0, 1)), constant_values=np.inf)

    def recall(self, weights: Float[np.ndarray, " references"]) -> float:
        """The share of references, by weight, that some sample matches."""
        seen = np.isfinite(self.distances).any(axis=0)
        return float(weights[seen].sum() / weights.sum())


def matches(
    samples: Sequence[Structure], references: Sequence[Structure], compare: StructureMatcher
) -> Matches:
    """Every sample against every reference, as `compare.get_rms_dist(reference, sample)`; each is reduced only once.

    To crystals whose primitive cells have other atoms, StructureMatcher, which makes no supercells, says no.

    Args:
        compare: with `primitive_cell=True` and `attempt_supercell=False`, as `matcher` makes it.
    """
    known: dict[str, list[tuple[int, Structure]]] = {}
    for number, reference in enumerate(map(primitive, references)):
        if reference:
            known.setdefault(reference.formula, []).append((number, reference))
    distances = np.full((len(samples), len(references)), np.inf)
    for row, sample in zip(distances, progress(samples, "crystals compared"), strict=True):
        if own := primitive(sample):
            for number, reference in known.get(own.formula, ()):
                row[number] = _distance(reference, own, compare)
    return Matches(distances)


def _distance(reference: Structure, sample: Structure, compare: StructureMatcher) -> float:
    # get_rms_dist without its reductions, four times as long as the comparison: only `fit` offers to skip them.
    pair = compare._preprocess(reference, sample, skip_structure_reduction=True)
    found = compare._match(*pair, use_rms=True)
    return np.inf if found is None else float(found[0])


def prototypes(structures: Sequence[Structure], compare: StructureMatcher) -> Int[np.ndarray, " crystals"]:
    """The number of the prototype of each crystal: that of the first earlier one which matches it, or a new one.

    Compared are primitive cells with as many atoms of each element; to others the matcher, which makes no supercells,
    says no. A match is one of all atoms (`fit`), and the order matters. A crystal that `primitive` refuses is alone.
    """
    first: dict[str, list[tuple[int, Structure]]] = {}
    numbers: list[int] = []
    for structure in progress(structures, "crystals told apart"):
        own, new = primitive(structure), max(numbers, default=-1) + 1
        alike = first.setdefault(own.formula, []) if own else []
        known = (k for k, other in alike if compare.fit(other, own, skip_structure_reduction=True))
        numbers.append(next(known, new))
        if own and numbers[-1] == new:
            alike.append((new, own))
    return np.array(numbers, dtype=np.int64)


def held_out_prototypes(
    numbers: Int[np.ndarray, " crystals"], share: float, seed: int
) -> Bool[np.ndarray, " crystals"]:
    """Which crystals are of prototypes that are held out: whole ones, by lot, about `share` of them; at least one unless it is 0.

    Raises:
        ValueError: there is only one prototype.
    """
    distinct = np.unique(numbers)
    if share == 0.0:
        return np.zeros(len(numbers), dtype=bool)
    if len(distinct) < 2:
        raise ValueError(
            "expected crystals of two prototypes or more, to hold one out; got one. Add other crystals, or write held_out_share: 0.0"
        )
    count = np.clip(round(share * len(distinct)), 1, len(distinct) - 1)
    return np.isin(numbers, np.random.default_rng(seed).permutation(distinct)[:count])


@dataclass(frozen=True)
class Bonds:
    """What is a bond, and how many an atom has.

    Args:
        within_angstrom: neighbours are bonded within this distance.
        shortest_angstrom: no two atoms are closer.
        neighbours: numbers of bonds that an atom may have.
    """

    within_angstrom: float = 1.85  # diamond has 1.54, and the next atoms are 2.5 away
    shortest_angstrom: float = 1.2
    neighbours: Sequence[int] = (3, 4)


@dataclass(frozen=True)
class Bonding:
    """The bonds of crystals."""

    bonds: Bonds
    shortest_angstrom: Float[np.ndarray, " crystals"]
    coordination: Sequence[Int[np.ndarray, " _"]]  # by crystal, then by atom

    @property
    def close(self) -> Bool[np.ndarray, " crystals"]:
        """Two atoms are too close."""
        return self.shortest_angstrom < self.bonds.shortest_angstrom

    @property
    def valid(self) -> Bool[np.ndarray, " crystals"]:
        """No two atoms are too close, and every atom has as many neighbours as it may."""
        bonded = np.array([np.isin(own, self.bonds.neighbours).all() for own in self.coordination])
        return bonded & ~self.close

    @property
    def most_bonded_share(self) -> Float[np.ndarray, " crystals"]:
        """The share of atoms with the largest allowed number of neighbours; of carbon those with four (sp3)."""
        return np.array([np.mean(own == max(self.bonds.neighbours)) for own in self.coordination])


def bonding(structures: Sequence[Structure], bonds: Bonds) -> Bonding:
    """Shortest distances (of images, too; that of a bond where none is shorter) and numbers of neighbours.

    Cells that `primitive` refuses, whose images would fill the memory, have atoms on top of each other.
    """
    shortest, coordination = [], []
    for structure in structures:
        if primitive(structure) is None:
            shortest.append(0.0)
            coordination.append(np.zeros(len(structure), dtype=int))
            continue
        first, _, _, distances = structure.get_neighbor_list(bonds.within_angstrom)
        shortest.append(distances.min(initial=bonds.within_angstrom))
        coordination.append(np.bincount(first, minlength=len(structure)))
    return Bonding(bonds, np.array(shortest), coordination)
