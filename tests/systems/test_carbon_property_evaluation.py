"""What crystals have of what they were asked for, counted by hand."""

import numpy as np
import pytest

from dig_core.systems.carbon_property_evaluation import Asked, labelled_metrics, property_metrics

ASKED = Asked("band_gap_eV", (0.0, 4.0), 1.0)


def test_shares_count_all_crystals_and_medians_those_with_a_value():
    found = ASKED.counted(np.array([0.0, 0.5, 3.0, np.nan]))
    assert found == {
        "band_gap_median_eV": 0.5,
        "band_gap_near_0_fraction": 0.5,
        "band_gap_near_4_fraction": 0.25,
    }
    assert "band_gap_median_eV" not in ASKED.counted(np.array([np.nan]))


def test_samples_have_the_property_of_the_prototype_that_they_match():
    """Crystals 0 to 3 of the study; references are crystals 0 and 2."""
    crystals = {
        "property": np.array([0.0, 0.2, 4.0, np.nan]),
        "held_out": np.array([False, False, True, False]),
    }
    evaluation = {"samples.nearest": np.array([1, -1, 0, 1]), "samples.references": np.array([0, 2])}
    drawn = {"predicted": np.array([3.0, 2.0, 0.5, 4.5]), "deviation": np.array([0.1, 0.2, 0.3, 0.4])}
    known = {"predicted": np.array([0.1, 0.1, 3.0, 7.0])}
    metrics, arrays = property_metrics(evaluation, crystals, drawn, known, ASKED)
    np.testing.assert_array_equal(arrays["samples.property_matched"], [4.0, np.nan, 0.0, 4.0])
    np.testing.assert_array_equal(arrays["training.property"], [0.0, 0.2])
    expected = {
        "band_gap_median_eV": 2.5,
        "band_gap_near_4_fraction": 0.5,
        "band_gap_matched_median_eV": 4.0,
        "band_gap_matched_near_0_fraction": 0.25,
        "band_gap_median_eV_training": 0.1,
        "band_gap_uncertainty_eV": 0.25,
        "band_gap_error_matched_eV": (1.0 + 0.5 + 0.5) / 3,
        "band_gap_error_trained_eV": 0.1,
        "band_gap_error_held_out_eV": 1.0,
    }
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value), key


def test_labels_are_compared_with_what_the_network_tells():
    """Samples 2, 0 and 3 are labelled; the last one did not converge."""
    labels = [{"sample": 2, "value": 4.0}, {"sample": 0, "value": 0.0}, {"sample": 3, "value": None}]
    drawn = {"predicted": np.array([0.5, 9.0, 3.0, 9.0])}
    metrics, arrays = labelled_metrics(labels, drawn, ASKED)
    np.testing.assert_array_equal(arrays["samples.property_labelled"], [4.0, 0.0, np.nan])
    assert metrics == {
        "band_gap_labelled_median_eV": 2.0,
        "band_gap_labelled_near_0_fraction": pytest.approx(1 / 3),
        "band_gap_labelled_near_4_fraction": pytest.approx(1 / 3),
        "band_gap_labelled_samples": 3,
        "band_gap_labelled_failed_fraction": pytest.approx(1 / 3),
        "band_gap_error_labelled_eV": pytest.approx(0.75),
        "band_gap_labelled_correlation": pytest.approx(1.0),
    }
