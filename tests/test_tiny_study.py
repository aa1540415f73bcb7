"""The workflow with its real scripts, small: from molecular dynamics to the report, a user's trajectory, kill -9."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mdtraj
import numpy as np
import pandas
import pytest
import torch

from dig_core.evaluation.torsions import torsion_angles
from dig_core.files import load_arrays, load_provenance

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "rules", "config", "envs", "dig_core", "workflow_scripts", "slurm")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete", *arguments]


def snakemake(folder: Path, *arguments: str, status: int = 0, **variables: str) -> str:
    """Run snakemake in a folder, with variables of the environment, and return all it says."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""} | variables
    answer = subprocess.run(command(*arguments), cwd=folder, env=environment, capture_output=True, text=True)
    said = answer.stdout + answer.stderr
    assert answer.returncode == status, said
    return said


def checkout(folder: Path, studies: str) -> Path:
    """A copy of the workflow that runs other studies."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name, follow_symlinks=False)
    (folder / "config/config.yaml").write_text(f"studies: {studies}\nfigures: {{figure_2a: {studies}}}\n")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The finished tiny study with its report."""
    folder = checkout(tmp_path_factory.mktemp("tiny"), "[tiny]")
    snakemake(folder, "all")
    snakemake(folder, "--report", "results/report.html", "all")
    return folder


def metrics(folder: Path) -> dict:
    return json.loads((folder / "results/tiny/ala/metrics.json").read_text())


def test_from_dynamics_to_metrics_above_chance(tiny):
    """A minute of training is no model, but it has learned: structures near the molecule, peptide bonds trans."""
    found = metrics(tiny)
    assert found["samples"] == 500
    history = pandas.read_csv(tiny / "results/tiny/model/history.csv")
    assert history["validation_loss"].iloc[-1] < 0.7  # a network that returns 0 has 1
    samples = load_arrays(tiny / "results/tiny/ala/samples.npz")["positions_angstrom"]
    bonds = load_arrays(tiny / "results/tiny/ala/molecule.npz")["bonds"]
    reference = load_arrays(tiny / "results/tiny/ala/reference.npz")["positions_angstrom"]
    length, exact = (
        np.linalg.norm(x[:, bonds[:, 0]] - x[:, bonds[:, 1]], axis=-1) for x in (samples, reference)
    )
    assert np.abs(np.median(length, axis=0) - exact.mean(axis=0)).max() < 0.1
    peptide_bonds = torsion_angles(samples, np.array([[0, 4, 6, 8], [8, 10, 16, 18]]))
    assert (np.abs(peptide_bonds) > np.radians(150)).mean() > 0.35  # trans; a random angle: 0.17
    # Replicas this short may visit different basins (a floor of ln 2), so that the samples may lie below the floor; but
    # they must share bins with the held-out replica.
    assert found["jensen_shannon_nats_noise_floor"] > 0
    assert found["jensen_shannon_nats"] < np.log(2) - 0.01


def test_relaxation_lowers_the_energies_and_loses_no_structure(tiny):
    """A minute of training gives strained samples; those that blow up (most often none) are as they were."""
    samples, relaxed = (load_arrays(tiny / f"results/tiny/ala/{n}.npz") for n in ("samples", "relaxed"))
    kept = ~relaxed["relaxed"]
    assert relaxed["positions_angstrom"].shape == samples["positions_angstrom"].shape
    assert np.array_equal(relaxed["positions_angstrom"][kept], samples["positions_angstrom"][kept])
    found, energies = metrics(tiny), relaxed["potential_energy_kJ_per_mol"]
    assert found["unrelaxed_fraction_relaxed"] == pytest.approx(kept.mean()) and kept.mean() < 0.2
    assert found["energy_median_kJ_per_mol_relaxed"] == pytest.approx(np.median(energies))
    assert np.median(energies) < np.median(relaxed["unrelaxed_energy_kJ_per_mol"])
    key = "energy_below_reference_p99_fraction"
    assert found[f"{key}_relaxed"] > found[key]
    shown = pandas.read_parquet(tiny / "results/tiny/figures/energies.parquet")
    assert "relaxed" in set(shown["series"])
    assert found["force_calls_relax"] > 500 * 65 * (1 - kept.mean())


def test_densities_of_drawn_structures_and_of_frames(tiny):
    """A network that has hardly learned: what is written is whole, and the numbers are those of the arrays."""
    found, arrays = metrics(tiny), load_arrays(tiny / "results/tiny/ala/log_density.npz")
    drawn = arrays["source"] == "drawn"
    assert drawn.sum() == 8 and (~drawn).sum() == 4 and len(arrays["draws.state"]) == 40
    for key in ("log_density_nats", "change_nats", "potential_energy_kJ_per_mol", "seconds"):
        assert arrays[key].shape == (12,) and np.isfinite(arrays[key]).all()
    assert set(arrays["evaluations"]) <= {17, 33}
    # Draws come before their density, and the first ones of each state are chosen.
    index = arrays["index"][drawn]
    assert np.array_equal(arrays["positions_angstrom"][drawn], arrays["draws.positions_angstrom"][index])
    assert found["seconds_per_log_density"] > 0 and found["log_density_standard_error_nats"] > 0
    assert found.get("density_structures_reference", 0) <= 4


def test_paths_lead_from_state_to_state(tiny):
    """A minute of training is no model, but its flow can be inverted: most ends come back, all where it is not too steep."""
    paths, found = load_arrays(tiny / "results/tiny/ala/path.npz"), metrics(tiny)
    assert paths["state_names"].tolist() == ["C7eq", "alpha_R"]
    assert paths["latent_positions_angstrom"].shape == (2, 7, 22, 3)
    assert found["path_endpoint_rmsd_angstrom"] == pytest.approx(paths["endpoint_rmsd_angstrom"].max())
    assert np.median(paths["endpoint_rmsd_angstrom"]) < 0.1
    assert found["path_pairs"] == 2 and found["seconds_interpolate"] < 30
    # Straight lines between structures lead through clashes and broken bonds.
    assert found["path_energy_max_kJ_per_mol_baseline_straight"] > found["path_energy_limit_kJ_per_mol"]
    assert 0.0 < found["saddle_kcal_per_mol_tight_reference"] < 10.0
    xtc = mdtraj.load_xtc(tiny / "results/tiny/ala/path.xtc", tiny / "results/tiny/ala/topology.pdb")
    chosen = paths["latent_positions_angstrom"][paths["chosen"]]
    assert np.abs(10.0 * xtc.xyz - chosen).max() < 0.02
    shown = pandas.read_parquet(tiny / "results/tiny/figures/pathway.parquet")
    assert (shown["series"] == "latent").sum() == (shown["series"] == "straight").sum() == 14


def test_everything_is_there_and_tells_where_it_comes_from(tiny):
    for name in (
        "figures/figure_2a",
        "tiny/figures/landscape",
        "tiny/figures/energies",
        "tiny/figures/samplers",
        "tiny/figures/density",
        "tiny/figures/pathway",
        "tiny/figures/learning_curve",
    ):
        for suffix in ("png", "pdf", "parquet"):
            assert (tiny / f"results/{name}.{suffix}").stat().st_size > 1000
    origin = load_provenance(tiny / "results/tiny/ala/samples.npz")
    assert origin["seed"] == 1
    assert set(origin["inputs"]) >= {"results/tiny/model/checkpoint.pt"}
    report = (tiny / "results/report.html").read_text()
    assert "Free-energy landscape" in report
    assert re.search(r"<(script|link|img)[^>]*(src|href)=[\"']https?:", report) is None
    assert not list((tiny / "results").rglob("*.partial*"))
    assert "Nothing to be done" in snakemake(tiny, "-n", "all")


def test_the_summary_ends_with_the_table_and_the_report(tiny, tmp_path):
    """As `make demo` calls it; without metrics it says what to do."""
    script = [sys.executable, "workflow_scripts/summary.py"]
    environment = os.environ | {"PYTHONPATH": str(tiny)}
    told = subprocess.run(
        script, cwd=tiny, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "tiny, ala: 500 samples" in told and "mirror images" in told
    assert told.rstrip().endswith(str((tiny / "results/report.html").resolve()))
    empty = checkout(tmp_path, "[tiny]")
    failed = subprocess.run(script, cwd=empty, env=environment, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.endswith("found none. Write: make demo\n")


def test_documented_files_are_the_files_there_are(tiny):
    documented = (ROOT / "results/README.md").read_text()
    for path in (tiny / "results").rglob("*"):
        if path.is_file() and "logs" not in path.parts:
            assert (
                path.name in documented
                or path.stem == "tiny"
                or path.parent.name in ("figures", "simulation")
            ), path


def test_a_users_trajectory_with_its_topology(tiny, tmp_path):
    """The dynamics of the tiny study as if it were the user's own: no code, only a settings file."""
    folder = checkout(tmp_path, "[mine]")
    source = tiny / "results/tiny/ala"
    for name in ("1.xtc", "2.xtc"):
        shutil.copy2(source / "simulation" / name, folder / name)
    shutil.copy2(source / "topology.pdb", folder / "mine.pdb")
    (folder / "config/systems/mine.yaml").write_text(
        "based_on: tiny\n"
        "targets: {mine: {sequence: ACE-ALA-NME}}\n"
        "data: {source: trajectory, files: [1.xtc, 2.xtc], topology: mine.pdb, force_field: [amber99sbildn.xml, amber99_obc.xml]}\n"
        "training: {steps: 20}\n"
        "evaluation: {sampler_comparison: null}\n"
    )
    snakemake(folder, "all")
    found = json.loads((folder / "results/mine/mine/metrics.json").read_text())
    assert found["jensen_shannon_nats_noise_floor"] > 0
    # Read from xtc, which rounds to 0.01 Angstrom: energies of stiff bonds are too high, but they are there.
    assert found["energy_median_kJ_per_mol_reference"] < found["energy_median_kJ_per_mol"]
    for name in ("landscape", "energies"):
        assert (folder / f"results/mine/figures/{name}.png").is_file()


def kill_when(folder: Path, target: str, appears: str, *options: str) -> None:
    """Start snakemake and kill its whole process group with -9 as soon as a file appears."""
    run = subprocess.Popen(
        command(target, *options),
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (folder / appears).exists():
        assert run.poll() is None, f"{target} ended before {appears} appeared"
        assert time.monotonic() < deadline, f"{appears} did not appear"
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    snakemake(folder, "--unlock")


def test_kill_9_in_simulation_and_training_loses_nothing(tiny, tmp_path):
    """The same command again: the full number of frames, and the same final weights bit by bit."""
    folder = checkout(tmp_path, "[tiny]")
    frames = "results/tiny/ala/simulation/1.npz"
    kill_when(folder, frames, "results/tiny/ala/simulation/1.partial/chunk_00003.npz")
    assert not (folder / frames).exists()
    snakemake(folder, frames)
    whole, resumed = (load_arrays(place / frames) for place in (tiny, folder))
    assert resumed["positions_angstrom"].shape == whole["positions_angstrom"].shape
    assert "chunks" in (folder / "results/logs/simulate/tiny_ala_1.log").read_text()

    shutil.copytree(tiny / "results", folder / "results", dirs_exist_ok=True)
    checkpoint = folder / "results/tiny/model/checkpoint.pt"
    checkpoint.unlink()
    options = ("--allowed-rules", "train", "--rerun-triggers", "mtime")
    kill_when(
        folder, str(checkpoint.relative_to(folder)), "results/tiny/model/checkpoint.partial.pt", *options
    )
    assert not checkpoint.exists()
    snakemake(folder, str(checkpoint.relative_to(folder)), *options)
    assert "going on from step" in (folder / "results/logs/train/tiny.log").read_text()
    first, second = (
        torch.load(place / "results/tiny/model/checkpoint.pt", weights_only=True) for place in (tiny, folder)
    )
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])


def test_a_target_from_elsewhere_is_fetched_checked_and_built(tiny, tmp_path):
    """On a machine without network, from a mirror; another file of that name is refused and left alone."""
    folder, mirror = checkout(tmp_path, "[fetched]"), tmp_path / "mirror"
    mirror.mkdir()
    shutil.copy2(tiny / "results/tiny/ala/topology.pdb", mirror / "ala.pdb")
    content = (mirror / "ala.pdb").read_bytes()
    (folder / "config/systems/fetched.yaml").write_text(
        "based_on: tiny\ntargets: {ala: {pdb: results/downloads/ala.pdb}}\n"
    )
    with open(folder / "config/config.yaml", "a") as config:
        source, checksum = "https://localhost:1/ala.pdb", hashlib.sha256(content).hexdigest()
        config.write(
            f"downloads: {{results/downloads/ala.pdb: {{sources: ['{source}'], sha256: {checksum}}}}}\n"
        )
    topology, fetched = "results/fetched/ala/topology.pdb", folder / "results/downloads/ala.pdb"
    assert "DIG_DATA_MIRROR" in snakemake(folder, topology, status=1)
    (mirror / "ala.pdb").write_text("another file")
    said = snakemake(folder, topology, status=1, DIG_DATA_MIRROR=str(mirror))
    assert checksum in said and "Traceback" not in said
    assert (mirror / "ala.pdb").read_text() == "another file" and not fetched.exists()
    (mirror / "ala.pdb").write_bytes(content)
    snakemake(folder, topology, DIG_DATA_MIRROR=str(mirror))
    assert fetched.read_bytes() == content and (folder / topology).is_file()


def test_shards_give_the_samples_of_one_job_and_a_broken_one_is_drawn_again_alone(tiny, tmp_path):
    folder = checkout(tmp_path, "[tiny]")
    shutil.copytree(tiny / "results", folder / "results")
    study = folder / "config/systems/tiny.yaml"
    study.write_text(study.read_text().replace("  samples: 500\n", "  samples: 500\n  shards: 3\n"))
    samples, shard = (
        folder / "results/tiny/ala" / name for name in ("samples.npz", "samples.shards/2-of-3.npz")
    )
    options = ("--notemp", "--rerun-triggers", "mtime", "--allowed-rules", "sample_shard", "gather_samples")

    def drawn(status: int = 0) -> str:
        samples.unlink(missing_ok=True)
        return snakemake(folder, "results/tiny/ala/samples.npz", *options, status=status)

    def assert_same() -> None:
        whole, gathered = (load_arrays(place / "results/tiny/ala/samples.npz") for place in (tiny, folder))
        assert all(np.array_equal(whole[name], gathered[name]) for name in ("positions_angstrom", "valid"))

    drawn()
    assert_same()
    times = shard.stat()
    shard.write_bytes(shard.read_bytes()[:1000])
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    said = drawn(status=1)
    assert re.search(r"truncated or damaged one: \S+2-of-3.npz. Delete it", said) and not samples.exists()
    shard.unlink()
    assert re.search(r"^sample_shard +1$", drawn(), re.MULTILINE), "the other two are not drawn again"
    assert_same()


def test_jobs_for_several_targets_give_what_jobs_for_one_give(tiny, tmp_path):
    """Two molecules built and simulated by two processes; samples and metrics of a finished study made anew."""
    folder = checkout(tmp_path, "[tiny, pair]")
    (folder / "config/systems/pair.yaml").write_text(
        "based_on: tiny\ntargets: {ala: {sequence: ACE-ALA-NME}, gly: {sequence: ACE-GLY-NME}}\ntargets_per_job: 2\n"
    )
    references = [f"results/pair/{target}/reference.npz" for target in ("ala", "gly")]
    said = snakemake(folder, *references)
    assert re.search(r"^total +3$", said, re.MULTILINE), "build, simulate and prepare_reference"
    one, several = (
        load_arrays(place) for place in (tiny / "results/tiny/ala/reference.npz", folder / references[0])
    )
    assert np.array_equal(one["positions_angstrom"], several["positions_angstrom"])
    assert load_arrays(folder / references[1])["positions_angstrom"].shape[1] == 19
    assert (folder / "results/logs/simulate/pair_gly_2.log").read_text()

    shutil.copytree(tiny / "results/tiny", folder / "results/tiny")
    with open(folder / "config/systems/tiny.yaml", "a") as study:
        study.write("\ntargets_per_job: 3\n")
    names = ("samples.npz", "metrics.json")
    for name in names:
        (folder / "results/tiny/ala" / name).unlink()
    options = ("--rerun-triggers", "mtime", "--allowed-rules", "sample_tiny_1", "evaluate_tiny_1")
    snakemake(folder, "results/tiny/ala/metrics.json", *options)
    one, several = (load_arrays(place / "results/tiny/ala/samples.npz") for place in (tiny, folder))
    assert np.array_equal(one["positions_angstrom"], several["positions_angstrom"])
    assert metrics(folder).keys() == metrics(tiny).keys()
    assert metrics(folder)["jensen_shannon_nats"] == metrics(tiny)["jensen_shannon_nats"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("targets: {ala: {sequence: ACE-XYZ-NME}}", "expected residues"),
        ("targets: {ala: {pdb: missing.pdb}}", "missing.pdb"),
        ("sampler: {samples: 0}", "samples"),
        ("sampler: {stepz: 5}", "Did you mean 'steps'"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(tmp_path, change, told):
    folder = checkout(tmp_path, "[bad]")
    (folder / "config/systems/bad.yaml").write_text(f"based_on: tiny\n{change}\n")
    said = snakemake(folder, "results/bad/ala/topology.pdb", status=1)
    assert told in said
    assert "Traceback" not in said
    assert not list((folder / "results").rglob("*.pdb")) if (folder / "results").exists() else True


def test_checkpoint_of_another_molecule_is_refused(tiny, tmp_path):
    folder = checkout(tmp_path, "[tiny]")
    shutil.copytree(tiny / "results", folder / "results")
    study = folder / "config/systems/tiny.yaml"
    study.write_text(study.read_text() + "\ntargets: {ala: {sequence: ACE-SER-NME}}\n")
    (folder / "results/tiny/ala/samples.npz").unlink()
    options = ("--rerun-triggers", "mtime", "--allowed-rules", "sample", "build", "--forcerun", "build")
    said = snakemake(folder, "results/tiny/ala/samples.npz", *options, status=1)
    assert "expected a checkpoint trained on this molecule; got one trained on ala" in said
    assert not (folder / "results/tiny/ala/samples.npz").exists()
