"""Labels of crystals: computed once, kept by crystal and settings, and no label where a calculation fails."""

import numpy as np
import pytest

from dig_core.data.carbon_phases import phase
from dig_core.energies import labels
from dig_core.energies.band_gaps import PlaneWaves
from dig_core.energies.labels import by_lot, label, labelled_prototypes, labels_of_crystals

SETTINGS = {"kind": "quantum_espresso"} | vars(PlaneWaves())
DIAMOND = phase("diamond")


@pytest.fixture
def calls(monkeypatch):
    """What was computed; gaps are volumes, and crystals of four atoms do not converge."""
    computed = []

    def gap(crystal, settings):
        computed.append((crystal, settings))
        if len(crystal) == 4:
            raise ValueError("expected a calculation of C4 that converges; got none")
        return crystal.volume

    monkeypatch.setitem(labels.LABELS, "quantum_espresso", gap)
    return computed


def test_a_crystal_is_computed_once(calls, tmp_path):
    first = label(DIAMOND, SETTINGS, tmp_path)
    assert first == {"value": pytest.approx(DIAMOND.volume)}
    assert label(DIAMOND.copy(), dict(reversed(SETTINGS.items())), tmp_path) == first and len(calls) == 1
    assert calls[0][1] == PlaneWaves()


def test_other_settings_and_other_crystals_are_computed(calls, tmp_path):
    other = DIAMOND.copy()
    other.scale_lattice(1.01 * DIAMOND.volume)
    label(DIAMOND, SETTINGS, tmp_path)
    label(DIAMOND, SETTINGS | {"cutoff_Ry": 40.0}, tmp_path)
    label(other, SETTINGS, tmp_path)
    assert len(calls) == 3 and len(list(tmp_path.iterdir())) == 3
    assert calls[1][1].cutoff_Ry == 40.0


def test_what_does_not_converge_has_no_value_and_says_why(calls, tmp_path):
    for _ in range(2):
        found = label(phase("lonsdaleite"), SETTINGS, tmp_path)
        assert found["value"] is None and "C4 that converges" in found["why"]
    assert len(calls) == 1, "it would not converge the second time"


def test_known_crystals_have_the_label_of_the_first_of_their_prototype(calls, tmp_path):
    """Prototype 2, of lonsdaleite, does not converge; 0 and 5 are diamond, the second one compressed."""
    dense = DIAMOND.copy()
    dense.scale_lattice(0.9 * DIAMOND.volume)
    crystals = [DIAMOND, phase("lonsdaleite"), DIAMOND.copy(), dense, phase("lonsdaleite")]
    numbers = np.array([0, 2, 0, 5, 2])
    parts = [labelled_prototypes(crystals, numbers, SETTINGS, (k, 2), tmp_path) for k in range(2)]
    assert [own["prototypes"] for own in parts] == [[0, 5], [2]] and len(calls) == 3
    expected = [DIAMOND.volume, np.nan, DIAMOND.volume, 0.9 * DIAMOND.volume, np.nan]
    for order in (parts, parts[::-1]):
        np.testing.assert_allclose(labels_of_crystals(numbers, order), expected)
    more = [labelled_prototypes(crystals, numbers, SETTINGS, (k, 5), tmp_path) for k in range(5)]
    assert len(calls) == 3, "other parts, the same crystals"
    np.testing.assert_allclose(labels_of_crystals(numbers, more), expected)  # two parts are empty


def test_a_missing_program_is_an_error_and_leaves_nothing(monkeypatch, tmp_path):
    def absent(crystal, settings):
        raise RuntimeError("expected pw.x of Quantum ESPRESSO; found none")

    monkeypatch.setitem(labels.LABELS, "quantum_espresso", absent)
    with pytest.raises(RuntimeError, match=r"expected pw\.x"):
        label(DIAMOND, SETTINGS, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lot_draws_every_sample_once():
    assert sorted(by_lot(20, 3)) == list(range(20)) and by_lot(20, 3).tolist() != by_lot(20, 4).tolist()
