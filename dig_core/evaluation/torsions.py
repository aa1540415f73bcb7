"""Torsion angles of many structures at once, and the torsions of a bond graph."""

import numpy as np
from jaxtyping import Float, Int


def torsion_angles(
    positions: Float[np.ndarray, "frames atoms 3"], atoms: Int[np.ndarray, "torsions 4"]
) -> Float[np.ndarray, "frames torsions"]:
    """Torsion angles in radians, -pi to pi, 0 for cis (IUPAC-IUB 1970); NaN where positions are not finite.

    With bonds b1, b2, b3: atan2(|b2| b1 . (b2 x b3), (b1 x b2) . (b2 x b3)), which keeps its precision near
    0 and pi where the arc cosine loses it.
    """
    # One torsion after another: all at once would need 12 numbers per frame and torsion.
    angles = [_angle(*positions[:, four].astype(np.float64).transpose(1, 0, 2)) for four in atoms]
    return np.stack(angles, axis=1) if angles else np.zeros((len(positions), 0))


def graph_torsions(
    bonds: Int[np.ndarray, "bonds 2"], atomic_numbers: Int[np.ndarray, "atoms"]
) -> Int[np.ndarray, "torsions 4"]:
    """One torsion per bond whose two atoms have further neighbours; of heavy atoms only, where there is one.

    Among the neighbours of an end the heaviest is taken, the first of equals.
    """
    hydrogen = atomic_numbers == 1
    heavy = bonds[~hydrogen[bonds].any(axis=1)]
    return (
        _torsions_about(heavy, atomic_numbers)
        if _has_chain(heavy)
        else _torsions_about(bonds, atomic_numbers)
    )


def _angle(first: np.ndarray, second: np.ndarray, third: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    b1, b2, b3 = second - first, third - second, fourth - third
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    sine = np.linalg.norm(b2, axis=1) * np.einsum("ni,ni->n", b1, n2)
    # Not finite stays not finite: atan2 of infinities would be an angle.
    return np.where(np.isfinite(sine), np.arctan2(sine, np.einsum("ni,ni->n", n1, n2)), np.nan)


def _has_chain(bonds: np.ndarray) -> bool:
    return len(_torsions_about(bonds, np.zeros(bonds.max(initial=-1) + 1, dtype=int))) > 0


def _torsions_about(bonds: np.ndarray, atomic_numbers: np.ndarray) -> np.ndarray:
    neighbours: dict[int, set[int]] = {}
    for i, j in bonds.tolist():
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    rows = []
    for j, k in bonds.tolist():
        before, after = neighbours[j] - {k}, neighbours[k] - {j}
        # In a ring of three both ends are the same atom: no torsion.
        if before and after and before | after != before & after:
            ends = (min(side, key=lambda a: (-atomic_numbers[a], a)) for side in (before, after))
            rows.append([next(ends), j, k, next(ends)])
    return np.array([row for row in rows if row[0] != row[3]], dtype=int).reshape(-1, 4)
