"""The workflow of a molecule on surfaces, small: carbon monoxide on a metal that the network was not trained on stands on its carbon."""

import json

import ase.io
import numpy as np
import pytest

from tests.test_tiny_study import checkout, snakemake

TARGETS = ("CO_on_Cu", "CO_on_Rh", "CO_on_Ni")  # the last one is held out


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the finished tiny study."""
    folder = checkout(tmp_path_factory.mktemp("co"), "[adsorption_co_tiny]")
    (folder / "config/config.yaml").write_text("studies: [adsorption_co_tiny]\nfigures: {}\n")
    snakemake(folder, "adsorption_co_tiny")
    return folder / "results/adsorption_co_tiny"


@pytest.mark.parametrize("target", TARGETS)
def test_molecules_are_whole_stand_on_carbon_and_find_the_sites(tiny, target):
    found = json.loads((tiny / target / "metrics.json").read_text())
    assert found["right_end_down_fraction"] > 0.9 and found["dissociated_fraction"] < 0.05
    assert found["bond_within_0.1_angstrom_fraction"] > 0.7
    random, floor = (found[f"site_precision{end}"] for end in ("_baseline_random_placement", "_noise_floor"))
    assert found["site_precision"] > random + 0.3 * (floor - random)


def test_structures_are_written_whole_with_the_figure_of_them(tiny):
    """Bonds do not run to the other side of the cell."""
    drawn = ase.io.read(tiny / "CO_on_Ni/samples.extxyz", ":")
    assert len(drawn) == 200 and all(own.get_chemical_symbols()[-2:] == ["C", "O"] for own in drawn)
    bonds = [np.linalg.norm(own.positions[-1] - own.positions[-2]) for own in drawn]
    assert np.median(bonds) == pytest.approx(1.18, abs=0.05)
    assert all((tiny / f"figures/adsorbates.{suffix}").stat().st_size for suffix in ("png", "pdf", "parquet"))
