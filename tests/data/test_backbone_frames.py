"""Frames of proteins as N, CA and C: condensed, read back, and refused where they are not what they should be."""

import numpy as np
import pytest

from dig_core.data.backbone_frames import condensed, replica_corners
from dig_core.files import save_arrays

FIRST = np.array([4, 6, 11])  # N, CA and C of a first residue
INDICES = np.stack([FIRST, FIRST + 13])


def simulated(frames: int = 5, reach: float = 15.0) -> dict[str, np.ndarray]:
    """A replica of 30 atoms, far from the origin."""
    positions = np.random.default_rng(0).uniform(-reach, reach, (frames, 30, 3)) + 1000.0
    times = 0.5 * np.arange(1, frames + 1)
    return {
        "positions_angstrom": positions.astype(np.float32), "backbone_indices": INDICES, "time_ps": times,
    }  # fmt: skip


def one_line(file, residues: int = 2) -> str:
    """What is said of a file that is refused."""
    with pytest.raises(ValueError, match="expected") as caught:
        replica_corners(file, residues)
    text = str(caught.value)
    assert "\n" not in text and str(file) in text
    return text


def test_a_simulated_replica_gives_the_corners_of_its_residues(tmp_path):
    replica = simulated()
    save_arrays(tmp_path / "1.npz", {}, **replica)
    corners, interval = replica_corners(tmp_path / "1.npz", 2)
    assert interval == 0.5 and corners.shape == (5, 2, 3, 3)
    assert np.array_equal(corners[:, 1, 2], replica["positions_angstrom"][:, 24])


def test_condensed_corners_come_back_within_a_thousandth_of_an_angstrom(tmp_path):
    replica = simulated()
    arrays = condensed(replica)
    save_arrays(tmp_path / "1.npz", {}, **arrays)
    corners, interval = replica_corners(tmp_path / "1.npz", 2)
    exact = replica["positions_angstrom"][:, INDICES].astype(np.float64)
    exact -= exact.mean(axis=(1, 2), keepdims=True)
    assert interval == 0.5 and arrays["corners_milliangstrom"].dtype == np.int16
    assert 1e-4 < np.abs(corners - exact).max() < 1e-3


def test_a_protein_that_sixteen_bits_do_not_hold_is_refused():
    long = simulated()
    long["positions_angstrom"][2, 24] += 100.0
    with pytest.raises(ValueError, match=r"expected a protein of at most 65 Angstrom; got a longer one\."):
        condensed(long)


def test_a_file_that_is_cut_off_is_refused_in_one_line(tmp_path):
    for name, arrays in (("simulated", simulated()), ("condensed", condensed(simulated()))):
        file = tmp_path / f"{name}.npz"
        save_arrays(file, {}, **arrays)
        file.write_bytes(file.read_bytes()[:-200])
        assert "truncated" in one_line(file)


def test_frames_of_something_else_are_refused_in_one_line(tmp_path):
    save_arrays(tmp_path / "1.npz", {}, **simulated())
    assert "expected 9 atoms per frame; got 6" in one_line(tmp_path / "1.npz", residues=3)
    save_arrays(tmp_path / "molecule.npz", {}, positions_angstrom=np.zeros((3, 2, 3)), time_ps=np.ones(3))
    assert "backbone_indices" in one_line(tmp_path / "molecule.npz")
    broken = simulated()
    broken["positions_angstrom"][3, 6] = np.nan
    save_arrays(tmp_path / "broken.npz", {}, **broken)
    assert "NaN in 1 of 5 frames" in one_line(tmp_path / "broken.npz")
