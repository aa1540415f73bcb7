"""What the figure of a property shows: shares of all samples, the value that was asked for, and what asking costs."""

import numpy as np
import pytest

from dig_core.crystals import Crystals
from dig_core.data.carbon_phases import phase
from dig_core.plotting_properties import Drawn, by_scale, properties_figure

NEAREST = {
    "samples.nearest": np.array([0, -1, -1, 1]),
    "samples.match_rms": np.array([0.1, np.nan, np.nan, 0.0]),
}
FREE = NEAREST | {
    "training.property": np.array([0.0, 0.0, 4.0]),
    "samples.property": np.array([0.1, 3.9, 4.0, 4.0]),
    "samples.property_matched": np.array([0.0, np.nan, np.nan, 4.0]),
}
ASKED = FREE | {"samples.property_labelled": np.array([3.5, np.nan])}
SAMPLES = vars(Crystals.of([phase("graphite_aa")] * 3 + [phase("diamond")]))
TARGETS = {
    "insistent": Drawn({"C": 2}, 4.0, 3.0),
    "asked": Drawn({"C": 2}, 4.0, 1.0),
    "free": Drawn({"C": 2}, None, 0.0),
    "other": Drawn({"C": 3}, None, 0.0),
}


def metrics(valid: float, near: float) -> dict[str, float]:
    return {"valid_fraction": valid, "match_rate": valid / 2, "band_gap_near_4_fraction": near}


METRICS = {
    "insistent": metrics(0.6, 0.9), "asked": metrics(0.8, 0.7), "free": metrics(0.9, 0.2), "other": metrics(0.1, 0.1)
}  # fmt: skip


def test_shares_are_those_of_all_samples():
    names = ("free", "asked")
    figure, table = properties_figure(
        {"free": FREE, "asked": ASKED},
        dict.fromkeys(names, SAMPLES),
        {name: METRICS[name] for name in names},
        {name: TARGETS[name] for name in names},
        "band_gap_eV",
    )
    shares = table.dropna(subset="property").groupby(["target", "series"])["share"].sum()
    assert shares["free", "training.property"] == pytest.approx(1.0)
    assert shares["free", "samples.property"] == pytest.approx(1.0)
    assert shares["free", "samples.property_matched"] == pytest.approx(0.5)
    assert shares["asked", "samples.property_labelled"] == pytest.approx(0.5)
    assert ("free", "samples.property_labelled") not in shares
    high = table[(table["series"] == "samples.property") & (table["property"] > 2.0)]
    assert high.groupby("target")["share"].sum().tolist() == pytest.approx([0.75, 0.75])
    histograms = [axes for axes in figure.axes if axes.get_ylabel() in names]
    free, asked = histograms
    assert not free.lines and asked.lines[0].get_xdata()[0] == 4.0
    assert asked.get_xlabel() == "band gap (eV)"
    assert [axes.get_title() for axes in figure.axes].count("25 %") == 4, "two prototypes of each target"
    costs = [axes for axes in figure.axes if axes.get_xlabel() == "scale of guidance"]
    assert [axes.lines[0].get_ydata().tolist() for axes in costs] == [[0.9, 0.8], [0.45, 0.4], [0.2, 0.7]]


def test_what_asking_costs_is_counted_beside_the_same_atoms_asked_for_nothing():
    [(label, table)] = by_scale(METRICS, TARGETS, "band_gap")
    assert label == "4, C$_{2}$"
    assert table["scale"].tolist() == [0.0, 1.0, 3.0]
    assert table["valid_fraction"].tolist() == [0.9, 0.8, 0.6] and table["near"].tolist() == [0.2, 0.7, 0.9]


def test_nothing_asked_for_costs_nothing():
    targets = {"free": TARGETS["free"]}
    assert by_scale(METRICS, targets, "band_gap") == []
    one = {name: own["free"] for name, own in (("samples", {"free": SAMPLES}), ("metrics", METRICS))}
    figure, table = properties_figure(
        {"free": FREE}, {"free": one["samples"]}, {"free": one["metrics"]}, targets, "band_gap_eV"
    )
    assert "scale" not in table and figure.axes
