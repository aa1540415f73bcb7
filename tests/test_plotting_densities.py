"""The figure of densities: what it shows is what the arrays and the metrics say."""

import subprocess
import sys

import numpy as np
import pandas
import pytest
from matplotlib.text import Text

from dig_core.plotting import write
from dig_core.plotting_densities import DIFFERENCE, density_figure, density_points, difference_table
from dig_core.units import thermal_energy_kj_per_mol

METRICS = {
    "log_p_energy_slope_kT": 0.75,
    "log_p_energy_correlation": 0.92,
    "highest_physical_energy_kJ_per_mol": 0.0,
    DIFFERENCE: 2.2,
    f"{DIFFERENCE}_standard_error": 0.1,
    f"{DIFFERENCE}_tight_reference": 2.3,
    f"{DIFFERENCE}_tight_reference_standard_error": 0.01,
    f"{DIFFERENCE}_by_density": 3.0,
    f"{DIFFERENCE}_by_density_standard_error": 0.7,
}


def arrays(count: int = 40) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    energies = -thermal_energy_kj_per_mol(300.0) * generator.uniform(5.0, 30.0, count)
    energies[1] = 5000.0
    return {
        "potential_energy_kJ_per_mol": energies,
        "log_density_nats": -energies / thermal_energy_kj_per_mol(300.0) + 50.0,
        "source": np.repeat(["drawn", "reference"], count // 2),
        "state": np.where(np.arange(count) % 4 == 0, "phi_positive", "phi_negative"),
        "valid": np.arange(count) != 2,
    }


def test_structures_are_grouped_and_energies_are_in_kT():
    points = density_points(arrays(), METRICS, 300.0)
    assert (points["group"] == "reference").sum() == 20
    assert points["group"][:5].tolist() == ["other", "unphysical", "unphysical", "main", "other"]
    physical = points[points["group"] != "unphysical"]
    assert np.allclose(physical["log_density_nats"] - physical["log_boltzmann"], 50.0)
    assert physical["log_boltzmann"].between(5.0, 30.0).all()


def test_a_row_per_method_that_has_a_number():
    table = difference_table(METRICS)
    assert table["method"].tolist() == ["MD, tight reference", "counting samples", "by density"]
    assert table["free_energy_kcal_per_mol"].tolist() == [2.3, 2.2, 3.0]
    assert difference_table({}).empty


@pytest.mark.parametrize("metrics", [METRICS, {}])
def test_the_figure_is_written_with_its_table(tmp_path, metrics):
    figure, table = density_figure(
        {"ala": arrays(), "val": arrays(60)}, {"ala": METRICS, "val": metrics}, 300.0
    )
    for suffix in ("png", "pdf", "parquet"):
        write(tmp_path / f"density.{suffix}", figure, table)
        assert (tmp_path / f"density.{suffix}").stat().st_size > 1000
    shown = pandas.read_parquet(tmp_path / "density.parquet")
    assert set(shown["panel"]) == {"ala", "val"} and (shown["item"] == "structure").sum() == 100
    said = {text.get_text() for text in figure.findobj(Text)}
    assert "fit to drawn: slope 0.75, r = 0.92" in said and "1 strained\nnot shown" in said
    assert "3.00 $\\pm$ 0.70" in said and ("one state" in said) == (metrics == {})


def test_it_loads_without_torch():
    code = "import sys; import dig_core.plotting_densities; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "False", answer.stderr
