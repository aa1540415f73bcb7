"""Statistics against closed forms: Kish, the error of an AR(1) mean, quantiles, regions that wrap."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binomtest

from dig_core.evaluation.statistics import (
    TorsionRegion,
    block_standard_error,
    bootstrap,
    confidence_interval,
    draw_by_weight,
    kish_effective_size,
    weighted_quantile,
    wilson_interval,
    with_intervals,
)


def autoregressive(frames: int, memory: float, seed: int) -> np.ndarray:
    """x' = memory x + noise, stationary with variance 1."""
    noise = np.random.default_rng(seed).normal(size=frames) * np.sqrt(1 - memory**2)
    noise[0] /= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise)


def standard_error_of_autoregressive_mean(frames: int, memory: float) -> float:
    """For many frames: variance times inefficiency, (1 + memory) / (1 - memory), over the frames."""
    return np.sqrt((1 + memory) / (1 - memory) / frames)


def test_draws_follow_the_weights():
    draws = draw_by_weight(np.array([1.0, 0.0, 3.0]), 40_000, np.random.default_rng(1))
    shares = np.bincount(draws, minlength=3) / 40_000
    assert shares[1] == 0.0
    assert shares[2] == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 40_000))


def test_kish_size_closed_forms():
    assert kish_effective_size(np.full(7, 0.3)) == pytest.approx(7.0)
    assert kish_effective_size(np.array([0.0, 5.0, 0.0])) == pytest.approx(1.0)
    assert kish_effective_size(np.array([3.0, 1.0])) == pytest.approx(16 / 10)


def test_kish_size_of_lognormal_weights():
    # w = exp(s g): (E w)^2 / E w^2 = exp(-s^2).
    weights = np.exp(0.5 * np.random.default_rng(2).normal(size=200_000))
    assert kish_effective_size(weights) / 200_000 == pytest.approx(np.exp(-0.25), rel=0.02)


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="expected finite weights"):
        kish_effective_size(np.array(weights))


def test_bootstrap_of_independent_samples_has_the_error_of_the_mean():
    values = np.random.default_rng(3).normal(size=400)
    replicates = bootstrap(lambda i: values[i].mean(), 400, 2_000, np.random.default_rng(4))
    assert replicates.std() == pytest.approx(values.std() / 20, rel=0.06)
    low, high = confidence_interval(replicates)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_blocks_give_the_error_of_a_correlated_mean_and_single_frames_do_not():
    frames, memory = 100_000, 0.9
    values, exact = autoregressive(frames, memory, 5), standard_error_of_autoregressive_mean(frames, memory)
    blocked, single = (
        bootstrap(lambda i: values[i].mean(), frames, 300, np.random.default_rng(6), block).std()
        for block in (500, 1)
    )
    assert blocked == pytest.approx(exact, rel=0.15)
    assert single < 0.3 * exact


def test_block_standard_error_on_average_over_trajectories():
    frames, memory = 20_000, 0.9
    generator = np.random.default_rng(7)
    errors = [
        block_standard_error(autoregressive(frames, memory, seed), None, generator, repeats=300)
        for seed in range(60)
    ]
    exact = standard_error_of_autoregressive_mean(frames, memory)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(exact, rel=0.12)


def test_block_standard_error_of_a_reweighted_population_matches_the_spread_of_repeats():
    def reweighted(seed: int) -> tuple[np.ndarray, np.ndarray]:
        values = autoregressive(10_000, 0.9, seed)
        return values > 1.0, np.exp(0.5 * values)

    populations = [np.average(inside, weights=weights) for inside, weights in map(reweighted, range(200))]
    generator = np.random.default_rng(8)
    errors = [block_standard_error(*reweighted(seed), generator, repeats=300) for seed in range(60)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(populations), rel=0.15)


def test_weights_of_zero_remove_frames():
    values, weights = np.array([1.0, 50.0] * 100), np.array([1.0, 0.0] * 100)
    assert block_standard_error(values, weights, np.random.default_rng(9)) == pytest.approx(0.0, abs=1e-12)


def test_resamples_are_blocks_of_neighbours_of_the_full_length():
    seen = []
    bootstrap(lambda i: float(seen.append(i) or 0.0), 103, 5, np.random.default_rng(10), block=10)
    for indices in seen:
        assert len(indices) == 103
        steps = np.diff(indices)[np.arange(1, 103) % 10 != 0]
        assert set(steps.tolist()) <= {1, -102}


def test_bootstrap_keeps_keys_and_seed():
    values = np.random.default_rng(11).normal(size=50)
    statistic = lambda i: {"mean": values[i].mean(), "spread": values[i].std()}  # noqa: E731
    first, second = (bootstrap(statistic, 50, 20, np.random.default_rng(12)) for _ in range(2))
    assert set(first) == {"mean", "spread"} and first["mean"].shape == (20,)
    assert np.array_equal(first["spread"], second["spread"])


def test_interval_around_an_estimate_contains_it_though_replicates_are_biased():
    # The number of distinct values: a resample holds 63 % of them.
    values = np.arange(500)
    replicates = bootstrap(lambda i: len(np.unique(values[i])) / 500, 500, 400, np.random.default_rng(13))
    assert confidence_interval(replicates)[1] < 0.7
    result = with_intervals({"coverage": 1.0, "samples": 500}, {"coverage": replicates})
    assert result["coverage_ci_low"] < 1.0 < result["coverage_ci_high"]
    assert list(result) == ["coverage", "samples", "coverage_ci_low", "coverage_ci_high"]


def test_infinite_replicates_give_no_nan():
    low, high = confidence_interval(np.array([0.1] * 50 + [np.inf] * 50), estimate=0.1)
    assert (low, high) == (0.1, np.inf)


@pytest.mark.parametrize("block", [0, 11])
def test_impossible_blocks_are_refused(block):
    with pytest.raises(ValueError, match="expected 1 <= block <= 10"):
        bootstrap(lambda i: 0.0, 10, 5, np.random.default_rng(0), block)


def test_weighted_quantile_is_that_of_repeated_values():
    values, times = np.array([3.0, 1.0, 2.0]), np.array([2, 5, 3])
    repeated = np.repeat(values, times)
    for level in (0.05, 0.45, 0.55, 0.75, 0.85, 0.99):
        expected = np.quantile(repeated, level, method="inverted_cdf")
        assert weighted_quantile(values, level, times.astype(float)) == expected
    assert weighted_quantile(np.arange(1.0, 102.0), 0.5) == 51.0


def points_deg(*pairs: tuple[float, float]) -> np.ndarray:
    return np.radians(np.array(pairs))


def test_a_region_without_wrap():
    region = TorsionRegion((-100.0, -40.0), (-60.0, 20.0))
    inside = region.contains(points_deg((-60, 0), (-101, 0), (-39, 0), (-60, 21), (-60, -61)))
    assert inside.tolist() == [True, False, False, False, False]


def test_a_region_that_wraps():
    region = TorsionRegion((-180.0, 0.0), (100.0, -120.0))
    inside = region.contains(
        points_deg((-80, 170), (-80, -170), (-80, 180), (-80, -180), (-80, 90), (-80, -110), (80, 170))
    )
    assert inside.tolist() == [True, True, True, True, False, False, False]


def test_the_whole_period_holds_all_but_what_is_not_finite():
    region = TorsionRegion((-180.0, 180.0), (0.0, 360.0))
    angles = np.random.default_rng(15).uniform(-np.pi, np.pi, size=(1_000, 2))
    angles[0] = np.nan
    assert region.contains(angles).tolist() == [False] + [True] * 999


def test_neighbouring_regions_count_every_point_once():
    angles = np.random.default_rng(16).uniform(-np.pi, np.pi, size=(1_000, 2))
    halves = TorsionRegion((0.0, 180.0), (-180.0, 180.0)), TorsionRegion((-180.0, 0.0), (-180.0, 180.0))
    weights = np.random.default_rng(17).uniform(size=1_000)
    positive, negative = (weights[half.contains(angles)].sum() / weights.sum() for half in halves)
    assert positive + negative == pytest.approx(1.0)
    assert positive == pytest.approx(weights[angles[:, 0] > 0].sum() / weights.sum())


def test_an_empty_region_is_refused():
    with pytest.raises(ValueError, match="two different angles"):
        TorsionRegion((30.0, 30.0), (0.0, 90.0))


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (3, 10), (1, 10_000), (9_999, 10_000)])
def test_interval_of_a_share_is_that_of_scipy(count, total):
    expected = binomtest(count, total).proportion_ci(method="wilson")
    assert wilson_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)
