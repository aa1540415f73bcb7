"""Crystals of a study from its files: the property that a column of a table holds, and a network that goes on from another one."""

import numpy as np
import pandas
import pytest
import torch
import yaml

from dig_core.data.carbon_phases import cells_of_phases
from dig_core.systems import carbon
from dig_core.systems.carbon import prepared, tabulated, training_part
from dig_core.training import Material, train_system
from tests.test_tiny_study import ROOT

DATA = {"elements": ["C"], "largest_atoms": 4, "held_out_share": 0.25, "seed": 1}
CELLS = cells_of_phases(4)


def table(path, gaps) -> list[str]:
    rows = {"band_gap_eV": gaps, "cif": [own.to(fmt="cif") for own in CELLS.values()]}
    pandas.DataFrame(rows).to_csv(path)
    return [str(path)]


def test_values_stand_beside_their_crystals_and_may_be_missing(tmp_path):
    gaps = [float(number) for number in range(len(CELLS))]
    gaps[2] = None
    found = prepared(table(tmp_path / "a.csv", gaps), DATA, "band_gap_eV")
    assert len(found["property"]) == len(found["counts"]) == len(found["held_out"])
    known = np.isfinite(found["property"])
    assert (~known).sum() <= 1
    atoms = [len(own) for own in CELLS.values()]
    assert [atoms[int(value)] for value in found["property"][known]] == found["counts"][known].tolist()
    assert "property" not in prepared(table(tmp_path / "a.csv", gaps), DATA)


def test_a_column_without_numbers_is_told_in_one_line(tmp_path):
    files = table(tmp_path / "a.csv", [None] * len(CELLS))
    for column in ("band_gap_eV", "energy_eV"):
        with pytest.raises(ValueError, match=f"expected the column '{column}' in a table"):
            prepared(files, DATA, column)
    files = table(tmp_path / "a.csv", ["wide"] * len(CELLS))
    with pytest.raises(ValueError, match="expected numbers in the column 'band_gap_eV'"):
        prepared(files, DATA, "band_gap_eV")


def test_values_come_from_another_table_by_the_name_of_a_crystal(tmp_path):
    crystals = pandas.DataFrame({"name": list(CELLS), "cif": [own.to(fmt="cif") for own in CELLS.values()]})
    crystals.to_csv(tmp_path / "a.csv")
    files, own = [str(tmp_path / "a.csv")], tmp_path / "gaps.csv"
    rows = {"name": list(CELLS)[::-1][:-1], "band_gap_eV": np.arange(len(CELLS))[::-1][:-1]}
    pandas.DataFrame(rows).to_csv(own, index=False)
    whole = DATA | {"held_out_share": 0.0}
    found = prepared(files, whole, "band_gap_eV", own)["property"]
    np.testing.assert_array_equal(found, [np.nan, *range(1, len(CELLS))])
    pandas.DataFrame(rows | {"energy_eV": 1.0}).to_csv(own, index=False)
    with pytest.raises(ValueError, match=f"expected band_gap_eV and one more column in {own}"):
        prepared(files, whole, "band_gap_eV", own)


def test_labels_are_tabulated_beside_their_rows(tmp_path):
    """Of three rows of a table the second was left out; a CIF file has no row of its own."""
    pandas.DataFrame({"start": ["a", "b", "c"]}).to_csv(tmp_path / "1.csv", index=False)
    crystals = {"places": np.array([0, 2, 3]), "property": np.array([4.1, np.nan, 1.0])}
    found = tabulated([tmp_path / "1.csv", "mine.cif"], crystals, "band_gap_eV")
    assert found["start"].tolist()[:3] == ["a", "b", "c"] and found["file"].tolist()[3] == "mine.cif"
    np.testing.assert_equal(found["band_gap_eV"].to_numpy(), [4.1, np.nan, np.nan, 1.0])


def test_a_network_goes_on_from_another_study_or_is_taken_as_it_is(tmp_path):
    """Without steps nothing changes; with some the weights move from where they were."""
    settings = yaml.safe_load((ROOT / "config/systems/carbon_24.yaml").read_text()) | {"temperature_K": None}
    settings["model"] |= {"layers": 1, "width": 16, "functions": 8}
    settings["training"] |= {"steps": 3, "batch_size": 4}
    dataset = training_part(prepared([ROOT / "config/structures/carbon_phases.csv"], DATA))
    first = train_system(carbon, Material(dataset, {}), settings, tmp_path / "first.pt", "cpu")
    checkpoint = {"weights": first.weights} | first.description
    went_on = train_system(carbon, Material(dataset, {}, checkpoint), settings, tmp_path / "more.pt", "cpu")
    again = settings | {"training": settings["training"] | {"steps": 0}}
    taken = train_system(carbon, Material(dataset, {}, checkpoint), again, tmp_path / "taken.pt", "cpu")
    assert taken.history == [] and went_on.history[-1]["step"] == 3
    assert all(torch.equal(own, first.weights[name]) for name, own in taken.weights.items())
    moved = max((own - first.weights[name]).abs().max() for name, own in went_on.weights.items())
    assert 0.0 < moved < 0.1
