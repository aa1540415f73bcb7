"""Random structure search: space groups and densities of starts, a potential whose crystal at rest is known, and what is kept."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from dig_core.data.crystal_files import write_table
from dig_core.energies import ase as calculators
from dig_core.systems.carbon_search import ENTHALPY, gathered, random_start, searched

SIGMA = 2.6  # Angstrom, of argon-like carbon atoms: fcc with a nearest distance of about 1.09 sigma
SEARCH = {
    "calculator": "lj", "cells": ({"C": 4}, {"C": 3}), "starts": 6, "known": (), "volume_per_atom_angstrom3": 14.0,
    "pressure_GPa": 0.0, "steps": 300, "force_eV_per_angstrom": 0.002, "seed": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def potential(monkeypatch):
    settings = {"sigma": SIGMA, "epsilon": 0.05, "rc": 3 * SIGMA, "smooth": True}
    recipe = dataclasses.replace(calculators.CALCULATORS["lj"], settings=settings)
    monkeypatch.setitem(calculators.CALCULATORS, "lj", recipe)


def test_starts_are_primitive_symmetric_and_as_dense_as_asked():
    for number, atoms in ((1, 4), (2, 3), (3, 4)):
        start = random_start(number, SEARCH)
        assert len(start) == len(start.get_primitive_structure()) == atoms
        assert start.volume == pytest.approx(14.0 * atoms)
        assert start.get_space_group_info()[1] > 1
        assert start == random_start(number, SEARCH), "the same number is the same crystal"
    assert random_start(1, SEARCH) != random_start(1, SEARCH | {"seed": 4})


def test_without_pyxtal_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"expected the package pyxtal; got none\. Install it"):
        random_start(1, SEARCH)


def test_parts_together_are_the_whole_and_known_crystals_come_in_all_cells(tmp_path):
    fcc = Structure.from_spacegroup("Fm-3m", np.eye(3) * 4, ["C"], [[0, 0, 0]])
    fcc.to(str(tmp_path / "fcc.cif"))
    search = SEARCH | {"known": (str(tmp_path / "fcc.cif"),), "starts": 3}
    whole = searched(search, ["C"], (0, 1))
    parts = [searched(search, ["C"], (k, 2)) for k in range(2)]
    columns = ["start", ENTHALPY, "cif"]
    together = pd.concat(parts).sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.sort_values(columns, ignore_index=True))
    known = whole[whole["start"] == "known_1"]
    atoms = [len(Structure.from_str(cif, fmt="cif")) for cif in known["cif"]]
    assert (
        sorted(atoms) == [3] * 3 + [4] * 7
    )  # sublattices of fcc: Hart and Forcade, Phys. Rev. B 77, 224115 (2008)
    assert set(whole["start"]) <= {"known_1", "random_1", "random_2", "random_3"}


def cif(symbol: str) -> str:
    return Structure(np.eye(3) * 3, [symbol], [[0, 0, 0]]).to(fmt="cif")


def test_only_what_is_low_for_its_formula_is_kept(tmp_path, capsys):
    files = tmp_path / "1.csv", tmp_path / "2.csv"
    write_table(
        files[0], pd.DataFrame({"start": ["random_1", "random_2"], ENTHALPY: [-8.0, -8.7], "cif": cif("C")})
    )
    last = {"start": ["random_3", "random_4"], ENTHALPY: [-8.2, -5.0], "cif": [cif("C"), cif("Si")]}
    write_table(files[1], pd.DataFrame(last))
    assert gathered(files, 0.6)["start"].tolist() == ["random_2", "random_3", "random_4"]
    assert "3 of 4 crystals within 0.6 eV" in capsys.readouterr().out


def test_a_search_that_finds_nothing_says_what_to_do(tmp_path):
    write_table(tmp_path / "1.csv", pd.DataFrame({"start": [], ENTHALPY: [], "cif": []}))
    with pytest.raises(ValueError, match=r"expected crystals that come to rest; got none\. Raise"):
        gathered([tmp_path / "1.csv"], 0.6)
