"""Physical validity of structures: bond lengths, bond angles, clashes, chirality.

Criteria and tolerances of PoseBusters (Buttenschoen, Morris and Deane, Chemical Science 2024, doi
10.1039/D3SC04185A): bonds and 1-3 distances within 25 % of the bounds of distance geometry, all other pairs
at no less than 70 % of their lower bound. PoseBusters judges heavy atoms only; here the pairs of the bounds
decide, so that hydrogens may be judged too.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

CRITERIA = ("finite", "bond_lengths", "bond_angles", "no_clash", "chirality")


@dataclass(frozen=True)
class DistanceBounds:
    """Bounds of distances in Angstrom, and the pairs of atoms (indices) that each criterion judges.

    `lower`, `upper` [atoms, atoms] are symmetric. `bonds`, `angles` (1-3 pairs) and `nonbonded` (all that
    are further apart) are [pairs, 2].
    """

    lower: Float[np.ndarray, "atoms atoms"]
    upper: Float[np.ndarray, "atoms atoms"]
    bonds: Int[np.ndarray, "bonds 2"]
    angles: Int[np.ndarray, "angles 2"]
    nonbonded: Int[np.ndarray, "nonbonded 2"]


@dataclass(frozen=True)
class Tolerances:
    """Relative tolerances: 0.25 lets a distance lie from 0.75 of its lower to 1.25 of its upper bound."""

    bond_length: float = 0.25
    bond_angle: float = 0.25
    clash: float = 0.3


POSEBUSTERS = Tolerances()


@dataclass(frozen=True)
class Validity:
    """Which structures fulfil which criterion (true = good), each [structures].

    A structure with coordinates that are not finite fails `finite` alone: nothing else can be judged in it.
    """

    finite: Bool[np.ndarray, "structures"]
    bond_lengths: Bool[np.ndarray, "structures"]
    bond_angles: Bool[np.ndarray, "structures"]
    no_clash: Bool[np.ndarray, "structures"]
    chirality: Bool[np.ndarray, "structures"]

    @property
    def valid(self) -> Bool[np.ndarray, "structures"]:
        """Which structures fulfil every criterion."""
        return np.logical_and.reduce([getattr(self, name) for name in CRITERIA])

    def counts(self) -> dict[str, int]:
        """Numbers of structures: `structures`, how many fulfil each criterion, and `valid`."""
        passed = {name: int(getattr(self, name).sum()) for name in (*CRITERIA, "valid")}
        return {"structures": len(self.finite), **passed}


def distance_bounds(
    lower: Float[np.ndarray, "atoms atoms"],
    upper: Float[np.ndarray, "atoms atoms"],
    bonds: Int[np.ndarray, "bonds 2"],
) -> DistanceBounds:
    """Bounds (Angstrom) with 1-3 and further pairs derived from bonds; a bonded pair is never a 1-3 pair."""
    atoms = len(lower)
    bonded = np.zeros((atoms, atoms), dtype=bool)
    bonded[bonds[:, 0], bonds[:, 1]] = bonded[bonds[:, 1], bonds[:, 0]] = True
    # Integer product: the number of common neighbours.
    second = (bonded.astype(int) @ bonded.astype(int) > 0) & ~bonded
    upper_triangle = np.triu(np.ones((atoms, atoms), dtype=bool), k=1)
    pairs = (np.argwhere(mask & upper_triangle) for mask in (bonded, second, ~bonded & ~second))
    return DistanceBounds(lower, upper, *pairs)


def chirality_signs(
    positions: Float[np.ndarray, "structures atoms 3"], centres: Int[np.ndarray, "centres 4"]
) -> Int[np.ndarray, "structures centres"]:
    """Handedness of each stereocentre: sign of (r1 - c) . ((r2 - c) x (r3 - c)), 0 where flat or not finite.

    A row of `centres` is the index of the centre and of three of its neighbours; their order sets the
    sign's meaning.
    """
    with np.errstate(invalid="ignore"):
        arms = positions[:, centres[:, 1:]] - positions[:, centres[:, :1]]
        volume = np.einsum("sci,sci->sc", arms[:, :, 0], np.cross(arms[:, :, 1], arms[:, :, 2]))
    return np.where(np.isfinite(volume), np.sign(volume), 0).astype(np.int64)


def check(
    positions: Float[np.ndarray, "structures atoms 3"],
    bounds: DistanceBounds,
    centres: Int[np.ndarray, "centres 4"] | None = None,
    reference_signs: Int[np.ndarray, "centres"] | None = None,
    tolerances: Tolerances = POSEBUSTERS,
) -> Validity:
    """Judge structures (Angstrom) by bounds and, where centres are given, by the reference's handedness.

    Structures that are not finite are invalid, not an error. Raises ValueError when atoms and bounds do not
    fit together.
    """
    _require_fit(positions, bounds, centres, reference_signs)
    finite = np.isfinite(positions).all(axis=(1, 2))
    judged = np.where(finite[:, None, None], positions, 0.0)
    criteria = {
        "bond_lengths": _within_bounds(judged, bounds, bounds.bonds, tolerances.bond_length),
        "bond_angles": _within_bounds(judged, bounds, bounds.angles, tolerances.bond_angle),
        "no_clash": _apart(judged, bounds, tolerances.clash),
        "chirality": _same_handedness(judged, centres, reference_signs),
    }
    return Validity(finite, **{name: passed | ~finite for name, passed in criteria.items()})


def _distances(
    positions: np.ndarray, pairs: Int[np.ndarray, "pairs 2"]
) -> Float[np.ndarray, "structures pairs"]:
    separation = positions[:, pairs[:, 0]] - positions[:, pairs[:, 1]]
    return np.sqrt(np.einsum("spi,spi->sp", separation, separation))


def _within_bounds(
    positions: np.ndarray, bounds: DistanceBounds, pairs: Int[np.ndarray, "pairs 2"], tolerance: float
) -> Bool[np.ndarray, "structures"]:
    distances, (i, j) = _distances(positions, pairs), pairs.T
    low, high = (1 - tolerance) * bounds.lower[i, j], (1 + tolerance) * bounds.upper[i, j]
    return np.all((distances >= low) & (distances <= high), axis=1)


def _apart(positions: np.ndarray, bounds: DistanceBounds, tolerance: float) -> Bool[np.ndarray, "structures"]:
    i, j = bounds.nonbonded.T
    return np.all(_distances(positions, bounds.nonbonded) >= (1 - tolerance) * bounds.lower[i, j], axis=1)


def _same_handedness(
    positions: np.ndarray, centres: np.ndarray | None, reference_signs: np.ndarray | None
) -> Bool[np.ndarray, "structures"]:
    if centres is None:
        return np.ones(len(positions), dtype=bool)
    return np.all(chirality_signs(positions, centres) == reference_signs, axis=1)


def _require_fit(
    positions: np.ndarray,
    bounds: DistanceBounds,
    centres: np.ndarray | None,
    reference_signs: np.ndarray | None,
) -> None:
    if positions.shape[1] != len(bounds.lower):
        raise ValueError(
            f"expected {len(bounds.lower)} atoms as in the bounds; got {positions.shape[1]}. "
            "Use the bounds of the molecule that was sampled."
        )
    signs = None if reference_signs is None else len(reference_signs)
    if (None if centres is None else len(centres)) != signs:
        raise ValueError(
            "expected one reference sign per stereocentre; got different numbers. "
            "Take the signs from chirality_signs of a reference structure."
        )
