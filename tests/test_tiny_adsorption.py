"""The workflow of adsorption, small: from slabs to samples at the sites of a surface that the network has not seen with this atom."""

import json

import ase.io
import numpy as np
import pandas
import pytest

from dig_core.files import load_arrays
from tests.test_tiny_study import checkout, snakemake

TARGETS = ("H_on_Cu", "H_on_Ag", "O_on_Cu", "O_on_Ag")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the finished tiny study of adsorption."""
    folder = checkout(tmp_path_factory.mktemp("adsorption"), "[adsorption_tiny]")
    (folder / "config/config.yaml").write_text("studies: [adsorption_tiny]\nfigures: {}\n")
    snakemake(folder, "adsorption_tiny")
    return folder / "results/adsorption_tiny"


def metrics(tiny, target: str) -> dict:
    return json.loads((tiny / target / "metrics.json").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_samples_are_at_sites_far_more_often_than_atoms_anywhere(tiny, target):
    """O on Ag is held out. The floor are structures drawn from the energies themselves."""
    found = metrics(tiny, target)
    assert found["samples"] == 400 and found["sites"] == 8
    random, floor = (found[f"site_precision{end}"] for end in ("_baseline_random_placement", "_noise_floor"))
    assert found["site_precision"] > random + 0.4 * (floor - random) and floor > random + 0.15
    random, floor = (
        found[f"site_rmsd_angstrom{end}"] for end in ("_baseline_random_placement", "_noise_floor")
    )
    assert found["site_rmsd_angstrom"] < random - 0.3 * (random - floor)
    assert found["site_coverage_10_per_site"] > 0.9
    assert found["most_probable_site_energy_eV"] < 0.005
    assert found["buried_fraction"] == found["desorbed_fraction"] == 0.0


@pytest.mark.parametrize("target", TARGETS)
def test_the_density_is_large_where_the_energy_is_low(tiny, target):
    found = metrics(tiny, target)
    assert found["spearman_log_p_energy"] > 0.7
    assert found["log_density_change_nats"] <= 0.1


def test_the_one_target_that_is_held_out_is_the_mean_of_such(tiny):
    own, mean = metrics(tiny, "O_on_Ag"), metrics(tiny, "held_out")
    assert mean["targets"] == 1 and mean["site_precision"] == own["site_precision"]
    gain = own["site_precision"] - own["site_precision_baseline_random_placement"]
    assert mean["site_precision_less_random_placement"] == pytest.approx(gain)
    table = pandas.read_csv(tiny.parent / "tables/adsorption_tiny.csv")
    assert set(table["target"]) == {*TARGETS, "held_out"}


def test_the_site_that_is_filled_most_is_the_lowest_of_the_potential(tiny):
    """Of all four, hollows that known energies hardly tell apart counted as one; that EMT and PBE agree is not asked."""
    found = json.loads((tiny / "known_sites/metrics.json").read_text())
    assert found["compared"] == 4 and found["compared_held_out"] == 1
    assert found["model_as_potential"] >= 3
    table = pandas.read_csv(tiny.parent / "tables/adsorption_tiny_known_sites.csv").set_index("target")
    assert set(table.index) == set(TARGETS) and set(table["lowest_known_site"]) == {"fcc"}
    assert table["known_fcc_below_hcp_eV"]["O_on_Ag"] == pytest.approx(0.103, abs=0.01)


def test_a_bundled_surface_is_taken_and_not_computed(tiny):
    """Under another name of the study: the same settings, but that the slab and its energies are those of the file."""
    folder = tiny.parents[1]
    snakemake(folder, "results/adsorption_tiny/O_on_Ag/bundled.npz")
    bundled = folder / "dig_core/data/bundled/adsorption_tiny"
    bundled.mkdir()
    for ending in ("npz", "json"):
        (tiny / f"O_on_Ag/bundled.{ending}").rename(bundled / f"O_on_Ag.{ending}")
    arrays = load_arrays(bundled / "O_on_Ag.npz")
    marked = arrays | {"energies_eV": arrays["energies_eV"] + 0.5}
    np.savez(bundled / "O_on_Ag.npz", **marked)
    own = "based_on: adsorption_tiny\ndata: {bundled: adsorption_tiny}\n"
    (folder / "config/systems/again.yaml").write_text(own)
    snakemake(folder, "results/again/O_on_Ag/energies.npz")
    again = [load_arrays(folder / f"results/again/O_on_Ag/{name}.npz") for name in ("molecule", "energies")]
    np.testing.assert_array_equal(again[0]["slab_angstrom"], arrays["slab_angstrom"])
    np.testing.assert_array_equal(again[1]["energies_eV"], marked["energies_eV"])


def test_sites_of_the_energy_map_are_the_hollows(tiny):
    table = pandas.read_parquet(tiny / "figures/sites.parquet")
    for _, own in table.groupby("target"):
        assert own["type"].value_counts().to_dict() == {"fcc": 4, "hcp": 4}
        assert own["population"].sum() == pytest.approx(1.0, abs=0.02)


def test_structures_are_written_with_their_slab(tiny):
    frames = ase.io.read(tiny / "O_on_Ag/samples.extxyz", index=":")
    arrays = load_arrays(tiny / "O_on_Ag/samples.npz")
    assert len(frames) == 400 and str(frames[0].symbols) == "Ag16O"
    positions = np.array([own.positions[-1:] for own in frames])
    np.testing.assert_allclose(positions, arrays["positions_angstrom"], atol=1e-6)


def test_the_atom_that_is_held_out_on_this_surface_has_not_trained_the_network(tiny):
    dataset = load_arrays(tiny / "dataset.npz")
    assert {name.partition(".")[0] for name in dataset if "." in name} == set(TARGETS[:3])
