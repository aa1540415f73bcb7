"""Figures: what they show is what the arrays say, readable and without torch or a display."""

import subprocess
import sys

import numpy as np
import pandas
import pytest
from matplotlib.text import Text

from dig_core.evaluation.drawn import profiles, reference_grid, seen_from_the_side
from dig_core.evaluation.landscape import landscape, torsion_edges
from dig_core.plotting import (
    energies_figure,
    figure_2a,
    landscape_figure,
    learning_curve_figure,
    samplers_figure,
    state_label,
    write,
)
from dig_core.units import thermal_energy_kcal_per_mol

NUMBERS = np.array([6, 1, 7, 8, 6])
BONDS = np.array([[0, 1], [0, 2], [0, 3], [0, 4]])
ENERGY = "potential_energy_kJ_per_mol"


def evaluation(is_torsion_plane: bool = True) -> dict[str, np.ndarray]:
    """Arrays of an evaluation of one normal distribution: 40 degrees about (-60, 30) degrees."""
    generator = np.random.default_rng(0)
    arrays = {
        "temperature_K": np.array(300.0),
        "is_torsion_plane": np.array(is_torsion_plane),
        "atomic_numbers": NUMBERS,
        "bonds": BONDS,
        "representatives.names": np.array(["C7eq", "alpha_R"]),
        "representatives.positions_angstrom": generator.normal(size=(2, 5, 3)).astype(np.float32),
        "representatives.plane": np.radians([[-60.0, 30.0], [-90.0, 0.0]]),
        "energy_p99_kJ_per_mol": np.array(23.3),
    }
    edges = torsion_edges(30)
    for series, count in (("samples", 4000), ("reference", 40000), ("training", 40000), ("competitor", 4000)):
        points = np.radians(generator.normal((-60.0, 30.0), 40.0, (count, 2)))
        points = np.mod(points + np.pi, 2 * np.pi) - np.pi
        arrays |= {f"{series}.plane": points, f"{series}.weights": np.full(count, 1.0 / count)}
        arrays[f"{series}.{ENERGY}"] = generator.normal(0.0, 10.0, count)
    full = landscape(arrays["reference.plane"], edges, 300.0)
    return arrays | {"x_edges": edges[0], "y_edges": edges[1], "reference.probability": full.probability}


def texts(figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def test_profile_of_a_normal_distribution():
    x, energy = profiles(evaluation())["reference"]
    near = np.abs(np.degrees(x) + 60.0) < 80.0
    exact = thermal_energy_kcal_per_mol(300.0) * (np.degrees(x[near]) + 60.0) ** 2 / (2 * 40.0**2)
    difference = energy[near] - exact
    assert np.abs(difference - np.median(difference)).max() < 0.06
    assert np.nanmin(energy) == 0.0


def test_contours_reach_the_border_of_the_period():
    arrays = evaluation()
    x, y, energy = reference_grid(arrays, wrapped=True)
    assert x[0] < -np.pi and x[-1] > np.pi and energy.shape == (32, 32)
    assert np.array_equal(energy[0, 1:-1], energy[-2, 1:-1]) and np.all(np.diff(y) > 0)
    assert reference_grid(evaluation(is_torsion_plane=False), wrapped=True)[2].shape == (30, 30)


def test_structure_is_turned_not_mirrored():
    positions = np.random.default_rng(2).normal(size=(5, 3)) * [1.0, 3.0, 2.0]
    turned = seen_from_the_side(positions, NUMBERS)

    def distances(points):
        return np.linalg.norm(points[:, None] - points[None], axis=2)

    def volume(points):
        return np.linalg.det(points[1:4] - points[0])

    assert np.allclose(distances(turned), distances(positions))
    assert volume(turned) == pytest.approx(volume(positions))
    spread = turned[NUMBERS > 1].var(axis=0)
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize("is_torsion_plane", [True, False])
def test_landscape_shows_what_its_table_says(is_torsion_plane):
    arrays = evaluation(is_torsion_plane)
    figure, table = landscape_figure({"ala": arrays})
    counts = table.groupby(["item", "series"]).size()
    assert counts["bin", "reference"] == 900 and counts["dot", "samples"] == 3000
    assert counts["atom", "C7eq"] == 5 and counts["profile", "training"] == 30
    bins = table[table["item"] == "bin"]
    scale = 180.0 / np.pi if is_torsion_plane else 1.0
    lowest = bins.loc[bins["value"].idxmin()]
    assert np.allclose([lowest["x"] / scale, lowest["y"] / scale], np.radians([-60, 30]), atol=0.4)
    shown = " ".join(text.get_text() for text in texts(figure))
    assert "(kcal/mol)" in shown and ("(degrees)" if is_torsion_plane else "TIC 1") in shown
    assert shown.count(state_label("C7eq")) == 2


def test_letters_are_large_enough_and_files_are_written(tmp_path):
    rows = [
        {"solver": s, "steps": n, "evaluations": n, key: 1.0 / n, f"{key}_standard_error": 0.1 / n}
        for s, n in (("ancestral", 50.0), ("dpm_solver", 10.0), ("noise_floor", np.nan))
        for key in ("jensen_shannon_nats_25_bins",)
    ]
    rows[-1]["jensen_shannon_nats_25_bins"] = 0.01
    (tmp_path / "history.csv").write_text(
        "step,training_loss,validation_loss\n1,0.5,0.6\n2,0.4,\n3,0.3,0.4\n"
    )
    figures = {
        "landscape": landscape_figure({"a": evaluation(), "b": evaluation(False)}),
        "figure_2a": figure_2a({name: evaluation() for name in "abc"}),
        "energies": energies_figure({"a": evaluation()}),
        "samplers": samplers_figure({"a": rows}),
        "curve": learning_curve_figure(tmp_path / "history.csv"),
    }
    for name, (figure, table) in figures.items():
        for suffix in ("png", "pdf", "parquet"):
            write(tmp_path / f"{name}.{suffix}", figure, table)
        assert min(text.get_fontsize() for text in texts(figure)) >= 8, name
        assert len(pandas.read_parquet(tmp_path / f"{name}.parquet")) == len(table) > 0
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_energies_say_how_many_lie_below():
    arrays = evaluation()
    arrays[f"samples.{ENERGY}"] = np.where(np.arange(4000) < 400, np.inf, -5.0)
    figure, table = energies_figure({"ala": arrays})
    shown = " ".join(text.get_text() for text in texts(figure))
    assert "samples (90.0 % below)" in shown and "(kJ/mol)" in shown
    own = table[table["series"] == "samples"]
    width = np.diff(own["energy_kJ_per_mol"])[0]
    assert own["density"].sum() * width == pytest.approx(0.9)


def test_relaxed_samples_are_a_series_of_their_own():
    arrays = evaluation()
    for key in ("plane", "weights", ENERGY):
        arrays[f"relaxed.{key}"] = arrays[f"samples.{key}"]
    figure, table = energies_figure({"ala": arrays})
    assert set(table["series"]) == {"reference", "competitor", "samples", "relaxed"}
    assert any(text.get_text().startswith("samples, relaxed (") for text in texts(figure))
    landscape, profile = landscape_figure({"ala": arrays})
    assert "relaxed" in set(profile["series"])
    assert any(text.get_text() == "samples, relaxed" for text in texts(landscape))


def test_names_of_states():
    assert state_label("alpha_R") == r"$\alpha_{\mathrm{R}}$"
    assert state_label("C7eq") == r"$\mathrm{C7}_{\mathrm{eq}}$"
    assert state_label("open") == r"$\mathrm{open}$"


def test_plotting_needs_no_torch():
    code = (
        "import sys, dig_core.plotting, dig_core.evaluation.sampler_quality; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
