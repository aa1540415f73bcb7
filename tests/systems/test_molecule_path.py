"""Paths between two states: equivalent atoms, ends, even spacing, and what is told of them."""

from itertools import permutations

import numpy as np
import pytest
import torch

from dig_core.data.features import descriptor_hash
from dig_core.diffusion.processes import VarianceExploding, mean_free
from dig_core.evaluation.torsions import torsion_angles
from dig_core.systems.molecule_alignment import aligned, equivalent_atoms, rmsd
from dig_core.systems.molecule_model import FIELD, TrainedModel, network
from dig_core.systems.molecule_path import GAP, evenly_spaced, interpolate_states, path_model, steps_angstrom
from tests.molecules_for_tests import peptide, small_molecule

ALANINE = peptide()[1]
START = ALANINE["positions_angstrom"].astype(np.float64)
METHYLS = [(0, [1, 2, 3]), (12, [13, 14, 15]), (18, [19, 20, 21])]
REGIONS = {
    "left": {"phi_deg": [-180.0, 0.0], "psi_deg": [-180.0, 180.0]},
    "right": {"phi_deg": [0.0, 180.0], "psi_deg": [-180.0, 180.0]},
}
SETTINGS = {
    "paths": 2,
    "points": 7,
    "kind": "slerp",
    "tolerance": 1e-4,
    "seed": 1,
    "regions": REGIONS,
    "bins": 12,
}
SETTINGS |= {"largest_noise": None}


def turned(positions: np.ndarray, torsion: int, degrees: float) -> np.ndarray:
    """A structure with one backbone torsion (0: phi, 1: psi) turned: all atoms on the far side of its axis move."""
    _, first, second, _ = ALANINE["backbone_torsions"][0][torsion]
    moving, bonds = {int(second)}, ALANINE["bonds"].tolist()
    while more := {
        j for a, b in bonds for i, j in ((a, b), (b, a)) if i in moving and j not in moving | {first}
    }:
        moving |= more
    axis = positions[second] - positions[first]
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(degrees)
    rotation = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    chosen, result = sorted(moving), positions.copy()
    result[chosen] = (positions[chosen] - positions[second]) @ rotation.T + positions[second]
    return result


def rotated(positions: np.ndarray, seed: int) -> np.ndarray:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return positions @ (rotation * np.linalg.det(rotation)) + 5.0


def frames(count: int = 40) -> dict[str, np.ndarray]:
    """Frames with phi below and above 0 in turn."""
    generator = np.random.default_rng(3)
    phi = float(np.degrees(torsion_angles(START[None], ALANINE["backbone_torsions"][0])[0, 0]))
    goals = np.where(np.arange(count) % 2 == 0, -70.0, 60.0) + generator.normal(0.0, 3.0, count)
    positions = np.stack([turned(START, 0, goal - phi) for goal in goals])
    positions += generator.normal(0.0, 0.02, positions.shape)
    return {"positions_angstrom": positions.astype(np.float32), "weights": np.full(count, 1.0 / count)}


def gaussian_model(dtype: torch.dtype = torch.float64) -> TrainedModel:
    """The exact score of N(0, I) in the mean-free subspace: its flow maps straight lines to straight lines."""
    process = VarianceExploding(0.01, 4.0, projection=mean_free)

    def score(state, time):
        return {FIELD: -state[FIELD] / (1.0 + process.sigma(time)[:, None, None] ** 2)}

    return TrainedModel(score, {FIELD: process}, 1.6, {FIELD: (22, 3)}, "cpu")


def test_methyl_hydrogens_are_equivalent_and_nothing_else_is():
    assert sorted(equivalent_atoms(ALANINE)) == METHYLS
    found = equivalent_atoms(small_molecule("CC(C)O"))
    assert sorted(len(atoms) for _, atoms in found) == [3, 3]
    assert [len(atoms) for _, atoms in equivalent_atoms(small_molecule("CCC(=O)N"))] == [3, 2, 2]


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
def test_a_structure_with_permuted_methyl_hydrogens_is_the_same(order):
    """Also an odd permutation: the same structure, only numbered otherwise; no methyl group may be turned inside out."""
    mobile = rotated(turned(turned(START, 0, 130.0), 1, -40.0), seed=1)
    expected = aligned(mobile, START, ALANINE)
    permuted = mobile.copy()
    for _, atoms in METHYLS:
        permuted[atoms] = mobile[np.array(atoms)[list(order)]]
    assert aligned(permuted, START, ALANINE) == pytest.approx(expected, abs=1e-9)
    assert rmsd(expected, START) <= rmsd(mobile, START) + 1e-12


def test_a_turned_methyl_group_comes_back_and_handedness_stays():
    permuted = START.copy()
    permuted[[1, 2, 3]] = START[[2, 3, 1]]
    assert aligned(rotated(permuted, seed=2), START, ALANINE) == pytest.approx(START, abs=1e-5)
    mirrored = START * np.array([1.0, 1.0, -1.0])
    assert rmsd(aligned(mirrored, START, ALANINE), START) > 0.1


def test_paths_of_a_gaussian_keep_their_ends_and_are_evenly_spaced():
    training = frames()
    found = interpolate_states(gaussian_model(), ALANINE, training, SETTINGS, None)
    assert found["endpoint_rmsd_angstrom"].shape == (2, 2) and found["endpoint_rmsd_angstrom"].max() < 1e-3
    for own, (first, last) in zip(found["latent_positions_angstrom"], found["frames"], strict=True):
        assert first % 2 == 0 and last % 2 == 1, "from the state on the left to that on the right"
        assert rmsd(own[0].astype(float), training["positions_angstrom"][first].astype(float)) < 1e-3
        steps = steps_angstrom(own)
        assert steps.max() < 2.01 * steps.mean()
    assert found["resolved"].all()
    assert len(set(found["frames"].ravel().tolist())) == 4, "independent pairs"
    lengths = [steps_angstrom(path).sum() for path in found["latent_positions_angstrom"]]
    assert found["chosen"] == np.argmin(lengths)
    assert found["latent_torsions_rad"].shape == (2, 7, 2)
    again = interpolate_states(gaussian_model(), ALANINE, training, SETTINGS, None)
    assert np.array_equal(again["latent_positions_angstrom"], found["latent_positions_angstrom"])


def test_permuted_hydrogens_of_the_frames_give_the_same_path():
    training = frames()
    permuted = {**training, "positions_angstrom": training["positions_angstrom"].copy()}
    ends = np.arange(1, 40, 2)[:, None]
    permuted["positions_angstrom"][ends, [13, 14, 15]] = training["positions_angstrom"][ends, [15, 13, 14]]
    first, second = (
        interpolate_states(gaussian_model(), ALANINE, own, SETTINGS, None) for own in (training, permuted)
    )
    assert second["latent_positions_angstrom"] == pytest.approx(first["latent_positions_angstrom"], abs=1e-3)


def test_linear_paths_of_a_gaussian_are_the_straight_ones():
    found = interpolate_states(gaussian_model(), ALANINE, frames(), SETTINGS | {"kind": "linear"}, None)
    middle = found["latent_shares"][0]
    start, end = found["straight_positions_angstrom"][0][[0, -1]]
    expected = start + middle[:, None, None] * (end - start)
    assert rmsd(found["latent_positions_angstrom"][0].astype(float), expected.astype(float)).max() < 2e-3


def test_the_chosen_pair_has_the_lowest_highest_energy():
    def energy(positions):
        values = np.abs(positions[:, 0, 0])
        return values, np.zeros_like(positions)

    found = interpolate_states(gaussian_model(), ALANINE, frames(), SETTINGS, energy)
    highest = found["latent_potential_energy_kJ_per_mol"].max(axis=1)
    assert found["chosen"] == highest.argmin() and found["straight_potential_energy_kJ_per_mol"].shape == (
        2,
        7,
    )


def test_a_steep_path_is_resolved_where_it_is_steep():
    """Structures that change only within a slice of 1e-3 of the shares: a coarse path would jump."""

    def decoded(shares):
        angles = [75.0 * (1.0 + np.tanh((own - 0.7183) / 2e-4)) for own in shares]
        return [np.stack([turned(START, 0, angle) for angle in own]) for own in angles]

    shares, paths = evenly_spaced(decoded, [np.linspace(0.0, 1.0, 6)], 11)
    steps = steps_angstrom(paths[0])
    assert shares.shape == (1, 11) and shares[0, 0] == 0.0 and shares[0, -1] == 1.0
    assert steps.max() < 2.01 * steps.sum() / 10 and np.all(np.diff(shares[0]) > 0)


def test_a_jump_that_cannot_be_resolved_is_told():
    """A step function of the share: such a path is not chosen where another one is whole."""

    def decoded(shares):
        whole = [np.stack([turned(START, 0, 60.0 * x) for x in shares[0]] or [START])[: len(shares[0])]]
        return [*whole, np.stack([turned(START, 0, 60.0 * (x > 0.3)) for x in shares[1]])]

    _, paths = evenly_spaced(decoded, [np.linspace(0.0, 1.0, 6)] * 2, 11)
    whole, broken = (steps_angstrom(path) for path in paths)
    assert whole.max() < GAP * whole.mean() and broken.max() > GAP * broken.mean()


def test_less_noise_ends_the_process_earlier():
    checkpoint = {
        "settings": {
            "model": {
                "layers": 1,
                "blocks": 1,
                "width": 16,
                "heads": 2,
                "radial_features": 8,
                "head_width": 8,
            },
            "process": {"kind": "variance_exploding", "sigma_min": 0.01, "sigma_max": 4.0},
        },
        "molecules": {"ala": descriptor_hash(ALANINE)},
        "scale_angstrom": 1.6,
    }
    checkpoint["weights"] = network(checkpoint["settings"]["model"]).state_dict()
    for noise, expected in ((None, 4.0), (0.5, 0.5), (9.0, 4.0)):
        model = path_model(checkpoint, ALANINE, {"largest_noise": noise})
        own = model.process[FIELD]
        end = torch.tensor(own.maximal_time, dtype=torch.float64)
        assert own.noise_to_signal(end).item() == pytest.approx(expected)
        state = {FIELD: mean_free(torch.as_tensor(START)[None] / 1.6)}
        assert model.score(state, end[None])[FIELD].dtype == torch.float64
    with pytest.raises(
        ValueError, match=r"largest_noise above the smallest noise, 0\.01; got 0\.01\. Raise it"
    ):
        path_model(checkpoint, ALANINE, {"largest_noise": 0.01})


def test_too_few_frames_in_a_state_are_told():
    with pytest.raises(
        ValueError, match=r"expected at least 25 training frames in the state left; got 20\. Lower"
    ):
        interpolate_states(gaussian_model(), ALANINE, frames(), SETTINGS | {"paths": 25}, None)


def test_a_molecule_without_phi_and_psi_is_told():
    butane = small_molecule("CCCC")
    training = {"positions_angstrom": butane["positions_angstrom"][None], "weights": np.ones(1)}
    with pytest.raises(ValueError, match=r"expected a molecule with phi and psi.*interpolation: null"):
        interpolate_states(gaussian_model(), butane, training, SETTINGS, None)
