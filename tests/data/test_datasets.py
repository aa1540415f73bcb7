"""A user's own trajectories: read with weights, stride and selection; refusals in words."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest

from dig_core.data.datasets import read_frames, simulated_frames, write_trajectory
from dig_core.files import save_arrays
from dig_core.systems.molecule import build, topology_pdb
from tests.molecules_for_tests import peptide

TOPOLOGY, MOLECULE = peptide()


@pytest.fixture
def trajectory(tmp_path):
    """Ten frames of alanine dipeptide as xtc with its topology, and the settings that read them."""
    positions = MOLECULE["positions_angstrom"] + np.random.default_rng(0).normal(0, 0.1, (10, 22, 3)).astype(
        np.float32
    )
    pdb, xtc = tmp_path / "top.pdb", tmp_path / "run.xtc"
    pdb.write_text(topology_pdb(TOPOLOGY, MOLECULE["positions_angstrom"]))
    write_trajectory(xtc, pdb, positions, np.arange(10) * 2.0)
    settings = {
        "source": "trajectory", "topology": str(pdb), "files": [str(xtc)], "selection": None, "stride": 1, "first_frame": 0,
        "held_out_fraction": 0.5, "frame_interval_ps": None, "weights": None, "force_field": None,
    }  # fmt: skip
    return positions, settings


def test_one_file_is_split_into_training_and_held_out(trajectory):
    positions, settings = trajectory
    parts = [read_frames(settings["files"], [], settings, 22, held_out) for held_out in (False, True)]
    np.testing.assert_allclose(
        np.concatenate([p["positions_angstrom"] for p in parts]), positions, atol=0.011
    )
    assert parts[0]["weights"].sum() == pytest.approx(1.0)
    assert float(parts[0]["frame_interval_ps"]) == pytest.approx(2.0)


def test_stride_first_frame_and_weights(trajectory, tmp_path):
    positions, settings = trajectory
    weights = np.arange(10.0)
    np.save(tmp_path / "w.npy", weights)
    settings |= {"stride": 3, "first_frame": 1, "files": [settings["files"][0], "other.xtc"]}
    frames = read_frames(settings["files"][:1], [tmp_path / "w.npy"], settings, 22, False)
    np.testing.assert_allclose(frames["positions_angstrom"], positions[[1, 4, 7]], atol=0.011)
    np.testing.assert_allclose(frames["weights"], np.array([1.0, 4.0, 7.0]) / 12.0)


def test_a_users_topology_is_built_like_the_projects_own(trajectory):
    _, settings = trajectory
    _, molecule = build({"sequence": "ACE-ALA-NME"}, settings)
    for name in ("atom_features", "pair_features", "backbone_torsions", "stereocentres"):
        np.testing.assert_array_equal(molecule[name], MOLECULE[name])
    with pytest.raises(ValueError, match=r"expected frames of ACE-VAL-NME; got ACE-ALA-NME"):
        build({"sequence": "ACE-VAL-NME"}, settings)


def test_simulated_replicas_are_joined_with_equal_say_per_frame(tmp_path):
    files = []
    for index, count in enumerate((2, 6)):
        files.append(tmp_path / f"{index}.npz")
        arrays = {
            "positions_angstrom": np.zeros((count, 22, 3), np.float32),
            "weights": np.full(count, 1 / count),
        }
        save_arrays(
            files[-1],
            {},
            potential_energy_kJ_per_mol=np.zeros(count),
            time_ps=np.arange(1, count + 1) * 0.5,
            **arrays,
        )
    frames = simulated_frames(files, 22)
    np.testing.assert_allclose(frames["weights"], 1 / 8)
    assert float(frames["frame_interval_ps"]) == 0.5


@pytest.mark.parametrize("damage", ["missing", "truncated", "no topology", "selection", "atoms", "weights"])
def test_bad_input_is_told_in_one_line(trajectory, tmp_path, damage):
    _, settings = trajectory
    path, atoms, weights = settings["files"][0], 22, []
    if damage == "missing":
        settings["files"] = [path := str(tmp_path / "absent.xtc")]
    elif damage == "truncated":
        Path(path).write_bytes(Path(path).read_bytes()[:150])
    elif damage == "no topology":
        settings["topology"] = str(tmp_path / "absent.pdb")
    elif damage == "selection":
        settings["selection"] = "resname XYZ"
    elif damage == "atoms":
        atoms = 21
    else:
        np.save(tmp_path / "w.npy", np.ones(3))
        weights = [tmp_path / "w.npy"]
    with pytest.raises((ValueError, FileNotFoundError), match="expected") as error:
        read_frames([path], weights, settings, atoms, False)
    assert "\n" not in str(error.value)


def test_nan_in_frames_is_told(tmp_path):
    positions = np.zeros((4, 22, 3), np.float32)
    positions[2, 0, 0] = np.nan
    save_arrays(
        tmp_path / "1.npz",
        {},
        positions_angstrom=positions,
        weights=np.full(4, 0.25),
        potential_energy_kJ_per_mol=np.zeros(4),
        time_ps=np.arange(4.0),
    )
    with pytest.raises(
        ValueError, match=r"expected finite positions and weights; got NaN in 1 of 4 frames of .*1\.npz"
    ):
        simulated_frames([tmp_path / "1.npz"], 22)


def test_trajectory_for_viewers_has_the_right_coordinates(trajectory, tmp_path):
    positions, settings = trajectory
    loaded = mdtraj.load(settings["files"][0], top=settings["topology"])
    np.testing.assert_allclose(loaded.xyz * 10, positions, atol=0.011)
