"""Proteins with known structures: descriptor, frames, and the comparison of samples with them, where the answer is known."""

import numpy as np
import pytest
import torch

from dig_core.evaluation.superposition import ca_rmsd, tm_score
from dig_core.rotations import exponential
from dig_core.settings.protein_evaluation import CrystalNoise, KnownStates
from dig_core.systems import protein
from dig_core.systems.protein_denoising import denoising_loss
from dig_core.systems.protein_states import (
    crystal_with_noise,
    evaluate,
    known_alphas,
    nearest_states,
    state_rmsd,
)
from tests.proteins_for_tests import FOLDS, MODEL, SETTINGS, STRUCTURES, structure_text

NOISE = CrystalNoise(positions_angstrom=0.5, rotations_deg=10.0, seed=1)
KNOWN = KnownStates(kind="known_states", within_angstrom=1.5, crystal_noise=NOISE)
NEAR = "within_1.5_angstrom_{}_fraction"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Topology and descriptor of a peptide whose structures are a helix and a strand."""
    folder, states = tmp_path_factory.mktemp("files"), {}
    for name, torsions in FOLDS.items():
        (folder / f"{name}.pdb").write_text(structure_text(STRUCTURES["first"], torsions))
        states[name] = {"pdb": str(folder / f"{name}.pdb"), "chain": None, "residues": None}
    return protein.build({"states": states}, {"source": "structures", "force_field": None})


@pytest.fixture(scope="module")
def peptide(built):
    return built[1]


def shaken(peptide, state: int, count: int, noise: float, seed: int = 0) -> np.ndarray:
    """A state with noise in every atom, turned and moved as a whole."""
    random = np.random.default_rng(seed)
    moved = peptide["state_positions_angstrom"][state] + random.normal(0.0, noise, (count, 49, 3))
    turns = exponential(torch.as_tensor(random.normal(0.0, 2.0, (count, 3)))).numpy()
    return (moved @ turns + random.normal(0.0, 9.0, (count, 1, 3))).astype(np.float32)


def test_the_descriptor_has_the_structures_and_nothing_is_simulated(built):
    topology, peptide = built
    assert peptide["state_names"].tolist() == ["helix", "strand"]
    assert peptide["state_positions_angstrom"].shape == (2, 49, 3) and topology.getNumAtoms() == 49
    assert np.array_equal(peptide["positions_angstrom"], peptide["state_positions_angstrom"][0])
    assert peptide["residue_indices"].tolist() == list(range(1, 11))
    assert protein.physical_filter(peptide["state_positions_angstrom"], peptide).valid.all()


def test_known_structures_are_the_frames_and_validate_themselves(peptide, capsys):
    frames = protein.read_frames([], [], {"source": "structures"}, peptide, held_out=False)
    assert np.array_equal(frames["positions_angstrom"], peptide["state_positions_angstrom"])
    assert frames["weights"].tolist() == [0.5, 0.5] and "frame_interval_ps" not in frames
    dataset = {f"own.{name}": values for name, values in frames.items()}
    training = SETTINGS["training"] | {"validation_fraction": 0.0}
    settings = SETTINGS | {"model": MODEL | {"scale_angstrom": 5.0}, "training": training}
    _, probabilities, _ = denoising_loss(dataset, {"own": peptide}, settings, "cpu")
    assert probabilities["train"].tolist() == probabilities["validation"].tolist() == [0.5, 0.5]
    assert "training frames with other noise" in capsys.readouterr().out


def test_the_structures_themselves_are_reached_by_their_share(peptide):
    """60 samples at the helix, 20 at the strand, whatever their place in the laboratory, 20 in neither."""
    far = shaken(peptide, 0, 20, 8.0, seed=2)
    drawn = np.concatenate([shaken(peptide, 0, 60, 0.01), shaken(peptide, 1, 20, 0.01, seed=1), far])
    found = evaluate(peptide, {"positions_angstrom": drawn}, KNOWN, trained=True).metrics
    assert found["samples"] == 100
    assert found[NEAR.format("helix")] == 0.6 and found[NEAR.format("strand")] == 0.2
    assert found["expected_samples_helix"] == pytest.approx(1 / 0.6)
    assert found[f"{NEAR.format('strand')}_ci_low"] < 0.2 < found[f"{NEAR.format('strand')}_ci_high"]
    for state in FOLDS:
        assert found[f"best_rmsd_{state}_angstrom"] < 0.03
    distance = state_rmsd(peptide["state_positions_angstrom"], peptide)
    assert distance.diagonal() == pytest.approx(0.0, abs=1e-3)
    assert found["rmsd_helix_strand_angstrom"] == pytest.approx(distance[0, 1]) and distance[0, 1] > 5.0


def test_tm_scores_are_means_over_the_samples_nearest_a_state(peptide):
    drawn = np.concatenate([shaken(peptide, 0, 6, 0.3), shaken(peptide, 1, 4, 0.6)])
    found = evaluate(peptide, {"positions_angstrom": drawn}, KNOWN, trained=True).metrics
    alphas = drawn[:, peptide["first_atom_of_residue"] + 1].astype(float)
    known = known_alphas(peptide)
    assert found["nearest_helix_fraction"] == 0.6 and found["nearest_strand_fraction"] == 0.4
    assert found["tm_score_helix"] == pytest.approx(tm_score(alphas[:6], known["helix"]).mean())
    assert found["tm_score_strand"] == pytest.approx(tm_score(alphas[6:], known["strand"]).mean())


def test_a_state_that_no_sample_is_near_has_no_score_and_no_expected_number(peptide):
    found = evaluate(
        peptide, {"positions_angstrom": shaken(peptide, 0, 30, 0.1)}, KNOWN, trained=False
    ).metrics
    assert found[NEAR.format("strand")] == 0.0 < found[f"{NEAR.format('strand')}_ci_high"] < 0.12
    assert "expected_samples_strand" not in found and "tm_score_strand" not in found
    assert found["best_rmsd_strand_angstrom"] > 4.0


def test_the_baseline_is_the_first_structure_with_noise_of_the_stated_size(peptide):
    """Without superposition each CA is sqrt(3) x 0.5 away on average square; each body is turned by sqrt(3) x 10 degrees."""
    noisy = crystal_with_noise(peptide, NOISE, 400)
    first = peptide["first_atom_of_residue"]
    known = peptide["state_positions_angstrom"][0]
    moved = noisy[:, first + 1] - known[first + 1]
    assert np.sqrt((moved**2).mean()) == pytest.approx(0.5, rel=0.03) and abs(moved.mean()) < 0.02
    bonds = noisy[:, first + 2] - noisy[:, first + 1], known[first + 2] - known[first + 1]
    lengths = [np.linalg.norm(own, axis=-1) for own in bonds]
    cosine = (bonds[0] * bonds[1]).sum(-1) / (lengths[0] * lengths[1])
    # Two of the three turns move this bond.
    assert np.sqrt((np.degrees(np.arccos(cosine)) ** 2).mean()) == pytest.approx(10.0 * np.sqrt(2), rel=0.03)
    found = evaluate(
        peptide, {"positions_angstrom": shaken(peptide, 1, 50, 0.1)}, KNOWN, trained=True
    ).metrics
    ending = "baseline_crystal_noise"
    assert (
        found[f"{NEAR.format('helix')}_{ending}"] == 1.0 and found[f"{NEAR.format('strand')}_{ending}"] == 0.0
    )
    assert f"{NEAR.format('helix')}_{ending}_ci_low" in found
    assert np.array_equal(noisy, crystal_with_noise(peptide, NOISE, 400))


def test_structures_that_are_not_finite_are_near_nothing(peptide):
    drawn = shaken(peptide, 0, 40, 0.1)
    drawn[::4, 3] = np.nan
    compared = evaluate(peptide, {"positions_angstrom": drawn}, KNOWN, trained=True)
    found = compared.metrics
    assert (
        found["valid_finite_fraction"]
        == found[NEAR.format("helix")]
        == found["nearest_helix_fraction"]
        == 0.75
    )
    assert all(np.isfinite(value) for value in found.values())
    assert (nearest_states(compared.arrays["samples.rmsd_angstrom"].astype(float)) == -1).sum() == 10


def test_nearest_samples_lie_over_their_states_for_the_figure(peptide):
    drawn = np.concatenate([shaken(peptide, 0, 5, 0.4), shaken(peptide, 1, 5, 0.4)])
    arrays = evaluate(peptide, {"positions_angstrom": drawn}, KNOWN, trained=False).arrays
    assert (arrays["nearest_sample"] < 5).tolist() == [True, False] and not arrays["trained"]
    states, nearest = arrays["state_alphas_angstrom"], arrays["nearest_alphas_angstrom"]
    away = np.sqrt(((nearest - states) ** 2).sum(-1).mean(-1))
    assert away == pytest.approx(arrays["samples.rmsd_angstrom"].min(axis=1), abs=1e-3)
    # The states lie over one another as well.
    apart = np.sqrt(((states[1] - states[0]) ** 2).sum(-1).mean())
    assert apart == pytest.approx(ca_rmsd(states[1:].astype(float), states[0].astype(float))[0], abs=1e-3)
    assert arrays["baseline.rmsd_angstrom"].shape == (2, 10)
