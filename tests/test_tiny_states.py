"""The workflow of proteins with known structures, small: from files to figure 2b, with a protein that is held out."""

import json

import mdtraj
import numpy as np
import pandas
import pytest
import torch

from dig_core.files import load_arrays, load_provenance
from dig_core.systems.molecule_path import steps_angstrom
from tests.proteins_for_tests import FOLDS, STRUCTURES, structure_text
from tests.test_tiny_study import ROOT, checkout, snakemake

TRAINED, HELD_OUT = STRUCTURES
WITHIN = {state: f"within_1.5_angstrom_{state}_fraction" for state in FOLDS}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the finished tiny study of known structures."""
    folder = checkout(tmp_path_factory.mktemp("states"), "[two_states_tiny]")
    (folder / "config/config.yaml").write_text(
        "studies: [two_states_tiny]\nfigures: {figure_2b: [two_states_tiny]}\n"
    )
    snakemake(folder, "two_states_tiny", "figure_2b")
    return folder / "results/two_states_tiny"


def metrics(tiny, target: str) -> dict:
    return json.loads((tiny / target / "metrics.json").read_text())


def test_the_structures_are_ideal_chains():
    for name, sequence in STRUCTURES.items():
        for fold, torsions in FOLDS.items():
            known = (ROOT / f"config/structures/{name}_{fold}.pdb").read_text()
            assert known == structure_text(sequence, torsions)


def test_both_states_are_reached_and_the_baseline_reaches_one(tiny):
    """Some seconds of training: a share of the samples lies near each state, crystal + noise near the first alone."""
    history = pandas.read_csv(tiny / "model/history.csv")
    assert history["validation_loss"].iloc[-1] < 0.5  # a network that returns 0 has some 0.9
    found = metrics(tiny, TRAINED)
    assert found["samples"] == 200 and found["rmsd_helix_strand_angstrom"] > 4.0
    for state, key in WITHIN.items():
        assert found[key] > 0.05 and found[f"{key}_ci_low"] > 0.0
        assert found[f"best_rmsd_{state}_angstrom"] < 1.0
        assert found[f"expected_samples_{state}"] == pytest.approx(1.0 / found[key])
    assert found[f"{WITHIN['helix']}_baseline_crystal_noise"] > 0.9
    assert found[f"{WITHIN['strand']}_baseline_crystal_noise"] == 0.0
    assert found["best_rmsd_strand_angstrom_baseline_crystal_noise"] > 2.0
    assert found["valid_fraction"] > found["valid_fraction_baseline_crystal_noise"]
    assert found["valid_fraction_reference"] == 1.0


def test_the_protein_that_is_held_out_is_drawn_and_compared_but_not_learned(tiny):
    description = json.loads(torch.load(tiny / "model/checkpoint.pt", weights_only=True)["description"])
    assert set(description["molecules"]) == {TRAINED}
    dataset = load_arrays(tiny / "dataset.npz")
    assert dataset[f"{TRAINED}.positions_angstrom"].shape == (2, 49, 3)
    assert dataset[f"{TRAINED}.weights"].tolist() == [0.5, 0.5]
    assert not any(key.startswith(HELD_OUT) for key in dataset)
    found = metrics(tiny, HELD_OUT)
    assert found["samples"] == 200 and np.isfinite(found["best_rmsd_strand_angstrom"])
    arrays = load_arrays(tiny / HELD_OUT / "evaluation.npz")
    assert not arrays["trained"] and arrays["samples.rmsd_angstrom"].shape == (2, 200)
    assert load_arrays(tiny / TRAINED / "evaluation.npz")["trained"]


def test_paths_join_the_known_structures_of_every_protein_and_are_continuous(tiny):
    for target in STRUCTURES:
        found, arrays = metrics(tiny, target), load_arrays(tiny / target / "path.npz")
        assert arrays["state_names"].tolist() == ["helix", "strand"]
        assert found["path_endpoint_rmsd_angstrom"] < 0.1 and found["path_resolved"] == 1.0
        whole = found["rmsd_helix_strand_angstrom"]
        for series in ("latent", "straight"):
            away = arrays[f"{series}_rmsd_to_ends_angstrom"]
            assert away[[0, -1]] == pytest.approx(whole * np.array([[0, 1], [1, 0]]), abs=0.1)
        shown = mdtraj.load(str(tiny / target / "path.xtc"), top=str(tiny / target / "topology.pdb"))
        assert 10.0 * shown.xyz == pytest.approx(arrays["latent_positions_angstrom"], abs=0.01)
    # What is left of a jump after halving it sixteen times would be most of the way.
    steps = steps_angstrom(load_arrays(tiny / TRAINED / "path.npz")["latent_positions_angstrom"])
    assert len(steps) == 8 and steps.max() < 0.4 * whole
    assert load_arrays(tiny / TRAINED / "path.npz")["latent_no_break"].all()
    key = "path_neighbour_distance_min_angstrom"
    assert metrics(tiny, TRAINED)[key] > metrics(tiny, TRAINED)[f"{key}_baseline_straight"]


def test_figures_and_table_are_there_and_say_what_was_trained_on(tiny):
    for name in ("figures/states", "figures/pathway", "figures/learning_curve", "../figures/figure_2b"):
        for suffix in ("png", "pdf", "parquet"):
            assert (tiny / f"{name}.{suffix}").stat().st_size > 1000
    shown = pandas.read_parquet(tiny / "../figures/figure_2b.parquet")
    told = dict(zip(shown["panel"], shown["training"], strict=True))
    titles = [f"two states tiny: {name}" for name in (TRAINED, HELD_OUT)]
    assert told == dict(zip(titles, ("trained on both states", "held out"), strict=True))
    own = shown[(shown["panel"] == titles[0]) & (shown["item"] == "rmsd") & (shown["series"] == "samples")]
    within = own[own["state"] == "strand"]["rmsd_angstrom"] <= 1.5
    assert within.mean() == pytest.approx(metrics(tiny, TRAINED)[WITHIN["strand"]])
    table = pandas.read_csv(tiny / "../tables/two_states_tiny.csv")
    row = table[(table["target"] == TRAINED) & (table["metric"] == WITHIN["helix"])].iloc[0]
    assert row["baseline"] > 0.9 and row["samples_ci_low"] < row["samples"]
    assert load_provenance(tiny / TRAINED / "evaluation.npz")["seed"] == 1
    assert "Nothing to be done" in snakemake(tiny.parents[1], "-n", "all")


def test_documented_files_are_the_files_there_are(tiny):
    documented = (ROOT / "results/README.md").read_text()
    for path in tiny.rglob("*"):
        if path.is_file():
            assert path.name in documented or path.parent.name == "figures", path
