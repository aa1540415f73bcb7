"""The workflow of crystals, small: from CIFs to samples that match known phases, and to the figure."""

import json

import ase.io
import numpy as np
import pandas
import pytest
from pymatgen.core import Structure

from dig_core.data.carbon_phases import cells_of_phases
from dig_core.files import load_arrays
from tests.test_tiny_study import ROOT, checkout, snakemake

FIGURES = [
    f"figures/{name}.{suffix}"
    for name in ("crystals", "learning_curve", "property")
    for suffix in ("png", "pdf", "parquet")
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the finished tiny study of crystals."""
    folder = checkout(tmp_path_factory.mktemp("carbon"), "[carbon_tiny]")
    (folder / "config/config.yaml").write_text("studies: [carbon_tiny]\nfigures: {}\n")
    snakemake(folder, "carbon_tiny")
    return folder / "results/carbon_tiny"


def test_the_crystals_are_the_named_phases():
    table = pandas.read_csv(ROOT / "config/structures/carbon_phases.csv")
    cells = cells_of_phases(4)
    assert table["name"].tolist() == list(cells)
    for cif, own in zip(table["cif"], cells.values(), strict=True):
        written = Structure.from_str(cif, fmt="cif")
        np.testing.assert_allclose(written.lattice.parameters, own.lattice.parameters, atol=1e-6)
        apart = written.frac_coords - own.frac_coords  # 0 and 1 are the same place
        np.testing.assert_allclose(apart, apart.round(), atol=1e-6)
        assert written.species == own.species
    gaps = {
        "diamond": 4.18,
        "lonsdaleite": 3.40,
        "graphite": 0.0,
    }  # PBE; tests/energies/test_espresso.py computes them
    assert table["band_gap_eV"].tolist() == [gaps[name.partition("_")[0]] for name in cells]


def test_whole_prototypes_are_held_out(tiny):
    crystals, dataset = load_arrays(tiny / "crystals.npz"), load_arrays(tiny / "dataset.npz")
    kinds = {
        number: set(crystals["held_out"][crystals["prototypes"] == number])
        for number in set(crystals["prototypes"].tolist())
    }
    assert all(len(held) == 1 for held in kinds.values()) and {True} in kinds.values()
    assert len(dataset["counts"]) == (~crystals["held_out"]).sum()
    assert dataset["counts"].sum() == len(dataset["fractional"]) == len(dataset["atomic_numbers"])


def test_samples_match_known_phases_far_above_chance(tiny):
    """A minute of training."""
    found = json.loads((tiny / "four/metrics.json").read_text())
    assert found["samples"] == 60
    assert found["match_rate"] > 0.3 > 3 * found["match_rate_baseline_random_cells"]
    assert found["valid_fraction"] > found["valid_fraction_baseline_random_cells"] + 0.3
    assert found["match_rate_paper"] >= found["match_rate"]
    assert 0.0 < found["recall_trained"] <= 1.0
    assert found["density_g_per_cm3_wasserstein"] < 0.5
    assert found["match_rms"] < 0.1


def test_crystals_have_the_gap_that_they_are_asked_to_have(tiny):
    """Of what matches a known phase: diamond where 4.2 eV are asked for, graphite where none, and both where nothing is."""
    free, wide, metal = (
        json.loads((tiny / target / "metrics.json").read_text())
        for target in ("four", "four_wide", "four_metal")
    )
    assert free["band_gap_matched_near_0_fraction"] > 0.1 < free["band_gap_matched_near_4.2_fraction"]
    for asked, has, other in ((wide, "4.2", "0"), (metal, "0", "4.2")):
        wanted, unwanted = (asked[f"band_gap_matched_near_{value}_fraction"] for value in (has, other))
        assert wanted > 0.25 > 0.1 > unwanted
        assert wanted + unwanted == pytest.approx(asked["match_rate"])
        assert asked[f"band_gap_near_{has}_fraction"] > 0.8
    assert wide["most_bonded_share_wasserstein"] > 0.1, "diamond alone is not what the data are"
    assert free["band_gap_error_held_out_eV"] < 0.5


def test_samples_are_written_for_other_programs(tiny):
    structures = ase.io.read(tiny / "four/samples.extxyz", index=":")
    arrays = load_arrays(tiny / "four/samples.npz")
    assert len(structures) == 60 and all(
        own.get_chemical_symbols() == ["C"] * 4 and own.pbc.all() for own in structures
    )
    np.testing.assert_allclose([own.cell[:] for own in structures], arrays["lattices_angstrom"], atol=1e-6)
    np.testing.assert_allclose(
        np.concatenate([own.get_scaled_positions(wrap=False) for own in structures]),
        arrays["fractional"],
        atol=1e-5,
    )


def test_figure_and_table_show_all_series(tiny):
    assert all((tiny / name).stat().st_size > 1000 for name in FIGURES)
    shown = pandas.read_parquet(tiny / "figures/crystals.parquet")
    assert set(shown["series"]) == {"training", "noise_floor", "samples", "baseline_random_cells"}
    density = shown[shown["quantity"] == "density_g_per_cm3"]
    shares = density.groupby(["target", "series"])["share"].sum()
    np.testing.assert_allclose(shares, 1.0)
    whole = pandas.read_parquet(tiny / "figures/property.parquet")
    costs, shown = whole.dropna(subset="scale"), whole.dropna(subset="property")
    assert sorted(costs["scale"]) == [0.0, 0.0, 2.0, 2.0] and costs["valid_fraction"].between(0, 1).all()
    assert set(shown["target"]) == {"four", "four_wide", "four_metal"}
    total = shown.groupby(["target", "series"])["share"].sum()
    np.testing.assert_allclose(total[:, "samples.property"], 1.0)
    matched = json.loads((tiny / "four_wide/metrics.json").read_text())["match_rate"]
    assert total["four_wide", "samples.property_matched"] == pytest.approx(matched)
    table = pandas.read_csv(tiny.parent / "tables/carbon_tiny.csv").set_index("metric")
    columns = ["samples", "noise_floor", "baseline", "random_cells"]
    assert table.loc["match_rate", columns].notna().all(axis=None)


def test_a_predictor_of_ones_own_guides_the_drawing_and_judges_it(tiny):
    """Volumes per atom in cubic Angstrom, of which the study knows nothing: diamond has 5.7, graphite nearly 9."""
    folder, study = tiny.parents[1], tiny.parents[1] / "config/systems/carbon_tiny.yaml"
    (folder / "volume.py").write_text(
        "def predict(fractional, lattices_angstrom, atomic_numbers):\n"
        "    return lattices_angstrom.det().abs() / fractional.shape[1]\n"
    )
    text = study.read_text().replace("guidance: {", "predictor: volume.py\n  guidance: {by: predictor, ")
    study.write_text(text.replace("targets:", "targets:\n  dense: {atoms: {C: 4}, asked: 5.7}"))
    snakemake(folder, "results/carbon_tiny/dense/metrics.json")
    volumes = {
        name: np.median([own.get_volume() / 4 for own in ase.io.read(tiny / name / "samples.extxyz", ":")])
        for name in ("four", "dense")
    }
    assert volumes["four"] > 6.5 and volumes["dense"] == pytest.approx(5.7, abs=0.4)
    found = json.loads((tiny / "dense/metrics.json").read_text())
    assert found["band_gap_predictor_median_eV"] == pytest.approx(volumes["dense"], abs=1e-3)
    assert (
        found["band_gap_matched_near_4.2_fraction"] > 0.25 > 0.1 > found["band_gap_matched_near_0_fraction"]
    )
    assert found["band_gap_error_predictor_known_eV"] > 1.0, "volumes are no band gaps"
