"""The backbones that come with the project: those of the studies `peptides` and `chignolin`, and what their own rules make again."""

from pathlib import Path

import numpy as np
import pytest

from dig_core import runtime
from dig_core.config import load_study, plain
from dig_core.data.backbone_frames import condensed, replica_corners
from dig_core.files import load_arrays, load_provenance
from dig_core.settings.bundled import BUNDLED as ALL
from dig_core.settings.bundled import bundled_replica, simulation_settings
from dig_core.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "config/systems/peptides.yaml")
FOLDS = load_study(ROOT / "config/systems/chignolin.yaml")
BUNDLED = ALL / STUDY.data.bundled


@pytest.mark.parametrize(
    ("study", "target", "residues"),
    [(STUDY, target, 4) for target in STUDY.targets] + [(FOLDS, "chignolin", 10)],
)
def test_every_replica_is_whole_and_of_the_settings_of_the_study(study, target, residues):
    """The time and the interval that the study states, simulated as it says, each replica from a seed of its own."""
    data = study.data
    for replica in range(1, data.replicas + 1):
        file = ALL / data.bundled / f"{target}_{replica}.npz"
        corners, interval_ps = replica_corners(file, residues)
        assert len(corners) * interval_ps == 1e3 * data.duration_ns
        bonds = np.linalg.norm(corners[:, 1:, 0] - corners[:, :-1, 2], axis=-1)  # from C to the next N
        assert bonds.min() > 1.2 and bonds.max() < 1.5
        made_with = load_provenance(file)["settings"]
        assert made_with == simulation_settings(study, target, str(replica))
        assert bundled_replica(study, target, str(replica)) == file


def test_all_bundled_files_take_no_more_than_20_megabytes():
    assert sum(file.stat().st_size for file in ALL.rglob("*") if file.is_file()) < 20e6


def test_a_bundled_replica_is_what_the_rules_make_of_its_sequence(tmp_path):
    """From the sequence to its first frames, with the same versions; with others, which round differently, to the same geometry."""
    system, target, data = SYSTEMS["protein"], plain(STUDY.targets["GGAV"]), plain(STUDY.data.dynamics("2"))
    start = tmp_path / "all_atoms.pdb"
    start.write_text(system.topology_pdb(*system.all_atoms(target, data)))
    short = data | {"duration_ns": 0.01}
    made = condensed(system.run_dynamics(start, {}, short, STUDY.temperature_K, tmp_path / "partial"))
    kept, origin = (read(BUNDLED / "GGAV_2.npz") for read in (load_arrays, load_provenance))
    now, before = ((own["corners_milliangstrom"][:20] * 1e-3).reshape(20, 12, 3) for own in (made, kept))
    first, second = np.array([(k, k + reach) for reach in (1, 2) for k in range(12 - reach)]).T
    # Bonds of the backbone, and the distances that its angles set.
    now_lengths, before_lengths = (np.linalg.norm(x[:, first] - x[:, second], axis=-1) for x in (now, before))
    assert np.abs(now_lengths.mean(axis=0) - before_lengths.mean(axis=0)).max() < 0.06
    same = runtime.provenance({}, [], None, runtime.start())
    if (same["platform"], same["packages"]["openmm"]) == (origin["platform"], origin["packages"]["openmm"]):
        assert np.abs(now - before)[:3].max() <= 0.01
        assert np.abs(np.diff(before[:4], axis=0)).max() > 0.1  # half a ps moves residues by more
