"""TICA of processes whose timescales are known in closed form."""

import numpy as np
import pytest

from dig_core.evaluation.tica import fit_tica, torsion_features


def rotations(frames: int, timescales_frames: tuple[float, ...], seed: int) -> np.ndarray:
    """Free rotational diffusion of each torsion: cos and sin relax as exp(-variance t / 2)."""
    spreads = np.sqrt(2.0 / np.array(timescales_frames))
    steps = np.random.default_rng(seed).normal(size=(frames, len(spreads))) * spreads
    walk = np.cumsum(steps, axis=0)
    return np.mod(walk + np.pi, 2 * np.pi) - np.pi


def jumps(frames: int, probability: float, seed: int) -> np.ndarray:
    """Jumps between -1 and 2 rad with equal rates; they relax in -1 / ln(1 - 2 probability) frames."""
    switches = np.random.default_rng(seed).uniform(size=frames) < probability
    return np.where(np.cumsum(switches) % 2, -1.0, 2.0)


def test_features_are_cosines_then_sines():
    features = torsion_features(np.array([[0.0, np.pi / 2], [np.pi, -np.pi / 2]], dtype=np.float32))
    assert np.allclose(features, [[1, 0, 0, 1], [-1, 0, 0, -1]], atol=1e-6)
    assert features.dtype == np.float64


def test_timescales_of_free_rotation_slowest_first():
    result = fit_tica(rotations(400_000, (10.0, 50.0), 1), lag_frames=5, dimension=4)
    assert result.timescales_frames == pytest.approx([50.0, 50.0, 10.0, 10.0], rel=0.05)
    # The slow pair lives on the second torsion, the fast pair on the first.
    slow, fast = np.abs(result.loadings[:, 0]), np.abs(result.loadings[:, 2])
    assert slow[[1, 3]].max() > 10 * slow[[0, 2]].max()
    assert fast[[0, 2]].max() > 10 * fast[[1, 3]].max()


@pytest.mark.parametrize("lag_frames", [1, 10])
def test_timescale_of_a_two_state_process_for_any_lag(lag_frames):
    torsions = np.stack([rotations(300_000, (3.0,), 2)[:, 0], jumps(300_000, 0.01, 3)], axis=1)
    result = fit_tica(torsions, lag_frames)
    assert result.timescales_frames[0] == pytest.approx(-1 / np.log(0.98), rel=0.05)
    slow = result.project(torsions)[:, 0]
    # Two states of equal weight, mean 0 and variance 1: the coordinate stands near -1 and +1.
    assert np.abs(np.abs(slow) - 1.0).max() < 0.1
    assert abs(np.corrcoef(slow, torsions[:, 1])[0, 1]) > 0.999


def test_coordinates_have_mean_0_variance_1_and_a_fixed_sign():
    torsions = rotations(50_000, (10.0, 50.0), 4)
    result = fit_tica(torsions, 5)
    coordinates = result.project(torsions)
    assert coordinates.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.01)
    assert coordinates.var(axis=0) == pytest.approx([1.0, 1.0], abs=0.01)
    largest = np.abs(result.loadings).argmax(axis=0)
    assert np.all(result.loadings[largest, [0, 1]] > 0)
    # Time reversal leaves a reversible estimate alone, sign included.
    assert np.allclose(fit_tica(torsions[::-1].copy(), 5).loadings, result.loadings, atol=1e-6)


def test_equal_weights_change_nothing_and_weights_move_the_mean():
    torsions = np.stack([rotations(50_000, (10.0,), 5)[:, 0], jumps(50_000, 0.02, 6)], axis=1)
    plain = fit_tica(torsions, 5)
    equal = fit_tica(torsions, 5, np.full(50_000, 3.0))
    assert np.allclose(equal.loadings, plain.loadings) and np.allclose(equal.mean, plain.mean)
    weights = np.where(torsions[:, 1] > 0, 3.0, 1.0)
    weighted = fit_tica(torsions, 5, weights)
    # Weighted pairs: of the first frames a share 3/4 lies at 2 rad.
    upper = (weighted.mean[1] - np.cos(-1.0)) / (np.cos(2.0) - np.cos(-1.0))
    assert 0.68 < upper < 0.76


def test_bad_input_is_refused():
    torsions = rotations(100, (10.0, 50.0), 7)
    with pytest.raises(ValueError, match="a lag of 1 to 99 frames; got 100"):
        fit_tica(torsions, 100)
    with pytest.raises(ValueError, match="finite torsions"):
        fit_tica(np.where(torsions > 0.0, np.nan, torsions), 1)
    with pytest.raises(ValueError, match="rank 1"):
        fit_tica(jumps(1_000, 0.1, 8)[:, None], 1)
    with pytest.raises(ValueError, match="expected 2 torsions"):
        fit_tica(torsions, 1).project(torsions[:, :1])
