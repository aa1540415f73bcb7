"""Slow coordinates of torsions by time-lagged independent component analysis (TICA, with deeptime).

Perez-Hernandez et al., "Identification of slow molecular order parameters for Markov model construction",
J. Chem. Phys. 139, 015102 (2013): the components maximise the autocorrelation at a lag tau; component i
relaxes in t_i = -tau / ln lambda_i.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class SlowCoordinates:
    """A linear map from the cosines and sines of torsions to slow coordinates.

    `mean` [2 k] and `loadings` [2 k, dimension] act on `torsion_features`; the coordinates have mean 0 and
    variance 1 over the frames of the fit, slowest first. `timescales_frames` [dimension] and `lag_frames`
    count frames.
    """

    mean: Float[np.ndarray, "features"]
    loadings: Float[np.ndarray, "features dimension"]
    timescales_frames: Float[np.ndarray, "dimension"]
    lag_frames: int

    def project(
        self, torsions: Float[np.ndarray, "frames torsions"]
    ) -> Float[np.ndarray, "frames dimension"]:
        """Slow coordinates of torsions in radians (without unit); torsions in the order of the fit."""
        features = torsion_features(torsions)
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"expected {len(self.mean) // 2} torsions as in the fit; got {torsions.shape[1]}. "
                "Use the torsions of the system that was fitted."
            )
        return (features - self.mean) @ self.loadings


def torsion_features(torsions: Float[np.ndarray, "frames torsions"]) -> Float[np.ndarray, "frames features"]:
    """Cosines of all torsions (radians), then all sines, in float64: no jump at the border of the period."""
    angles = torsions.astype(np.float64)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def fit_tica(
    torsions: Float[np.ndarray, "frames torsions"],
    lag_frames: int,
    weights: Float[np.ndarray, "frames"] | None = None,
    dimension: int = 2,
) -> SlowCoordinates:
    """Fit slow coordinates to torsions (radians) at equally spaced times, with the reversible estimator.

    `weights` reweight pairs of frames by the first one's weight. Dynamics under a bias is not the
    molecule's own: then, weights or not, the result is only a coordinate, and its timescales are those of
    the biased run. The sign is fixed (by deeptime): the loading of largest magnitude in each component is
    positive. Raises ValueError when data are too few, not finite, or of lower rank.
    """
    # Imported here because deeptime loads torch where it is installed; projecting and plotting need neither.
    from deeptime.decomposition import TICA

    _require_usable(torsions, lag_frames, weights)
    features = torsion_features(torsions)
    pairs = (features[:-lag_frames], features[lag_frames:])
    pair_weights = None if weights is None else weights[:-lag_frames].astype(np.float64)
    covariances = (
        TICA.covariance_estimator(lagtime=lag_frames).partial_fit(pairs, weights=pair_weights).fetch_model()
    )
    model = TICA(lagtime=lag_frames, scaling=None).fit_from_covariances(covariances).fetch_model()
    loadings = model.singular_vectors_left[:, :dimension]
    if loadings.shape[1] < dimension:
        raise ValueError(
            f"expected {dimension} slow coordinates; got data of rank {loadings.shape[1]}. "
            "Ask for fewer, or give more torsions that move."
        )
    return SlowCoordinates(model.mean_0, loadings, model.timescales(dimension), lag_frames)


def _require_usable(torsions: np.ndarray, lag_frames: int, weights: np.ndarray | None) -> None:
    if not 1 <= lag_frames < len(torsions):
        raise ValueError(
            f"expected a lag of 1 to {len(torsions) - 1} frames; got {lag_frames}. "
            "Shorten the lag or simulate longer."
        )
    if not np.all(np.isfinite(torsions)):
        raise ValueError(
            "expected finite torsions; got NaN or infinity. Remove broken frames before the fit."
        )
    if weights is not None and not (np.all(np.isfinite(weights)) and np.all(weights >= 0) and weights.any()):
        raise ValueError("expected finite weights >= 0, not all 0; got others. Check the reweighting.")
