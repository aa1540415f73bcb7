"""The workflow of proteins with its real scripts, small: from sequences to figures, with a sequence that is held out."""

import json
import shutil

import mdtraj
import numpy as np
import pandas
import pytest
import torch
import yaml

from dig_core.checkpoints import load_checkpoint
from dig_core.evaluation.torsions import torsion_angles
from dig_core.files import load_arrays, load_provenance
from tests.test_tiny_study import ROOT, checkout, snakemake

TRAINED, HELD_OUT = ("AGA", "GAG"), "GAA"
HOT_ONLY = ("--config", "studies=[hot]", "figures={figure_2a: []}")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the finished tiny study of proteins."""
    folder = checkout(tmp_path_factory.mktemp("proteins"), "[peptides_tiny]")
    snakemake(folder, "all")
    return folder / "results/peptides_tiny"


def metrics(tiny, target: str) -> dict:
    return json.loads((tiny / target / "metrics.json").read_text())


def torsions(tiny, target: str, positions: np.ndarray) -> np.ndarray:
    """psi_1, phi_2, psi_2 and phi_3 in radians."""
    return torsion_angles(positions, load_arrays(tiny / target / "molecule.npz")["backbone_torsions"])


def divergences(first: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """Jensen-Shannon divergence in nats of each torsion's histogram; None: from a uniform one."""
    edges = np.linspace(-np.pi, np.pi, 19)
    p, q = (
        np.full((first.shape[1], 18), 1 / 18)
        if own is None
        else np.array([np.histogram(column, edges)[0] / len(own) for column in own.T])
        for own in (first, second)
    )
    mean = 0.5 * (p + q)
    parts = [np.sum(x * np.log(np.where(x > 0, x, 1) / np.where(x > 0, mean, 1)), axis=1) for x in (p, q)]
    return 0.5 * sum(parts)


def test_from_sequences_to_samples_above_chance(tiny):
    """Half a minute of training is no model, but it has learned: residues bonded, torsions where those of the dynamics are."""
    history = pandas.read_csv(tiny / "model/history.csv")
    assert history["validation_loss"].iloc[-1] < 0.6  # a network that returns 0 has 0.8 to 1
    dataset = load_arrays(tiny / "dataset.npz")
    for target in (*TRAINED, HELD_OUT):
        protein, drawn = (load_arrays(tiny / target / f"{name}.npz") for name in ("molecule", "samples"))
        samples, first = drawn["positions_angstrom"], protein["first_atom_of_residue"]
        assert samples.shape == (500, len(protein["positions_angstrom"]), 3)
        bonds = np.linalg.norm(samples[:, first[:-1] + 2] - samples[:, first[1:]], axis=-1)
        assert np.median(bonds) == pytest.approx(1.33, abs=0.1)
        found = metrics(tiny, target)
        assert found["valid_fraction"] == pytest.approx(drawn["valid"].mean())
        assert found["valid_fraction"] > (0.8 if target in TRAINED else 0.3)
        assert found["valid_fraction_reference"] > 0.98
        if target in TRAINED:
            own = torsions(tiny, target, dataset[f"{target}.positions_angstrom"])
            apart = divergences(torsions(tiny, target, samples), own)
            by_chance = divergences(own, None)
            assert (apart < by_chance).all() and apart.sum() < 0.6 * by_chance.sum()


def test_a_sequence_that_is_held_out_is_drawn_and_compared_but_not_learned(tiny):
    description = json.loads(torch.load(tiny / "model/checkpoint.pt", weights_only=True)["description"])
    assert set(description["molecules"]) == set(TRAINED)
    found = metrics(tiny, HELD_OUT)
    for key in ("jensen_shannon_nats", "coverage", "precision", "free_energy_mae_floored_kcal_per_mol"):
        for ending in ("", "_noise_floor", "_baseline_sequence_blind"):
            assert np.isfinite(found[f"{key}{ending}"])
    assert found["frames_training"] == found["frames_reference"] == 1000
    # Both alanines have phi < 0, as nearly always in L residues; by chance half of them had.
    samples = load_arrays(tiny / HELD_OUT / "samples.npz")["positions_angstrom"]
    phi = torsions(tiny, HELD_OUT, samples)[:, [1, 3]]
    assert (phi < 0).mean() > 0.7


def test_dynamics_has_all_atoms_and_what_is_learned_the_backbone(tiny):
    """The same residues; bonds to hydrogen are rigid, and replicas differ."""
    folder = tiny / HELD_OUT
    runs = [load_arrays(folder / f"simulation/{replica}.npz") for replica in (1, 2)]
    whole = mdtraj.load_topology(str(folder / "all_atoms.pdb"))
    names = [whole.atom(int(i)).name for i in runs[0]["backbone_indices"].flat]
    assert names == ["N", "CA", "C"] * 3 and runs[0]["positions_angstrom"].shape == (1000, whole.n_atoms, 3)
    hydrogens = [(a.index, b.index) for a, b in whole.bonds if "H" in (a.element.symbol, b.element.symbol)]
    first, second = np.array(hydrogens).T
    frames = runs[0]["positions_angstrom"]
    assert np.ptp(np.linalg.norm(frames[:, first] - frames[:, second], axis=-1), axis=0).max() < 1e-3
    assert not np.array_equal(frames, runs[1]["positions_angstrom"])
    corners = frames[:, runs[0]["backbone_indices"][:, 1]]
    learned = load_arrays(folder / "floor.npz")["positions_angstrom"]
    assert not any(key.startswith(HELD_OUT) for key in load_arrays(tiny / "dataset.npz"))
    alpha = load_arrays(folder / "molecule.npz")["first_atom_of_residue"] + 1
    assert np.abs(learned[:, alpha] - corners).max() < 1e-4
    drawn = mdtraj.load_xtc(folder / "samples.xtc", folder / "topology.pdb")
    assert [residue.name for residue in drawn.topology.residues] == ["GLY", "ALA", "ALA"]


def test_everything_is_there_and_tells_what_it_took(tiny):
    for name in ("figures/landscape", "figures/learning_curve", "../figures/figure_2a"):
        for suffix in ("png", "pdf", "parquet"):
            assert (tiny / f"{name}.{suffix}").stat().st_size > 1000
    table = pandas.read_csv(tiny / "../tables/peptides_tiny.csv")
    assert set(table["target"]) == {*TRAINED, HELD_OUT}
    row = table[(table["target"] == HELD_OUT) & (table["metric"] == "jensen_shannon_nats")].iloc[0]
    assert row["baseline"] == pytest.approx(
        metrics(tiny, HELD_OUT)["jensen_shannon_nats_baseline_sequence_blind"], rel=1e-4
    )
    for target in (*TRAINED, HELD_OUT):
        found = metrics(tiny, target)
        assert found["seconds_train"] > 0 and found["seconds_sample"] > 0 and found["force_calls_train"] == 0
    origin = load_provenance(tiny / HELD_OUT / "samples.npz")
    assert origin["seed"] == 1 and "results/peptides_tiny/model/checkpoint.pt" in origin["inputs"]
    assert "Nothing to be done" in snakemake(tiny.parents[1], "-n", "all")


def test_condensed_replicas_give_the_same_frames(tiny):
    """What may be bundled with the project: read in place of the simulations, to 0.001 Angstrom."""
    folder, results = tiny.parents[1], f"results/peptides_tiny/{HELD_OUT}"
    snakemake(folder, *[f"{results}/bundled_{replica}.npz" for replica in (1, 2)])
    bundled = folder / "dig_core/data/bundled/own"
    bundled.mkdir()
    for file in (folder / results).glob("bundled_*"):
        file.rename(bundled / file.name.replace("bundled", HELD_OUT))
    (folder / "config/systems/own.yaml").write_text(
        "based_on: peptides_tiny\ntargets: {GAA: {sequence: ACE-GLY-ALA-ALA-NME}}\ndata: {bundled: own}\n"
    )
    reference = "results/own/GAA/reference.npz"
    said = snakemake(folder, reference, "--config", "studies=[own]", "figures={figure_2a: []}")
    assert "rule simulate" not in said
    exact, found = (load_arrays(folder / file) for file in (str(tiny / "GAA/reference.npz"), reference))
    assert np.abs(centred(found) - centred(exact)).max() < 0.01
    assert found["frame_interval_ps"] == exact["frame_interval_ps"]


def test_energies_come_first_and_few_frames_after_them(tiny):
    """Forces and torques on hot structures of what is trained on, then the first frames; with the tiny study's own replicas."""
    folder = tiny.parents[1]
    settings = yaml.safe_load((folder / "config/systems/peptides_few_pidp.yaml").read_text())["pretraining"]
    settings["structures"] |= {"duration_ns": 0.002, "frame_interval_ps": 0.1}
    settings |= {"steps": 8, "batch_size": 16, "warmup_steps": 2}
    study = {"based_on": "peptides_tiny", "data": {"subset": {"frames": 50}}, "pretraining": settings}
    study["process"] = {"positions": {"sigma_min": 0.003}, "rotations": {"sigma_min": 0.004}}
    (folder / "config/systems/hot.yaml").write_text(yaml.safe_dump(study | {"training": {"steps": 20}}))
    shutil.copytree(
        tiny,
        tiny.with_name("hot"),
        ignore=shutil.ignore_patterns("model", "dataset.npz", "*.json", "figures"),
    )
    said = snakemake(folder, "results/hot/model/checkpoint.pt", *HOT_ONLY)
    assert "rule simulate:" not in said
    dataset, found = (load_arrays(tiny.with_name("hot") / f"{name}.npz") for name in (
        "dataset", "AGA/simulation/pretraining"))  # fmt: skip
    assert len(dataset["AGA.weights"]) == 50 and len(found["weights"]) == 20
    whole = load_arrays(tiny / "dataset.npz")["AGA.positions_angstrom"]
    np.testing.assert_array_equal(dataset["AGA.positions_angstrom"], whole[:50])
    assert found["residue_torques_kJ_per_mol_radian"].shape == (20, 3, 3)
    record = json.loads((tiny.with_name("hot") / "model/pretraining.json").read_text())
    assert record["force_calls_pretrain"] == 2 * int(found["force_calls"]) == 2 * (5000 + 500 + 20)
    assert not (tiny.with_name("hot") / HELD_OUT / "simulation/pretraining.npz").exists()


def test_a_users_trajectories_give_the_same_frames(tiny):
    """The dynamics of the tiny study as if it were the user's own, in two formats: only a settings file."""
    folder, source = tiny.parents[1], tiny / HELD_OUT
    files = [folder / "1.xtc", folder / "2.dcd"]
    shutil.copy2(source / "simulation/1.xtc", files[0])
    mdtraj.load_xtc(source / "simulation/2.xtc", source / "all_atoms.pdb").save_dcd(files[1])
    shutil.copy2(source / "all_atoms.pdb", folder / "mine.pdb")
    (folder / "config/systems/mine.yaml").write_text(
        "based_on: peptides_tiny\n"
        "data: {source: trajectory}\n"
        "targets:\n"
        "  mine:\n"
        "    sequence: GAA\n"
        "    trajectory: {topology: mine.pdb, replicas: [[1.xtc], [2.dcd]], number_offset: -1, frame_interval_ps: 0.1}\n"
    )
    results = [f"results/mine/{name}" for name in ("mine/reference.npz", "dataset.npz", "mine/topology.pdb")]
    options = ("--config", "studies=[mine]", "figures={figure_2a: []}")
    assert "rule simulate" not in snakemake(folder, *results, *options)
    exact, found = (load_arrays(folder / file) for file in (str(source / "reference.npz"), results[0]))
    assert np.abs(found["positions_angstrom"] - exact["positions_angstrom"]).max() < 0.05
    assert found["frame_interval_ps"] == exact["frame_interval_ps"] == 0.1
    trained = load_arrays(folder / results[1])["mine.positions_angstrom"]
    assert np.abs(trained - load_arrays(source / "floor.npz")["positions_angstrom"]).max() < 0.05
    (folder / "mine.pdb").write_text((folder / "mine.pdb").read_text().replace("GLY", "VAL"))
    said = snakemake(folder, "results/mine/mine/topology.pdb", *options, status=1)
    assert "got V1 for G1" in said and "Traceback" not in said
    assert np.array_equal(load_arrays(folder / results[1])["mine.positions_angstrom"], trained)


def test_a_study_may_draw_from_the_network_of_another_one(tiny):
    """Nothing is trained on and nothing is simulated: a new sequence, and the weights as they are."""
    folder = tiny.parents[1]
    files = [
        f"results/peptides_tiny/{HELD_OUT}/all_atoms.pdb",
        f"results/peptides_tiny/{HELD_OUT}/simulation/1.xtc",
    ]
    (folder / "config/systems/drawn.yaml").write_text(
        "based_on: peptides_tiny\n"
        "data: {source: trajectory}\n"
        "targets:\n"
        "  mine:\n"
        "    sequence: GAA\n"
        f"    trajectory: {{topology: {files[0]}, replicas: [[{files[1]}], [{files[1]}]], number_offset: -1}}\n"
        "    held_out: true\n"
        "training: {start_from: peptides_tiny, steps: 0}\n"
    )
    said = snakemake(
        folder, "results/drawn/model/checkpoint.pt", "--config", "studies=[drawn]", "figures={figure_2a: []}"
    )
    assert "rule simulate" not in said and said.count("rule train:") == 1
    own, other = (
        load_checkpoint(folder / f"results/{name}/model/checkpoint.pt", "protein")
        for name in ("drawn", tiny.name)
    )
    assert all(torch.equal(values, other["weights"][name]) for name, values in own["weights"].items())
    assert own["weights"].keys() == other["weights"].keys() and own["molecules"] == other["molecules"]


def centred(frames: dict) -> np.ndarray:
    positions = frames["positions_angstrom"].astype(float)
    return positions - positions.mean(axis=1, keepdims=True)


def test_documented_files_are_the_files_there_are(tiny):
    documented = (ROOT / "results/README.md").read_text()
    for path in tiny.rglob("*"):
        if path.is_file():
            assert path.name in documented or path.parent.name in ("figures", "simulation"), path
    assert "bundled_{replica}.npz" in documented
