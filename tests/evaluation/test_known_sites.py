"""Which site comes first, by whom: small surfaces whose answer is plain."""

import numpy as np
import pandas as pd
import pytest

from dig_core.evaluation.known_sites import compared, counted, known_energies

KNOWN = pd.DataFrame(
    [("Pd", "O", "top", -2.6), ("Pd", "O", "fcc", -4.4), ("Pd", "O", "hcp", -4.2), ("Pd", "O", "bridge", -3.8),
     ("Pd", "H", "top", -2.3), ("Pd", "H", "fcc", -2.85), ("Pd", "H", "hcp", -2.81), ("Pd", "H", "bridge", -2.7)],
    columns=["metal", "adsorbate", "site", "energy_eV"],
)  # fmt: skip


def surfaces(adsorbate: str, metal: str = "Pd") -> dict:
    surface = {"composition": {metal: 1}, "structure": "fcc", "miller": [1, 1, 1]}
    other = surface | {"miller": [1, 0, 0]}
    return {
        "one": {"surface": surface, "adsorbate": adsorbate, "held_out": False},
        "open": {"surface": other, "adsorbate": adsorbate, "held_out": False},
        "file": {"surface": None, "adsorbate": adsorbate, "held_out": False},
    }


def sites(fcc: float, hcp: float, sampled_fcc: float) -> dict:
    """Two of each hollow; energies of both kinds, and what of the samples is at fcc."""
    return {
        "one": {
            "types": np.array(["fcc", "fcc", "hcp", "hcp"]),
            "energies_eV": np.array([fcc, fcc, hcp, hcp]),
            "sampled": np.array([sampled_fcc, sampled_fcc, 1 - sampled_fcc, 1 - sampled_fcc]) / 2,
        }
    }


def test_hollows_are_two_where_known_energies_tell_them_apart():
    [row] = compared(sites(0.0, 0.3, 0.2), surfaces("O"), KNOWN).to_dict("records")
    assert (row["most_probable_site"], row["lowest_site"], row["lowest_known_site"]) == ("hcp", "fcc", "fcc")
    assert (row["model_as_potential"], row["potential_as_known"], row["model_as_known"]) == (
        False,
        True,
        False,
    )
    assert row["fcc_below_hcp_eV"] == pytest.approx(0.3)
    assert row["known_fcc_below_hcp_eV"] == pytest.approx(0.2)


def test_hollows_are_one_where_known_energies_do_not():
    found = compared(sites(0.0, 0.3, 0.2), surfaces("H"), KNOWN)
    assert counted(found) == {
        "compared": 1, "compared_held_out": 0, "model_as_potential": 1, "model_as_potential_strictly": 0,
        "potential_as_known": 1, "model_as_known": 1, "model_as_potential_held_out": 0,
        "model_as_potential_strictly_held_out": 0, "potential_as_known_held_out": 0, "model_as_known_held_out": 0,
    }  # fmt: skip


def test_a_top_is_none_of_them():
    own = sites(0.0, 0.3, 0.2)["one"] | {"types": np.array(["top", "top", "hcp", "hcp"])}
    [row] = compared({"one": own}, surfaces("H"), KNOWN).to_dict("records")
    assert row["lowest_site"] == "top" and not row["potential_as_known"] and row["model_as_known"]


def test_a_model_that_is_at_no_site_agrees_with_nothing():
    own = sites(0.0, 0.3, 0.2)["one"] | {"sampled": np.zeros(4)}
    [row] = compared({"one": own}, surfaces("H"), KNOWN).to_dict("records")
    assert row["most_probable_site"] == "none" and not row["model_as_potential"] and not row["model_as_known"]


def test_a_whole_table_of_energies_is_read(tmp_path):
    KNOWN.to_csv(tmp_path / "known.csv", index=False)
    pd.testing.assert_frame_equal(known_energies(str(tmp_path / "known.csv")), KNOWN)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (KNOWN.drop(columns="energy_eV"), "got none of energy_eV. Add them"),
        (
            KNOWN.astype({"energy_eV": str}).replace("-4.2", "low"),
            "expected a number in every row of energy_eV",
        ),
        (KNOWN.drop(index=2), "of Pd O, each once, in .*; got top, fcc, bridge"),
        (pd.concat([KNOWN, KNOWN[:1]]), "of Pd O, each once, in .*; got top, fcc, hcp, bridge, top"),
    ],
)
def test_a_table_that_is_not_whole_is_told(tmp_path, table, told):
    table.to_csv(tmp_path / "known.csv", index=False)
    with pytest.raises(ValueError, match=told):
        known_energies(str(tmp_path / "known.csv"))


def test_nothing_known_is_told():
    with pytest.raises(ValueError, match=r"among the known ones, Pd; got none. Leave out evaluation.known"):
        compared(sites(0.0, 0.3, 0.2), surfaces("O", "Al"), KNOWN)
