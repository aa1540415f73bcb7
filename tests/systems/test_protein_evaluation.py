"""The evaluation of proteins against a process whose distribution is known: two states of the torsions that follow one another."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from dig_core.settings.evaluation import Evaluation
from dig_core.systems.protein_evaluation import evaluate, left_handed_share, sequence_blind
from dig_core.systems.series import Sources, coordinates
from dig_core.systems.yardstick import Study
from tests.backbones_for_tests import HELIX, STRAND, built
from tests.proteins_for_tests import peptide

AAA, AGA, AAAA, AA = (
    peptide(f"ACE-{s}-NME")[1] for s in ("ALA-ALA-ALA", "ALA-GLY-ALA", "ALA-ALA-ALA-ALA", "ALA-ALA")
)
STATES = np.array([[HELIX] * 3, [STRAND] * 3])
SETTINGS = Evaluation(bins=12, low_energy_cutoff_kcal_per_mol=4.0, bootstrap_repeats=20, tica_lag_ps=2.0, states={})  # fmt: skip


def study() -> Study:
    """Settings with random numbers from their start."""
    return Study(SETTINGS, 300.0)


def backbones(torsions_deg: np.ndarray, glycines: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Frames [frames, atoms, 3] with equal weights, from phi and psi [frames, residues, 2]."""
    positions = np.concatenate(
        [built([tuple(own) for own in frame], glycines).positions for frame in torsions_deg]
    )
    weights = np.full(len(positions), 1.0 / len(positions))
    return {"positions_angstrom": positions, "weights": weights, "frame_interval_ps": np.array(1.0)}  # fmt: skip


def walk(seed: int, frames: int, residues: int = 3, stay: float = 0.9) -> np.ndarray:
    """Torsions of a chain that hops between both states, in degrees; `stay` 0.5: independent frames of the same distribution."""
    random = np.random.default_rng(seed)
    state = np.cumsum(random.random(frames) > stay) % 2
    return STATES[state][:, :1].repeat(residues, axis=1) + random.normal(0.0, 15.0, (frames, residues, 2))


@cache
def sources() -> Sources:
    """A training replica, a held-out one, and as good samples as there can be."""
    training, reference = (backbones(walk(seed, 700)) for seed in (1, 2))
    return Sources(AAA, backbones(walk(3, 400, stay=0.5)), training, reference)


@cache
def of_the_reference() -> dict:
    """Metrics of samples from the distribution of the reference."""
    return evaluate(sources(), {}, study()).metrics


def test_samples_of_the_same_distribution_are_as_good_as_the_noise_floor():
    found = of_the_reference()
    for key in ("jensen_shannon_nats", "free_energy_mae_floored_kcal_per_mol"):
        assert found[key] < 1.5 * found[f"{key}_noise_floor"]
    for key in ("coverage", "precision"):
        assert found[key] == pytest.approx(found[f"{key}_noise_floor"], abs=0.15)
    for key in ("jensen_shannon_nats", "coverage", "precision"):
        assert found[f"{key}_ci_low"] <= found[key] <= found[f"{key}_ci_high"]
    assert found["valid_fraction"] == pytest.approx(found["valid_fraction_reference"], abs=0.1)
    for key in ("radius_of_gyration_angstrom", "strand_fraction", "helix_fraction"):
        assert found[key] == pytest.approx(found[f"{key}_reference"], abs=0.1)


def test_the_reference_itself_is_nearly_without_fault():
    """Its frames as samples: what is left is the weight of bins above the cutoff."""
    itself = replace(sources(), samples=sources().reference)
    found = evaluate(itself, {}, study()).metrics
    assert found["jensen_shannon_nats"] == pytest.approx(0.0, abs=1e-9)
    assert found["coverage"] == 1.0 and found["precision"] > 0.99
    assert found["free_energy_mae_kcal_per_mol"] == pytest.approx(0.0, abs=1e-9)
    assert found["radius_of_gyration_angstrom"] == pytest.approx(
        found["radius_of_gyration_angstrom_reference"]
    )


def test_left_handed_residues_are_counted_without_glycine():
    """phi of the second and third residue: 60 degrees in the second of half of the frames."""
    turned = np.zeros((40, 3, 2)) + STATES[0]
    turned[:20, 1, 0] = 60.0
    own = backbones(turned)["positions_angstrom"]
    assert left_handed_share(own, AAA) == 0.25
    glycine = backbones(turned, glycines=(1,))["positions_angstrom"]
    assert left_handed_share(glycine, AGA) == 0.0


def test_what_the_network_was_given_is_scored_beside_what_it_draws():
    """A few frames of one state cover less than all of the replica; structures of the pre-training are a row of their own."""
    few = {**sources().training, **backbones(walk(1, 700)[:40])}
    given = replace(sources(), trained_frames=few, exploration=sources().reference)
    found = evaluate(given, {}, study()).metrics
    assert found["coverage_trained_frames"] < 0.7 * found["coverage_noise_floor"]
    assert found["jensen_shannon_nats_exploration"] < found["jensen_shannon_nats_trained_frames"]
    assert "coverage_trained_frames" not in of_the_reference()


def test_scrambled_torsions_are_far_from_the_noise_floor():
    random = np.random.default_rng(4)
    scrambled = replace(sources(), samples=backbones(random.uniform(-180.0, 180.0, (400, 3, 2))))
    found, good = evaluate(scrambled, {}, study()).metrics, of_the_reference()
    assert found["jensen_shannon_nats"] > 3 * max(found["jensen_shannon_nats_noise_floor"], 0.05)
    assert found["precision"] < 0.5 < good["precision"]
    assert found["valid_fraction"] < good["valid_fraction"] - 0.1
    assert found["jensen_shannon_nats_noise_floor"] == pytest.approx(
        good["jensen_shannon_nats_noise_floor"], abs=0.03
    )


def test_mirror_images_have_another_handedness():
    mirrored = backbones(walk(5, 100))
    mirrored["positions_angstrom"] = -mirrored["positions_angstrom"]
    found = evaluate(replace(sources(), samples=mirrored), {}, study()).metrics
    assert found["valid_chirality_fraction"] == 0.0 == found["valid_fraction"]
    assert found["valid_finite_fraction"] == found["valid_chirality_fraction_reference"] == 1.0
    assert found["jensen_shannon_nats"] > 0.3


def test_structures_that_are_not_finite_are_counted_and_left_out():
    broken = {name: own.copy() for name, own in sources().samples.items()}
    broken["positions_angstrom"][::4, 3] = np.nan
    found = evaluate(replace(sources(), samples=broken), {}, study()).metrics
    assert found["valid_finite_fraction"] == 0.75
    assert all(np.isfinite(value) for value in found.values())
    assert found["radius_of_gyration_angstrom"] == pytest.approx(
        of_the_reference()["radius_of_gyration_angstrom"], abs=0.1
    )


def test_each_other_target_counts_the_same_in_the_sequence_blind_baseline():
    """300 frames in the one state and 100 in the other; a protein of another length tells nothing here."""
    still = np.broadcast_to(STATES[0], (300, 3, 2)), np.broadcast_to(STATES[1], (100, 3, 2))
    others = {
        "AAA": (AAA, backbones(still[0])),
        "AGA": (AGA, backbones(still[1], glycines=(1,))),
        "AAAA": (AAAA, backbones(walk(6, 20, residues=4))),
    }
    plane = coordinates(AAA, sources().training, SETTINGS.tica_lag_ps)
    blind = sequence_blind(others, plane)
    assert blind.torsions.shape == (400, 4) and blind.weights.sum() == pytest.approx(1.0)
    strands = np.degrees(blind.torsions[:, 0]) > 0.0  # psi_1
    assert strands.sum() == 100 and blind.weights[strands].sum() == pytest.approx(0.5)
    assert sequence_blind({"AAAA": others["AAAA"]}, plane) is None and sequence_blind({}, plane) is None

    found = evaluate(sources(), others, study()).metrics
    assert found["jensen_shannon_nats_baseline_sequence_blind"] > found["jensen_shannon_nats"]
    assert not [key for key in of_the_reference() if "baseline" in key]


def test_two_residues_have_slow_coordinates_like_any_other_number():
    """Their two torsions are psi of the first and phi of the second, no phi and psi of one residue."""
    frames = [backbones(walk(seed, 200, residues=2)) for seed in (1, 2, 3)]
    evaluated = evaluate(Sources(AA, *frames), {}, study())
    assert not evaluated.coordinates.is_torsion_plane and "jensen_shannon_nats_tica" not in evaluated.metrics
    assert evaluated.metrics["jensen_shannon_nats"] < 0.3
