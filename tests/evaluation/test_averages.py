"""Means over targets with intervals: how often these hold the truth, and what is paired."""

import numpy as np
import pytest

from dig_core.evaluation.averages import averaged

BASELINE = "_baseline_random_placement"


def test_intervals_of_ten_targets_hold_the_mean_as_often_as_they_say():
    generator, inside = np.random.default_rng(1), 0
    for values in generator.normal(0.7, 0.1, size=(2000, 10)):
        found = averaged([{"p": own} for own in values])
        assert found["p"] == pytest.approx(values.mean())
        inside += found["p_ci_low"] <= 0.7 <= found["p_ci_high"]
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_differences_are_of_the_same_target():
    """Targets differ by much, their differences from the baseline do not: the interval is narrow, as those of the metrics are not."""
    levels = np.linspace(0.1, 0.7, 10)
    noise = np.random.default_rng(2).normal(0.0, 0.01, size=10)
    metrics = [
        {"p": level + 0.2 + own, f"p{BASELINE}": level} for level, own in zip(levels, noise, strict=True)
    ]
    found = averaged(metrics)
    assert found["p_less_random_placement"] == pytest.approx(0.2, abs=0.01)
    assert found["p_less_random_placement_ci_high"] - found["p_less_random_placement_ci_low"] < 0.02
    assert found["p_ci_high"] - found["p_ci_low"] > 0.15


def test_what_only_some_targets_have_is_left_out_and_one_target_has_no_interval():
    assert averaged([{"a": 1, "b": 2.0}, {"a": 3}]).keys() == {"targets", "a", "a_ci_low", "a_ci_high"}
    assert averaged([{"a": 1, f"a{BASELINE}": 0.25}]) == {
        "targets": 1, "a": 1.0, f"a{BASELINE}": 0.25, "a_less_random_placement": 0.75,
    }  # fmt: skip
    with pytest.raises(ValueError, match="at least one target; got none"):
        averaged([])
