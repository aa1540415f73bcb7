"""The jobs that label known crystals, with a stand-in for the electronic-structure code."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dig_core.crystals import Crystals
from dig_core.data.carbon_phases import cells_of_phases
from dig_core.energies import labels
from dig_core.energies.band_gaps import PlaneWaves
from dig_core.evaluation.matching import matcher, prototypes
from dig_core.files import load_arrays, read_json

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
SETTINGS = {"kind": "quantum_espresso"} | vars(PlaneWaves())
CELLS = cells_of_phases(4)


class Files(list):
    """As Snakemake gives them: a list, and names for parts of it."""

    def __init__(self, **named):
        values = ([own] if isinstance(own, Path) else own for own in named.values())
        super().__init__(path for own in values for path in own)
        vars(self).update(named)


def run_script(name: str, **job) -> None:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(SimpleNamespace(**job))


@pytest.fixture
def crystals(tmp_path, monkeypatch) -> Path:
    """All cells of four atoms and fewer, graphite AA held out; gaps are volumes per atom, that of lonsdaleite does not converge."""

    def gap(crystal, settings):
        if abs(crystal.volume - CELLS["lonsdaleite_4_1"].volume) < 1e-6:
            raise ValueError("expected a calculation that converges; got none")
        return crystal.volume / len(crystal)

    monkeypatch.setitem(labels.LABELS, "quantum_espresso", gap)
    own = list(CELLS.values())
    arrays = vars(Crystals.of(own)) | {"prototypes": prototypes(own, matcher()), "weights": np.ones(len(own))}
    arrays["held_out"] = np.array([name.startswith("graphite_aa") for name in CELLS])
    np.savez(tmp_path / "crystals.npz", **arrays, provenance="{}")
    return tmp_path / "crystals.npz"


def test_every_crystal_gets_the_label_of_its_prototype(crystals, tmp_path, capsys):
    parts = [tmp_path / f"{shard}-of-3.json" for shard in (1, 2, 3)]
    for shard, part in enumerate(parts, start=1):
        params = {"settings": SETTINGS, "shard": str(shard), "shards": "3", "cache": str(tmp_path / "cache")}
        run_script(
            "label_known",
            input=Files(crystals=crystals),
            output=SimpleNamespace(labels=part),
            params=SimpleNamespace(**params),
        )
    assert sorted(p for part in parts for p in read_json(part)["prototypes"]) == list(range(5))
    run_script(
        "gather_labels",
        input=Files(crystals=crystals, labels=parts),
        output=SimpleNamespace(crystals=tmp_path / "all.npz", dataset=tmp_path / "dataset.npz"),
        params=SimpleNamespace(settings=SETTINGS, column="band_gap_eV"),
    )
    whole, dataset, before = (
        load_arrays(path) for path in (tmp_path / "all.npz", tmp_path / "dataset.npz", crystals)
    )
    expected = [
        np.nan if name.startswith("lonsdaleite") else cell.volume / len(cell) for name, cell in CELLS.items()
    ]
    np.testing.assert_allclose(whole["property"], expected, rtol=1e-5)
    trained = ~before["held_out"]
    np.testing.assert_allclose(dataset["property"], np.array(expected)[trained], rtol=1e-5)
    np.testing.assert_array_equal(dataset["counts"], before["counts"][trained])
    assert "prototypes" not in dataset and "held_out" not in dataset
    for name in ("fractional", "lattices_angstrom", "prototypes", "held_out"):
        np.testing.assert_array_equal(whole[name], before[name])
    known = np.isfinite(expected).sum()
    assert f"band_gap_eV: {known} of {len(CELLS)} crystals, mean" in capsys.readouterr().out


def test_relaxed_samples_are_labelled_in_their_order_and_others_by_lot(crystals, tmp_path):
    for seed, expected in ((None, 2), (7, int(labels.by_lot(len(CELLS), 7)[2]))):
        params = {"settings": SETTINGS, "seed": seed, "place": "2", "cache": str(tmp_path / "cache")}
        run_script(
            "label_crystal",
            input=Files(samples=crystals),
            output=SimpleNamespace(label=tmp_path / "label.json"),
            params=SimpleNamespace(**params),
        )
        found, cell = read_json(tmp_path / "label.json"), list(CELLS.values())[expected]
        assert found["sample"] == expected
        assert found["value"] is None or found["value"] == pytest.approx(cell.volume / len(cell), rel=1e-5)
