"""Relaxation of drawn crystals: which ones, what is kept of them, and what is counted; with a stand-in for the potential."""

import numpy as np
import pytest

from dig_core.crystals import Crystals, crystals_of
from dig_core.data.carbon_phases import phase
from dig_core.data.crystal_files import read_crystals, write_table
from dig_core.energies.crystal_relaxation import Relaxed
from dig_core.energies.labels import by_lot
from dig_core.evaluation.matching import matcher
from dig_core.systems import carbon_relaxation
from dig_core.systems.carbon_relaxation import relaxed_metrics, relaxed_samples, tabulated

SETTINGS = {"samples": 3, "seed": 5}
PHASES = ["diamond", "graphite_aa", "graphite_abc", "diamond", "graphite_aa"]
KNOWN = vars(Crystals.of([phase("diamond"), phase("graphite_aa")])) | {
    "held_out": np.array([False, True]), "prototypes": np.array([0, 1]), "weights": np.ones(2)
}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """Expanded phases; at rest they have the right volume, and graphite is 0.1 eV higher; ABC does not come to rest."""

    def rest(crystal, settings):
        layered = crystal.density < 2.5
        original = crystal.copy().scale_lattice(crystal.volume / 1.1)
        return Relaxed(original, -9.0 + 0.1 * layered, 0.02 + 0.01 * layered, not layered)

    monkeypatch.setattr(carbon_relaxation, "relaxed", rest)
    own = [phase(name) for name in PHASES]
    return vars(Crystals.of([crystal.scale_lattice(1.1 * crystal.volume) for crystal in own]))


def test_those_are_relaxed_that_come_first_by_lot(drawn):
    found = relaxed_samples(drawn, SETTINGS)
    assert found["samples"].tolist() == by_lot(5, 5)[:3].tolist()
    for crystal, k in zip(crystals_of(found).structures(), found["samples"], strict=True):
        assert matcher().fit(crystal, phase(PHASES[k]))
        assert crystal.volume == pytest.approx(phase(PHASES[k]).volume)
    layered = np.array([PHASES[k] != "diamond" for k in found["samples"]])
    np.testing.assert_allclose(found["enthalpy_eV_per_atom"], -9.0 + 0.1 * layered)
    np.testing.assert_array_equal(found["at_rest"], ~layered)


def test_numbers_of_relaxed_samples(drawn):
    found = relaxed_samples(drawn, {"samples": 5, "seed": 1})
    metrics = relaxed_metrics(found, KNOWN, {"C": 2}, 1.85)
    assert metrics["relaxed_samples"] == 5
    assert metrics["relaxed_at_rest_fraction"] == pytest.approx(0.4)
    assert metrics["enthalpy_released_median_eV_per_atom"] == pytest.approx(0.03)
    assert metrics["enthalpy_above_lowest_median_eV_per_atom"] == pytest.approx(0.1)
    assert metrics["match_rate_relaxed"] == pytest.approx(0.8), "ABC is not known"
    assert metrics["match_rms_relaxed"] == pytest.approx(0.0, abs=1e-4)


def test_phases_are_counted_after_relaxation(drawn):
    named = [phase("diamond"), phase("graphite_abc")]
    for own, name in zip(named, ("diamond", "graphite"), strict=True):
        own.properties = {"phase": name}
    metrics = relaxed_metrics(relaxed_samples(drawn, {"samples": 5, "seed": 1}), KNOWN, {"C": 2}, 1.85, named)
    assert (metrics["diamond_fraction_relaxed"], metrics["graphite_fraction_relaxed"]) == pytest.approx(
        (0.4, 0.2)
    )


def test_relaxed_crystals_of_all_targets_make_one_table_that_can_be_read_again(drawn, tmp_path):
    """Of two targets the first two samples are labelled; graphite does not come to rest, and one calculation has failed."""
    own = relaxed_samples(drawn, {"samples": 5, "seed": 1})
    places = {name: np.flatnonzero(own["at_rest"]) for name in ("one", "two")}
    labels = [0.5, 4.2, None, 4.0]
    table = tabulated({"one": own, "two": own}, labels)
    wanted = [f"one_{own['samples'][k]}" for k in places["one"] if k < 2]
    wanted += [f"two_{own['samples'][k]}" for k in places["two"] if k == 1]
    assert table["name"].tolist() == wanted and table["band_gap_eV"].notna().all()
    assert len(tabulated({"one": own, "two": own}, [])) == 4
    write_table(tmp_path / "a.csv", tabulated({"one": own, "two": own}, [4.0] * 10))
    read = read_crystals([tmp_path / "a.csv"], ["C"])
    assert len(read) == 4 and all(matcher().fit(crystal, phase("diamond")) for crystal in read)
    assert read[0].volume == pytest.approx(phase("diamond").volume, rel=1e-4)
    assert read[0].properties["enthalpy_eV_per_atom"] == -9.0
