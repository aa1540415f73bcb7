"""How near structures come to a known one when laid upon it: RMSD and TM-score.

Both compare atom i with atom i, CA of the same residue for a protein; lengths in Angstrom. The rotations are proper: a mirror image is far.
"""

import numpy as np
from jaxtyping import Bool, Float

Frames = Float[np.ndarray, "frames residues 3"]
Known = Float[np.ndarray, "known_residues 3"]
SHORTEST_WINDOW = 4
NUMBERS_AT_ONCE = 300_000  # frames x starts x residues: blocks that fit the cache are several times as fast


def ca_rmsd(frames: Frames, reference: Known) -> Float[np.ndarray, "frames"]:
    """Smallest root mean square distance from the reference over all motions; NaN where a frame is not finite.

    Kabsch, Acta Crystallographica A 32, 922 (1976).
    """
    finite = _finite(frames, reference)
    own = frames[finite].astype(np.float64)
    own -= own.mean(axis=1, keepdims=True)
    known = reference - reference.mean(axis=0)
    separation = own @ _rotations(own.transpose(0, 2, 1) @ known) - known
    return _spread(np.sqrt(np.mean(np.sum(separation**2, axis=2), axis=1)), finite)


def tm_score(frames: Frames, reference: Known) -> Float[np.ndarray, "frames"]:
    """TM-score: the largest mean of 1 / (1 + (d_i / d_0)^2) over all motions, 1 for the same structure; NaN where not finite.

    Zhang and Skolnick, Proteins 57, 702 (2004), with d_i the distance of residue i and d_0 of `tm_length_angstrom`; residue i is compared
    with residue i, and the score is per residue of the reference. The search starts from superpositions of windows of the chain, long
    and short, as theirs does, and climbs from each: a superposition with weights 1 / (1 + (d_i / d_0)^2)^2 never lowers the score.
    """
    finite = _finite(frames, reference)
    own = frames[finite].astype(np.float64)
    starts = _windows(len(reference))
    block = max(1, NUMBERS_AT_ONCE // starts.size)
    scores = [_best(own[i : i + block], reference, starts) for i in range(0, len(own), block)]
    return _spread(np.concatenate(scores) if scores else np.zeros(0), finite)


def tm_length_angstrom(residues: int) -> float:
    """d_0 = 1.24 (L - 15)^(1/3) - 1.8 Angstrom, 0.5 at least (up to 21 residues)."""
    return max(1.24 * float(np.cbrt(residues - 15)) - 1.8, 0.5)


def _best(frames: np.ndarray, reference: np.ndarray, starts: np.ndarray) -> Float[np.ndarray, "frames"]:
    """Four rounds from every start, then many from the best eight."""
    products = _Products(frames, reference)
    weights = np.broadcast_to(starts, (len(frames), *starts.shape))
    weights, scores = _climb(products, weights, rounds=4)
    leading = np.argsort(-scores, axis=1)[:, :8]
    _, scores = _climb(products, np.take_along_axis(weights, leading[:, :, None], axis=1), rounds=30)
    return scores.max(axis=1)


def _climb(products: "_Products", weights: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [frames, starts, residues] for the next superposition and the score [frames, starts] of the last."""
    scale = tm_length_angstrom(weights.shape[2]) ** 2
    for _ in range(rounds):
        terms = 1 / (1 + products.squared_distances(weights) / scale)
        weights = terms**2
    return weights, terms.mean(axis=2)


class _Products:
    """Products of coordinates of every pair (x, y) of atoms: what many weighted superpositions share.

    With z = (x, y, x y^T, 1), sixteen numbers per residue, the sums of a superposition are weights times z, and every squared distance
    |x R + t - y|^2 = |x|^2 + |y|^2 + z . (2 R t, -2 t, -2 R, |t|^2): two matrix products for all starts of a frame.
    """

    def __init__(self, frames: np.ndarray, reference: np.ndarray) -> None:
        x = frames - frames.mean(axis=1, keepdims=True)
        y = np.broadcast_to(reference - reference.mean(axis=0), x.shape)
        outer = (x[..., :, None] * y[..., None, :]).reshape(*x.shape[:2], 9)
        self.z = np.concatenate([x, y, outer, np.ones((*x.shape[:2], 1))], axis=2)
        self.squares = np.sum(x**2 + y**2, axis=2)

    def squared_distances(self, weights: np.ndarray) -> Float[np.ndarray, "frames starts residues"]:
        """Squared distances after the superpositions in which residues have these weights."""
        sums = weights @ self.z
        x, y, outer = np.split(sums[..., :15] / sums[..., 15:], [3, 6], axis=-1)
        shape = (*x.shape, 3)
        rotations = _rotations(outer.reshape(shape) - x[..., :, None] * y[..., None, :])
        shift = y - (x[..., None, :] @ rotations)[..., 0, :]
        turned = (rotations @ shift[..., None])[..., 0]
        length = np.sum(shift**2, axis=-1, keepdims=True)
        factors = np.concatenate(
            [2 * turned, -2 * shift, -2 * rotations.reshape(*x.shape[:2], 9), length], axis=-1
        )
        return np.maximum(self.squares[:, None] + factors @ self.z.transpose(0, 2, 1), 0.0)


def _windows(residues: int) -> Float[np.ndarray, "starts residues"]:
    """1 in a window, 0 elsewhere: the whole chain, then windows of half the length before, each shifted by a quarter of its own length."""
    rows, length = [], residues
    while True:
        for first in range(0, residues - length + 1, max(length // 4, 1)):
            rows.append((np.arange(residues) >= first) & (np.arange(residues) < first + length))
        if length // 2 < SHORTEST_WINDOW:
            return np.array(rows, dtype=np.float64)
        length //= 2


def _rotations(covariances: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """R that makes sum |x R - y|^2 smallest, from sum x^T y of centred x and y."""
    left, _, right = np.linalg.svd(covariances)
    left[..., 2] *= np.linalg.det(left @ right)[..., None]
    return left @ right


def _finite(frames: np.ndarray, reference: np.ndarray) -> Bool[np.ndarray, "frames"]:
    if frames.shape[1] != len(reference):
        raise ValueError(
            f"expected the {len(reference)} residues of the reference; got {frames.shape[1]}. Take the residues that both have."
        )
    return np.isfinite(frames).all(axis=(1, 2))


def _spread(values: np.ndarray, finite: Bool[np.ndarray, "frames"]) -> Float[np.ndarray, "frames"]:
    """The values of the finite frames, NaN for the others."""
    spread = np.full(len(finite), np.nan)
    spread[finite] = values
    return spread
