"""The figure of paths between known structures: it shows what its table says, with and without a known transition."""

import subprocess
import sys

import numpy as np
import pandas
import pytest

from dig_core.plotting import write
from dig_core.plotting_state_paths import TRANSITION, state_paths_figure
from tests.test_plotting import texts


def paths(points: int = 5) -> dict[str, np.ndarray]:
    """From closed to open; the straight path fails the filter halfway."""
    along = np.linspace(0.0, 7.0, points)
    valid = np.ones(points, dtype=bool)
    found = {"state_names": np.array(["closed", "open"])}
    for series in ("latent", "straight"):
        found[f"{series}_rmsd_to_ends_angstrom"] = np.stack([along, along[::-1]], axis=1)
        found[f"{series}_neighbour_distance_max_angstrom"] = np.full(points, 3.9)
        found[f"{series}_neighbour_distance_min_angstrom"] = np.full(points, 3.1)
        found[f"{series}_valid"] = valid.copy()
    found["straight_valid"][points // 2] = False
    return found


def evaluation(transition: int = 0, trained: bool = True, biased: bool = True) -> dict[str, np.ndarray]:
    own = {"trained": np.array(trained), "state_names": np.array(["closed", "open"])}
    away = np.random.default_rng(0).uniform(0.0, 7.0, (transition, 2))
    return own | ({TRANSITION: away, "transition.biased": np.array(biased)} if transition else {})


def test_figure_shows_what_its_table_says(tmp_path):
    evaluations = {"one": evaluation(transition=20), "two": evaluation(trained=False)}
    figure, table = state_paths_figure(evaluations, {"one": paths(), "two": paths(7)})
    counts = table.groupby(["panel", "series"]).size().to_dict()
    expected = {("one", "latent"): 5, ("one", "straight"): 5, ("one", "transition"): 20}
    assert counts == expected | {("two", "latent"): 7, ("two", "straight"): 7}
    told = [text.get_text() for text in texts(figure)]
    assert "one, trained on both states" in told and "two, held out" in told
    assert told.count("biased transition") == 1 and "CA-RMSD from closed (Å)" in told
    plane = figure.axes[2]
    shown = [line.get_xydata() for line in plane.lines]
    own = table[(table["panel"] == "one") & (table["series"] == "transition")]
    places = own[["rmsd_to_start_angstrom", "rmsd_to_end_angstrom"]].to_numpy()
    assert any(len(line) == 20 and line == pytest.approx(places) for line in shown)
    failed = table[(table["series"] == "straight") & (table["valid"] == False)]  # noqa: E712
    assert failed["point"].tolist() == [2, 3]
    for suffix in ("png", "pdf", "parquet"):
        write(tmp_path / f"pathway.{suffix}", figure, table)
        assert (tmp_path / f"pathway.{suffix}").stat().st_size > 1000
    assert len(pandas.read_parquet(tmp_path / "pathway.parquet")) == len(table)


def test_a_transition_that_no_bias_drove_is_not_called_biased():
    figure, _ = state_paths_figure({"one": evaluation(transition=3, biased=False)}, {"one": paths()})
    told = [text.get_text() for text in texts(figure)]
    assert "known transition" in told and not any("biased" in text for text in told)


def test_points_that_fail_the_filter_are_open():
    figure, _ = state_paths_figure({"one": evaluation()}, {"one": paths()})
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    opened = [line.get_xdata().tolist() for line in marks if line.get_markerfacecolor() == "white"]
    assert sorted(opened) == [[], [], [0.5], [0.5]]


def test_plotting_needs_no_torch():
    code = "import sys, dig_core.plotting_state_paths; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
