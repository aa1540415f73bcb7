"""The backbones that come with the project: those of the study `peptides`, and what its own rules make again."""

from pathlib import Path

import numpy as np
import pytest

from dig_core.config import load_study, plain
from dig_core.data.backbone_frames import condensed, replica_corners
from dig_core.files import load_arrays, load_provenance
from dig_core.settings.bundled import BUNDLED as ALL
from dig_core.settings.bundled import bundled_replica, simulation_settings
from dig_core.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "config/systems/peptides.yaml")
BUNDLED = ALL / STUDY.data.bundled


@pytest.mark.parametrize("target", STUDY.targets)
def test_every_replica_is_whole_and_of_the_settings_of_the_study(target):
    """10 ns in frames of 1 ps, simulated as the study says, each replica from a seed of its own."""
    data = STUDY.data
    residues = len(STUDY.targets[target].sequence.split("-")) - 2  # without caps
    for replica in range(1, data.replicas + 1):
        file = BUNDLED / f"{target}_{replica}.npz"
        corners, interval_ps = replica_corners(file, residues)
        assert len(corners) * interval_ps == 1e3 * data.duration_ns
        bonds = np.linalg.norm(corners[:, 1:, 0] - corners[:, :-1, 2], axis=-1)  # from C to the next N
        assert bonds.min() > 1.2 and bonds.max() < 1.5
        made_with = load_provenance(file)["settings"]
        assert made_with == simulation_settings(STUDY, target, str(replica))
        assert bundled_replica(STUDY, target, str(replica)) == file


def test_all_bundled_peptides_take_no_more_than_20_megabytes():
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) < 20e6


def test_the_first_frames_of_a_bundled_replica_are_made_again(tmp_path):
    """From the sequence to the frames, as the rules do it; later frames drift apart between kinds of processors."""
    system, target, data = SYSTEMS["protein"], plain(STUDY.targets["GGAV"]), plain(STUDY.data.dynamics("2"))
    start = tmp_path / "all_atoms.pdb"
    start.write_text(system.topology_pdb(*system.all_atoms(target, data)))
    short = data | {"duration_ns": 0.003}
    made = condensed(system.run_dynamics(start, {}, short, STUDY.temperature_K, tmp_path / "partial"))
    kept = load_arrays(BUNDLED / "GGAV_2.npz")
    apart = made["corners_milliangstrom"] - kept["corners_milliangstrom"][:3]
    assert np.abs(apart).max() <= 10
    assert (
        np.abs(np.diff(kept["corners_milliangstrom"][:4], axis=0)).max() > 100
    )  # a ps moves residues by more
