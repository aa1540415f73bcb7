"""Slabs with energies that come with the project are taken where they have the settings of the study, and only there."""

import json

import pytest

from dig_core.config import load_study
from dig_core.settings import bundled
from dig_core.settings.bundled import bundled_surface, surface_settings
from tests.test_config import ROOT


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The tiny study, which names a folder with the energies of O on Ag."""
    monkeypatch.setattr(bundled, "BUNDLED", tmp_path)
    bundled._made_with.cache_clear()
    found = load_study(ROOT / "config/systems/adsorption_tiny.yaml")
    own = found.model_copy(update={"data": found.data.model_copy(update={"bundled": "own"})})
    (tmp_path / "own").mkdir()
    (tmp_path / "own/O_on_Ag.npz").write_text("slab and energies")
    (tmp_path / "own/O_on_Ag.json").write_text(json.dumps(surface_settings(own, "O_on_Ag")))
    return own


def changed(study, **data):
    return study.model_copy(update={"data": study.data.model_copy(update=data)})


def test_energies_of_just_these_settings_are_taken(study, tmp_path):
    assert bundled_surface(study, "O_on_Ag") == tmp_path / "own/O_on_Ag.npz"
    assert bundled_surface(study, "H_on_Ag") is None
    # What is drawn from them, or whether it trains, changes no energy.
    assert bundled_surface(changed(study, structures=7, seed=5), "O_on_Ag") is not None
    trained = study.targets["O_on_Ag"].model_copy(update={"held_out": False})
    assert bundled_surface(study.model_copy(update={"targets": {"O_on_Ag": trained}}), "O_on_Ag") is not None


@pytest.mark.parametrize(
    "data", [{"points": 24}, {"calculator": "chgnet"}, {"fixed_layers": 1}, {"bundled": None}]
)
def test_energies_of_other_settings_are_computed(study, data):
    assert bundled_surface(changed(study, **data), "O_on_Ag") is None


def test_energies_of_a_slab_from_a_file_are_computed(study):
    """It may change under its name."""
    own = study.targets["O_on_Ag"].model_copy(update={"surface": None, "slab": "slab.cif"})
    other = study.model_copy(update={"targets": {"O_on_Ag": own}})
    (bundled.BUNDLED / "own/O_on_Ag.json").write_text(json.dumps(surface_settings(other, "O_on_Ag")))
    bundled._made_with.cache_clear()
    assert bundled_surface(other, "O_on_Ag") is None


def test_elements_in_another_order_are_on_other_sites(study):
    def of(composition):
        own = study.targets["O_on_Ag"]
        surface = own.surface.model_copy(update={"composition": composition, "structure": "L1_0"})
        return study.model_copy(update={"targets": {"O_on_Ag": own.model_copy(update={"surface": surface})}})

    kept = surface_settings(of({"Cu": 1, "Au": 1}), "O_on_Ag")
    (bundled.BUNDLED / "own/O_on_Ag.json").write_text(json.dumps(kept))
    bundled._made_with.cache_clear()
    assert bundled_surface(of({"Cu": 1, "Au": 1}), "O_on_Ag") is not None
    assert bundled_surface(of({"Au": 1, "Cu": 1}), "O_on_Ag") is None


def test_energies_of_another_surface_of_the_same_name_are_computed(study):
    own = study.targets["O_on_Ag"]
    other = own.model_copy(update={"surface": own.surface.model_copy(update={"lattice_angstrom": 4.1})})
    assert bundled_surface(study.model_copy(update={"targets": {"O_on_Ag": other}}), "O_on_Ag") is None
