"""The figure of studies side by side shows the rows of its table, and what they are held against as a line."""

import numpy as np
import pandas
import pytest

from dig_core.plotting_comparisons import BEST, SHOWN, comparison_figure


def table() -> pandas.DataFrame:
    rows = pandas.DataFrame(
        {
            "study": [
                "plain",
                "with_energies",
                "with_energies: its structures alone",
                BEST,
                "the training frames",
            ]
        }
    )
    for number, key in enumerate(SHOWN):
        rows[key] = 0.01 * np.arange(1.0, 6.0) + number
        rows[f"{key}_sd"] = 0.001
        rows[f"{key}_relaxed"] = [0.5, 0.6, np.nan, np.nan, np.nan]
        rows[f"{key}_relaxed_sd"] = 0.002
    rows.loc[4, "population_phi_positive"] = np.nan
    return rows


def test_a_row_per_study_and_a_line_for_the_best():
    figure, shown = comparison_figure(table())
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "plain",
        "with energies",
        "with energies: its structures alone",
    ]
    for axes, key in zip((left, right), SHOWN, strict=True):
        vertical = [
            line for line in axes.lines if len(set(line.get_xdata())) == 1 and line.get_linestyle() == ":"
        ]
        assert vertical[0].get_xdata()[0] == pytest.approx(table()[key][3])
    own = shown[(shown["series"] == "samples") & (shown["metric"] == "jensen_shannon_nats")]
    assert own["value"].tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert shown[shown["series"] == "relaxed"]["value"].tolist() == [0.5, 0.6, 0.5, 0.6]


def test_one_seed_and_no_reference_are_enough():
    bare = table().iloc[:2].drop(columns=[f"{key}_relaxed" for key in SHOWN])
    bare[[f"{key}_sd" for key in SHOWN]] = np.nan
    figure, shown = comparison_figure(bare)
    assert len(figure.axes[0].get_yticklabels()) == 2 and set(shown["series"]) == {"samples"}
