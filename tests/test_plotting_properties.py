"""Histograms of a property: shares of all samples, those without a value too, and the value that was asked for."""

import numpy as np
import pytest

from dig_core.plotting_properties import properties_figure

FREE = {
    "training.property": np.array([0.0, 0.0, 4.0]),
    "samples.property": np.array([0.1, 3.9, 4.0, 4.0]),
    "samples.property_matched": np.array([0.0, np.nan, np.nan, 4.0]),
}
ASKED = FREE | {"samples.property_labelled": np.array([3.5, np.nan])}


def test_shares_are_those_of_all_samples():
    figure, table = properties_figure(
        {"free": FREE, "asked": ASKED}, {"free": None, "asked": 4.0}, "band_gap_eV"
    )
    shares = table.groupby(["target", "series"])["share"].sum()
    assert shares["free", "training.property"] == pytest.approx(1.0)
    assert shares["free", "samples.property"] == pytest.approx(1.0)
    assert shares["free", "samples.property_matched"] == pytest.approx(0.5)
    assert shares["asked", "samples.property_labelled"] == pytest.approx(0.5)
    assert ("free", "samples.property_labelled") not in shares
    high = table[(table["series"] == "samples.property") & (table["property"] > 2.0)]
    assert high.groupby("target")["share"].sum().tolist() == pytest.approx([0.75, 0.75])
    free, asked = figure.axes
    assert not free.lines and asked.lines[0].get_xdata()[0] == 4.0
    assert asked.get_xlabel() == "band gap (eV)"
