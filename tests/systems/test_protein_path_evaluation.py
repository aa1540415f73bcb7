"""Paths beside a known transition, where the distances are known."""

import mdtraj
import numpy as np
import pytest
import torch

from dig_core.evaluation.superposition import ca_rmsd
from dig_core.rotations import exponential
from dig_core.systems.protein_path import path_metrics
from dig_core.systems.protein_path_evaluation import along_transition, evaluate_path
from tests.backbones_for_tests import HELIX, built

# A helix that is stretched to the double along its way has all its distances from the first in closed form.
RESIDUES, POINTS = 12, 5
CHAIN = built([HELIX] * RESIDUES)
STRETCH = np.linspace(1.0, 2.0, POINTS)
CENTRED = CHAIN.positions[0] - CHAIN.alpha[0].mean(axis=0)
SIZE_ANGSTROM = np.sqrt(np.square(CENTRED[CHAIN.first_atom_of_residue + 1]).sum(axis=1).mean())
PROTEIN = {
    "first_atom_of_residue": CHAIN.first_atom_of_residue,
    "sequence": np.array("A" * RESIDUES),
    "residue_indices": CHAIN.residue_indices,
    "state_names": np.array(["other", "short", "long"]),
    "state_positions_angstrom": np.stack([CENTRED[::-1], CENTRED, 2.0 * CENTRED]),
}

OWN = {"selection": None, "number_offset": 0}


def paths(latent: np.ndarray = STRETCH, straight: np.ndarray = STRETCH) -> dict[str, np.ndarray]:
    """Paths whose points are the helix, stretched so much."""
    found = {"state_names": np.array(["short", "long"])}
    for series, factors in (("latent", latent), ("straight", straight)):
        found[f"{series}_positions_angstrom"] = factors[:, None, None] * CENTRED
        found[f"{series}_valid"] = factors < 1.1
        found[f"{series}_neighbour_distance_max_angstrom"] = 3.8 * factors
        found[f"{series}_neighbour_distance_min_angstrom"] = 3.8 * factors
    own = {
        "endpoint_rmsd_angstrom": np.zeros(2),
        "resolved": np.array(True),
        "seconds_interpolate": np.array(1.0),
    }
    return found | own


def frames(factors) -> np.ndarray:
    """CA of the helix, stretched so much, each turned and moved as a whole."""
    alphas = np.asarray(factors)[:, None, None] * CENTRED[CHAIN.first_atom_of_residue + 1]
    random = np.random.default_rng(0)
    turns = exponential(torch.as_tensor(random.normal(0.0, 2.0, (len(alphas), 3)))).numpy()
    return alphas @ turns + random.normal(0.0, 9.0, (len(alphas), 1, 3))


def test_a_path_through_all_frames_is_at_no_distance():
    found = along_transition(paths(), PROTEIN, frames(STRETCH))
    metrics = found.metrics
    for suffix in ("", "_baseline_straight"):
        assert metrics[f"path_transition_rmsd_max_angstrom{suffix}"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["transition_frames"] == POINTS
    assert metrics["transition_best_rmsd_short_angstrom"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["transition_best_rmsd_long_angstrom"] == pytest.approx(0.0, abs=1e-6)
    expected = SIZE_ANGSTROM * np.stack([STRETCH - 1.0, 2.0 - STRETCH], axis=1)
    assert found.arrays["transition.rmsd_to_ends_angstrom"] == pytest.approx(expected, abs=1e-6)


def test_distances_are_those_of_the_nearest_frame():
    """Frames up to 1.5 times the helix, and one that is twelve times as long, which no point comes near."""
    found = along_transition(paths(straight=STRETCH * 0 + 1.0), PROTEIN, frames([1.0, 1.5, 12.0])).metrics
    away = SIZE_ANGSTROM * np.array([0.0, 0.25, 0.0, 0.25, 0.5])
    assert found["path_transition_rmsd_mean_angstrom"] == pytest.approx(away.mean())
    assert found["path_transition_rmsd_max_angstrom"] == pytest.approx(away.max())
    assert found["path_transition_rmsd_max_angstrom_baseline_straight"] == pytest.approx(0.0, abs=1e-6)
    assert found["transition_best_rmsd_long_angstrom"] == pytest.approx(0.5 * SIZE_ANGSTROM)
    mirrored = frames([1.0]) * np.array([1.0, 1.0, -1.0])
    apart = along_transition(paths(), PROTEIN, mirrored).metrics["transition_best_rmsd_short_angstrom"]
    assert apart == pytest.approx(ca_rmsd(mirrored, frames([1.0])[0])[0]) and apart > 1.0


def test_files_of_a_transition_are_read_and_without_one_there_is_only_the_path(tmp_path):
    assert evaluate_path(paths(), PROTEIN, None).arrays == {}
    alone = evaluate_path(paths(), PROTEIN, None).metrics
    assert alone == path_metrics(paths())
    assert alone["path_neighbour_distance_max_angstrom"] == pytest.approx(7.6)
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for number in CHAIN.residue_indices:
        residue = topology.add_residue("ALA", chain, resSeq=int(number))
        for name in ("N", "CA", "C"):
            topology.add_atom(name, mdtraj.element.carbon, residue)
    whole = mdtraj.Trajectory(np.repeat(frames(STRETCH), 3, axis=1) / 10.0, topology)
    whole[0].save_pdb(str(tmp_path / "way.pdb"))
    whole.save_dcd(str(tmp_path / "way.dcd"))
    files = {
        "trajectory": str(tmp_path / "way.dcd"),
        "topology": str(tmp_path / "way.pdb"),
        **OWN,
        "biased": True,
    }
    found = evaluate_path(paths(), PROTEIN, files)
    assert found.arrays["transition.biased"]
    assert set(alone) < set(found.metrics) and found.metrics["path_transition_rmsd_max_angstrom"] < 1e-3
