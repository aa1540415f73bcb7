"""Crystals against known ones: matches by StructureMatcher, recall, validity, coordination and density.

Two tolerances: pymatgen's own (0.2, 0.3, 5), and those of DiG, SI A.7 (0.3, 0.5, 10), at which one crystal can match
diamond and graphite. The matcher brings volumes together, so it does not see densities. Its root-mean-square distance
is in units of (V/N)^(1/3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from dig_core.crystals import primitive
from dig_core.runtime import progress

TOLERANCES = {"": (0.2, 0.3, 5.0), "_paper": (0.3, 0.5, 10.0)}  # ltol, stol, angle_tol in degrees
BOND_ANGSTROM = 1.85  # between neighbours: diamond has 1.54, the next ones are 2.5 away
SHORTEST_ANGSTROM = 1.2


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
        return np.where(self.found, self.distances.argmin(axis=1), -1)

    @property
    def rms(self) -> Float[np.ndarray, " samples"]:
        """The distance to it, NaN for none."""
        return np.where(self.found, self.distances.min(axis=1), np.nan)

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


def prototypes(structures: Sequence[Structure], matcher: StructureMatcher) -> Int[np.ndarray, " crystals"]:
    """The number of the prototype of each crystal: that of the first earlier one which matches it, or a new one.

    Compared are primitive cells with as many atoms of each element; to others the matcher, which makes no supercells,
    says no. A match is one of all atoms (`fit`), and the order matters. A crystal that `primitive` refuses is alone.
    """
    first: dict[str, list[tuple[int, Structure]]] = {}
    numbers: list[int] = []
    for structure in progress(structures, "crystals told apart"):
        own, new = primitive(structure), max(numbers, default=-1) + 1
        alike = first.setdefault(own.formula, []) if own else []
        known = (k for k, other in alike if matcher.fit(other, own, skip_structure_reduction=True))
        numbers.append(next(known, new))
        if own and numbers[-1] == new:
            alike.append((new, own))
    return np.array(numbers, dtype=np.int64)


def split_by_prototype(
    numbers: Int[np.ndarray, " crystals"], held_out_share: float, seed: int
) -> Mapping[str, np.ndarray]:
    """Indices of crystals that train and that are held out: whole prototypes, by lot, about `held_out_share` of them.

    At least one prototype is on either side.

    Raises:
        ValueError: there is only one.
    """
    distinct = np.unique(numbers)
    if len(distinct) < 2:
        raise ValueError(
            f"expected crystals of two prototypes or more, to hold one out; got {len(distinct)}. Add other crystals"
        )
    count = np.clip(round(held_out_share * len(distinct)), 1, len(distinct) - 1)
    held_out = np.isin(numbers, np.random.default_rng(seed).permutation(distinct)[:count])
    return {"train": np.flatnonzero(~held_out), "held_out": np.flatnonzero(held_out)}


@dataclass(frozen=True)
class Bonding:
    """Neighbours within BOND_ANGSTROM."""

    shortest_angstrom: Float[np.ndarray, " crystals"]
    coordination: Sequence[Int[np.ndarray, " _"]]  # by crystal, then by atom

    @property
    def valid(self) -> Bool[np.ndarray, " crystals"]:
        """No pair closer than SHORTEST_ANGSTROM, and every atom with three or four neighbours."""
        bonded = np.array([np.isin(own, (3, 4)).all() for own in self.coordination])
        return bonded & (self.shortest_angstrom >= SHORTEST_ANGSTROM)

    @property
    def fourfold_share(self) -> Float[np.ndarray, " crystals"]:
        """The share of atoms with four neighbours (sp3)."""
        return np.array([np.mean(own == 4) for own in self.coordination])


def bonding(structures: Sequence[Structure]) -> Bonding:
    """Shortest distances (of images, too; BOND_ANGSTROM where none is shorter) and numbers of neighbours."""
    shortest, coordination = [], []
    for structure in structures:
        first, _, _, distances = structure.get_neighbor_list(BOND_ANGSTROM)
        shortest.append(distances.min(initial=BOND_ANGSTROM))
        coordination.append(np.bincount(first, minlength=len(structure)))
    return Bonding(np.array(shortest), coordination)
