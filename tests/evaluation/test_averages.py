"""Means over targets with intervals: against Student's, and what is paired."""

import numpy as np
import pytest
from scipy.stats import t

from dig_core.evaluation.averages import averaged

BASELINE = "_baseline_random_placement"


def test_means_have_about_the_interval_of_student():
    values = np.random.default_rng(1).normal(0.7, 0.1, size=40)
    found = averaged([{"site_precision": own} for own in values], (), seed=1)
    assert found["targets"] == 40 and found["site_precision"] == pytest.approx(values.mean())
    half = t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    assert found["site_precision_ci_high"] - values.mean() == pytest.approx(half, rel=0.15)
    assert values.mean() - found["site_precision_ci_low"] == pytest.approx(half, rel=0.15)


def test_differences_are_of_the_same_target():
    """Targets differ by much, their differences do not: the interval is narrow, as those of the metrics are not."""
    levels = np.linspace(0.1, 0.7, 10)
    noise = np.random.default_rng(2).normal(0.0, 0.01, size=10)
    metrics = [
        {"p": level + 0.2 + own, f"p{BASELINE}": level} for level, own in zip(levels, noise, strict=True)
    ]
    found = averaged(metrics, (BASELINE,), seed=1)
    assert found[f"p_difference{BASELINE}"] == pytest.approx(0.2, abs=0.01)
    assert found[f"p_difference{BASELINE}_ci_high"] - found[f"p_difference{BASELINE}_ci_low"] < 0.02
    assert found["p_ci_high"] - found["p_ci_low"] > 0.15


def test_what_only_some_targets_have_is_left_out_and_one_target_has_no_interval():
    assert averaged([{"a": 1, "b": 2.0}, {"a": 3}], (), seed=1).keys() == {
        "targets",
        "a",
        "a_ci_low",
        "a_ci_high",
    }
    assert averaged([{"a": 1, f"a{BASELINE}": 0.25}], (BASELINE,), seed=1) == {
        "targets": 1, "a": 1.0, f"a{BASELINE}": 0.25, f"a_difference{BASELINE}": 0.75,
    }  # fmt: skip
    with pytest.raises(ValueError, match="at least one target; got none"):
        averaged([], (), seed=1)
