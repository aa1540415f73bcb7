"""Metrics as tables, and metrics held against expectations."""

import csv
import io

import pytest

from dig_core.evaluation.expectations import verdicts
from dig_core.evaluation.tables import aligned, main_table, metrics_csv, split_key

METRICS = {
    "samples": 10000,
    "coverage": 0.75,
    "coverage_ci_low": 0.7,
    "coverage_ci_high": 0.8,
    "coverage_noise_floor": 0.79,
    "coverage_noise_floor_ci_low": 0.78,
    "coverage_tight_reference": 0.77,
    "coverage_against_tight_reference": 0.76,
    "population_C7ax": 0.02,
    "population_C7ax_standard_error": 0.003,
    "population_C7ax_training": 0.03,
    "population_C7ax_training_standard_error": 0.004,
    "energy_below_reference_p99_fraction": 0.97,
    "precision": 0.96,
    "precision_tica": 0.95,
    "state_precision_C7ax": 0.4,
}


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("coverage", ("coverage", "samples", "")),
        ("coverage_noise_floor_ci_low", ("coverage", "noise_floor", "ci_low")),
        ("coverage_relaxed_ci_high", ("coverage", "relaxed", "ci_high")),
        ("coverage_against_tight_reference", ("coverage", "against_tight_reference", "")),
        ("population_a_equal_cost_md_standard_error", ("population_a", "equal_cost_md", "standard_error")),
        ("energy_below_reference_p99_fraction", ("energy_below_reference_p99_fraction", "samples", "")),
    ],
)
def test_a_key_is_taken_apart(key, parts):
    assert split_key(key) == parts


def test_csv_has_a_row_per_metric():
    rows = list(csv.DictReader(io.StringIO(metrics_csv({"ala": METRICS}))))
    found = {row["metric"]: row for row in rows}
    assert len(rows) == 8 and {row["target"] for row in rows} == {"ala"}
    coverage = found["coverage"]
    assert (coverage["samples"], coverage["samples_ci_low"], coverage["noise_floor"]) == (
        "0.75",
        "0.7",
        "0.79",
    )
    assert (coverage["tight_reference"], coverage["against_tight_reference"]) == ("0.77", "0.76")
    assert found["population_C7ax_standard_error"]["training"] == "0.004"


def test_terminal_table_is_aligned_and_leaves_out_what_nobody_has():
    lines = main_table(METRICS).splitlines()
    assert lines[0].split("  ")[-1] == "MD train" and "equal-cost" not in lines[0]
    assert lines[1].split() == ["coverage", "0.75", "0.7", "to", "0.8", "0.79", "0.77"]
    names = ["precision", "population C7ax", "  precision in C7ax", "energies below MD's p99"]
    assert [line[: len(name)] for line, name in zip(lines[2:], names, strict=True)] == names
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc   d"


def test_relaxed_samples_have_a_column_beside_the_samples():
    more = METRICS | {
        "coverage_relaxed": 0.73,
        "coverage_relaxed_ci_low": 0.7,
        "unrelaxed_fraction_relaxed": 0.01,
    }
    lines = main_table(more).splitlines()
    assert (
        lines[0].split("  ")[-1] == "MD train"
        and "relaxed" in lines[0]
        and "relaxed" not in main_table(METRICS)
    )
    assert lines[1].split() == ["coverage", "0.75", "0.7", "to", "0.8", "0.73", "0.79", "0.77"]
    assert "could not be relaxed" in lines[5] and lines[5].split()[-1] == "0.01"
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(metrics_csv({"ala": more})))}
    assert (rows["coverage"]["relaxed"], rows["unrelaxed_fraction"]["relaxed"]) == ("0.73", "0.01")


def passed(**expectation) -> bool:
    key = expectation.pop("key", "coverage")
    return all(verdict.passed for verdict in verdicts(METRICS, {key: expectation}))


def test_every_form_of_expectation_can_hold_and_fail():
    assert passed(expected=0.74, tolerance=0.02) and not passed(expected=0.72, tolerance=0.02)
    assert passed(max=0.76) and not passed(max=0.74)
    assert passed(min=0.74) and not passed(min=0.76)
    assert passed(min=0.7, max=0.8) and not passed(min=0.7, max=0.74)
    assert passed(min_over="coverage_noise_floor", margin=0.05)
    assert not passed(min_over="coverage_noise_floor", margin=0.03)
    assert passed(min_over="coverage_noise_floor", share=0.94)
    assert not passed(min_over="coverage_noise_floor", share=0.96)
    assert passed(key="coverage_noise_floor", max_over="coverage", margin=0.05)
    assert not passed(key="coverage_noise_floor", max_over="coverage", margin=0.03)
    assert passed(near="coverage_noise_floor", margin=0.05)
    # 0.01 apart with a combined error of 0.005.
    near = {"key": "population_C7ax", "near": "population_C7ax_training"}
    assert passed(**near, standard_errors=2.1) and not passed(**near, standard_errors=1.9)


def test_lists_missing_metrics_and_mistakes():
    both = verdicts(METRICS, {"coverage": [{"min": 0.7}, {"max": 0.7}], "recall": {"min": 0.1}})
    assert [verdict.passed for verdict in both] == [True, False, False]
    assert str(both[1]) == "FAILED  coverage: 0.75, expected at most 0.7"
    assert "recall; found none" in str(both[2])
    assert not passed(near="recall", margin=1.0)
    with pytest.raises(ValueError, match="expected coverage with one of"):
        verdicts(METRICS, {"coverage": {"minimum": 0.7}})


def test_events_of_folding_stand_beside_the_populations():
    """They are of the replicas alone; whether they are enough is 0 or 1 in the spreadsheet."""
    metrics = {
        "population_folded": 0.7, "population_folded_training": 0.6, "folding_events_training": 12, "folding_events_reference": 3,
        "free_energy_difference_folded_unfolded_kcal_per_mol": -0.25, "populations_converged": False,
    }  # fmt: skip
    rows = {line.split("  ")[0]: line.split() for line in main_table(metrics).splitlines()[1:]}
    assert rows["population folded"][-2:] == ["0.7", "0.6"] and rows["folding events"][-2:] == ["12", "3"]
    assert rows["F(unfolded) - F(folded) (kcal/mol)"][-1] == "-0.25"
    assert "own,populations_converged,0," in metrics_csv({"own": metrics})
