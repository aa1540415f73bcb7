"""Pre-training in the workflow with its real scripts, small: from the first structure to the table over seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest

from dig_core.checkpoints import load_checkpoint
from dig_core.evaluation.torsions import torsion_angles
from dig_core.files import load_arrays
from tests.test_tiny_study import checkout, snakemake

STUDY = "tiny_few_frames_seed2"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two seeds of the tiny twin, and their table."""
    folder = checkout(tmp_path_factory.mktemp("few"), "[tiny_few_frames]")
    with open(folder / "config/config.yaml", "a", encoding="utf-8") as file:
        file.write("comparisons: {table_pidp: {studies: [tiny_few_frames], seeds: [1, 2]}}\n")
    snakemake(folder, "figure_pidp")
    return folder / "results"


def phi_deg(positions: np.ndarray, results: Path) -> np.ndarray:
    molecule = load_arrays(results / STUDY / "ala/molecule.npz")
    return np.degrees(torsion_angles(positions, molecule["backbone_torsions"][0])[:, 0])


def test_frames_are_few_and_of_one_side(finished):
    frames = load_arrays(finished / STUDY / "dataset.npz")["ala.positions_angstrom"]
    assert len(frames) == 50 and (phi_deg(frames, finished) < 0).all()
    # The replicas are those of the study that they are taken from: nothing is simulated twice.
    assert not (finished / STUDY / "ala/simulation/1.npz").exists()
    assert (finished / "tiny/ala/simulation/1.npz").exists()


def test_structures_are_weighted_and_their_calls_counted(finished):
    found = load_arrays(finished / STUDY / "ala/simulation/pretraining.npz")
    assert len(found["weights"]) == 300 and found["weights"].sum() == pytest.approx(1.0)
    # 20 ps of equilibration, 60 ps of building, 60 ps: 2 fs each; then the forces on the structures.
    assert found["force_calls"] == 70_000 + 300
    assert found["forces_kJ_per_mol_angstrom"].shape == found["positions_angstrom"].shape
    metrics = json.loads((finished / STUDY / "ala/metrics.json").read_text())
    assert metrics["force_calls_pretrain"] == 70_300 and metrics["seconds_pretrain"] > 1
    assert metrics["force_calls_train"] == 50


def test_training_goes_on_from_the_weights_of_the_pretraining(finished):
    before, after = (
        load_checkpoint(finished / STUDY / f"model/{name}.pt", "molecule")
        for name in ("pretrained", "checkpoint")
    )
    assert before["scale_angstrom"] == after["scale_angstrom"]
    histories = [
        pandas.read_csv(finished / STUDY / f"model/{name}.csv") for name in ("pretraining_history", "history")
    ]
    assert histories[0]["validation_loss"].iloc[-1] < 0.75  # a network that returns 0 has 1
    # One report in, a training from nothing would still be there.
    assert histories[1]["validation_loss"].iloc[0] < 0.8


def test_table_has_a_row_per_way_and_the_structures_alone(finished):
    table = pandas.read_csv(finished / "tables/pidp.csv").set_index("study")
    best = ["as many draws of the tight reference", "the training frames"]
    assert list(table.index) == ["tiny_few_frames", "tiny_few_frames: its structures alone", *best]
    assert (table["seeds"] == 2).all() and list(table["force_calls"].dropna()) == [70_350, 70_300]
    # MD of 5 microseconds (the bundled histogram) beside 50 frames of one side.
    assert table.loc[best[0], "population_phi_positive"] == pytest.approx(0.021, abs=0.003)
    assert table.loc[best[0], "jensen_shannon_nats"] < table.loc[best[1], "jensen_shannon_nats"]
    own = [
        json.loads((finished / f"tiny_few_frames_seed{seed}/ala/metrics.json").read_text()) for seed in (1, 2)
    ]
    values = [metrics["jensen_shannon_nats"] for metrics in own]
    row = table.loc["tiny_few_frames"]
    assert row["jensen_shannon_nats"] == pytest.approx(np.mean(values), rel=1e-3)
    assert row["jensen_shannon_nats_sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-3)
    alone = [metrics["energy_median_kJ_per_mol_exploration"] for metrics in own]
    assert table["energy_median_kJ_per_mol"].iloc[1] == pytest.approx(np.mean(alone), rel=1e-3)
    assert (finished / "figures/pidp.png").stat().st_size > 10_000
    # Seeds differ in structures, weights and samples, and in nothing else.
    assert values[0] != values[1]


def test_a_table_without_studies_is_told(finished, tmp_path):
    folder = checkout(tmp_path, "[tiny]")
    said = snakemake(folder, "table_pidp", status=1)
    assert "expected studies under comparisons.table_pidp in config/config.yaml; got none" in said
    assert "Traceback" not in said
    shutil.rmtree(folder)
