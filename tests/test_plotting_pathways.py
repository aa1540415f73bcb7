"""The figure of paths: it shows what its table says, wraps around the period, and does without what is missing."""

import subprocess
import sys

import numpy as np
import pandas
import pytest

from dig_core.evaluation.landscape import landscape
from dig_core.plotting import write
from dig_core.plotting_pathways import pathway_figure
from tests.test_plotting import ENERGY, evaluation, texts


def paths(pairs: int = 3, points: int = 5) -> dict[str, np.ndarray]:
    """Paths from phi = 150 over 180 to -150 degrees; the straight one has a clash halfway."""
    phi = np.radians(np.linspace(150.0, 210.0, points))
    phi = np.mod(phi + np.pi, 2 * np.pi) - np.pi
    torsions = np.tile(np.stack([phi, np.linspace(0.0, 0.5, points)], axis=1), (pairs, 1, 1))
    energies = np.zeros((pairs, points))
    clash = energies.copy()
    clash[:, points // 2] = 1e9
    return {
        "state_names": np.array(["C7eq", "C7ax"]),
        "chosen": np.array(1),
        "latent_torsions_rad": torsions,
        "straight_torsions_rad": torsions,
        f"latent_{ENERGY}": energies,
        f"straight_{ENERGY}": clash,
    }


def longest_line(figure) -> float:
    """Largest step of a drawn path in degrees."""
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 5]
    assert lines
    return max(np.abs(np.diff(line.get_xdata())).max() for line in lines)


def test_figure_shows_what_its_table_says(tmp_path):
    arrays = evaluation()
    figure, table = pathway_figure({"ala": arrays}, {"ala": paths()})
    counts = table.groupby(["item", "series"]).size()
    assert counts["bin", "reference"] == 900
    assert counts["path", "latent"] == counts["path", "straight"] == 15
    assert (table["chosen"] == True).sum() == 10  # noqa: E712
    shown = " ".join(text.get_text() for text in texts(figure))
    assert "MD (kJ/mol)" in shown and "(degrees)" in shown and "99.9th percentile" in shown
    assert "held-out MD (kcal/mol)" in shown
    above = table.loc[table["series"] == "latent", "energy_above_median_kJ_per_mol"]
    assert above.abs().max() < 1.0, "the median of these dynamics is about 0"
    for suffix in ("png", "pdf", "parquet"):
        write(tmp_path / f"pathway.{suffix}", figure, table)
    assert min(text.get_fontsize() for text in texts(figure)) >= 5.6  # subscripts
    assert len(pandas.read_parquet(tmp_path / "pathway.parquet")) == len(table)


def test_a_path_across_the_border_is_not_drawn_through_the_plane():
    figure, _ = pathway_figure({"ala": evaluation()}, {"ala": paths()})
    assert longest_line(figure) == pytest.approx(15.0)
    shown = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 5]
    assert any(np.isclose(x, 150.0).any() for x in shown) and any(np.isclose(x, -150.0).any() for x in shown)


def test_the_tight_reference_is_shown_where_there_is_one():
    arrays = evaluation()
    points = np.radians(np.random.default_rng(1).normal(100.0, 5.0, (4000, 2)))
    tight = landscape(points, (arrays["x_edges"], arrays["y_edges"]), 300.0)
    figure, table = pathway_figure(
        {"ala": arrays | {"tight_reference.probability": tight.probability}}, {"ala": paths()}
    )
    bins = table[table["item"] == "bin"]
    lowest = bins.loc[bins["free_energy_kcal_per_mol"].idxmin()]
    assert np.abs(lowest[["phi_deg", "psi_deg"]].astype(float) - 100.0).max() < 12.0
    assert any("tight reference" in text.get_text() for text in texts(figure))


def test_without_energies_or_torsion_plane_only_the_paths_are_drawn():
    bare = {key: value for key, value in paths().items() if not key.endswith(ENERGY)}
    _, table = pathway_figure({"ala": evaluation(is_torsion_plane=False)}, {"ala": bare})
    assert set(table["item"]) == {"path"} and "energy_above_median_kJ_per_mol" not in table


def test_plotting_needs_no_torch():
    code = "import sys, dig_core.plotting_pathways, dig_core.evaluation.pathways; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
