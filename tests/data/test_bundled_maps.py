"""The energies over surfaces that come with the project, and what their rules make of one surface again."""

from pathlib import Path

import numpy as np
import pytest

from dig_core.config import load_study, plain
from dig_core.data.energy_maps import EnergyMap
from dig_core.files import load_arrays
from dig_core.settings.bundled import BUNDLED, bundled_surface
from dig_core.systems.adsorption import build
from dig_core.systems.adsorption_energies import energy_map
from dig_core.systems.adsorption_model import slab_of

ROOT = Path(__file__).parents[2]
STUDIES = {name: load_study(ROOT / f"config/systems/{name}.yaml") for name in ("adsorption", "adsorption_co")}
SURFACES = [(name, target) for name, study in STUDIES.items() for target in study.targets]


@pytest.mark.parametrize("name", STUDIES)
def test_every_target_of_a_study_has_its_surface_and_no_other_is_there(name):
    assert {path.stem for path in (BUNDLED / name).glob("*.npz")} == set(STUDIES[name].targets)
    assert all(bundled_surface(STUDIES[name], target) for target in STUDIES[name].targets)


@pytest.mark.parametrize(("name", "target"), SURFACES)
def test_adsorbates_are_bound_and_whole_everywhere(name, target):
    arrays = load_arrays(BUNDLED / name / f"{target}.npz")
    found = EnergyMap.of(arrays)
    assert found.energies_eV.min() == 0.0 and found.energies_eV.max() < 4.0
    assert found.heights_angstrom.min() > -1.0 and found.heights_angstrom.max() < 3.0
    assert np.linalg.eigvalsh(found.stiffness_eV_per_angstrom2).min() > 0.2
    bonds = found.bonds_angstrom(np.random.default_rng(0).random((50, 2)) @ found.cell_angstrom)
    assert ((bonds > 1.1) & (bonds < 1.25)).all()
    np.testing.assert_allclose(found.cell_angstrom, arrays["lattice_angstrom"][:2, :2], atol=1e-9)


@pytest.mark.parametrize(("name", "target"), [("adsorption_co", "CO_on_Ni"), ("adsorption", "O_on_Cu")])
def test_one_of_them_is_what_the_rules_make_again(name, target, tmp_path):
    study, kept = STUDIES[name], load_arrays(BUNDLED / f"{name}/{target}.npz")
    settings = plain(study)
    arrays = build(settings["targets"][target], settings["data"])
    np.testing.assert_allclose(arrays["slab_angstrom"], kept["slab_angstrom"], atol=0.01)
    own = {name: settings["data"][name] for name in ("calculator", "points")}
    found = energy_map(slab_of(arrays), arrays["adsorbed_numbers"], own, tmp_path / "partial.npz")
    np.testing.assert_allclose(found.energies_eV, kept["energies_eV"], atol=0.005)
    np.testing.assert_allclose(found.rest_angstrom, kept["rest_angstrom"], atol=0.03)
    log_weights = [own.log_weights(0.1) for own in (found, EnergyMap.of(kept))]
    np.testing.assert_allclose(
        log_weights[0] - log_weights[0].max(), log_weights[1] - log_weights[1].max(), atol=0.4
    )
