"""What is folded, where the answer is known: a helix as the folded structure, strands as unfolded ones."""

import numpy as np
import pytest

from dig_core.data.backbone_frames import condensed
from dig_core.settings.protein_evaluation import Folding, ProteinLandscapes
from dig_core.systems.protein_folding import STABILITY, distances, folding_metrics
from dig_core.systems.series import Series, Sources
from dig_core.systems.yardstick import Study
from tests.backbones_for_tests import HELIX, STRAND, built

FOLDED, UNFOLDED = built([HELIX] * 10), built([STRAND] * 10)
PROTEIN = {
    "positions_angstrom": FOLDED.positions[0],
    "first_atom_of_residue": FOLDED.first_atom_of_residue,
}
CORNERS = FOLDED.first_atom_of_residue[:, None] + np.arange(3)
SETTINGS = ProteinLandscapes(
    bins=12, low_energy_cutoff_kcal_per_mol=4.0, bootstrap_repeats=50, tica_lag_ps=2.0, states={},
    folded=Folding(within_angstrom=1.5, unfolded_beyond_angstrom=4.0),
)  # fmt: skip


def frames(is_folded: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Structures in these states with noise, moved as a whole."""
    random = np.random.default_rng(seed)
    ideal = np.where(is_folded[:, None, None], FOLDED.positions, UNFOLDED.positions)
    noise = random.normal(0.0, 0.1, ideal.shape) + random.normal(0.0, 9.0, (len(ideal), 1, 3))
    return {"positions_angstrom": (ideal + noise).astype(np.float32)}


def hops(stay: int, count: int, share: float = 0.5) -> np.ndarray:
    """Folded for `stay` x `share`, unfolded for the rest, again and again."""
    return np.arange(count) % stay < share * stay


def replica(arrays: dict) -> dict[str, np.ndarray]:
    """A run of plain dynamics with these frames."""
    count = len(arrays["positions_angstrom"])
    return arrays | {"backbone_indices": CORNERS, "time_ps": np.arange(1.0, count + 1.0)}


def metrics(training: np.ndarray, reference: np.ndarray, samples: np.ndarray, runs=None) -> dict:
    own = [frames(states, seed) for seed, states in enumerate((samples, training, reference))]
    series = {
        name: Series(
            np.zeros((len(s), 1)), np.full(len(s), 1 / len(s)), {}, None, correlated=name != "samples"
        )
        for name, s in (("samples", samples), ("training", training), ("reference", reference))
    }
    sources = Sources(PROTEIN, own[0], own[1], own[2])
    return folding_metrics(
        sources, series, runs or [replica(own[1]), replica(own[2])], Study(SETTINGS, 340.0)
    )


def test_populations_stability_and_nearest_samples(capsys):
    found = metrics(hops(50, 1000, 0.8), hops(40, 800, 0.6), hops(100, 400, 0.75))
    for ending, share in (("", 0.75), ("_training", 0.8), ("_reference", 0.6)):
        assert found[f"population_folded{ending}"] == pytest.approx(share)
        assert found[f"population_unfolded{ending}"] == pytest.approx(1 - share)
        stability = 0.0019872 * 340.0 * np.log(share / (1 - share))
        assert found[f"{STABILITY}{ending}"] == pytest.approx(stability, rel=1e-3)
        assert (
            found[f"{STABILITY}{ending}_ci_low"]
            <= stability + 1e-3
            <= found[f"{STABILITY}{ending}_ci_high"] + 2e-3
        )
    assert found["population_folded_ci_low"] < 0.75 < found["population_folded_ci_high"]
    assert found["within_1.5_angstrom_folded_fraction"] == 0.75 and found["best_rmsd_folded_angstrom"] < 0.2
    # 20 periods each: from the first frame on, the last unfolding has no folding behind it.
    assert (found["folding_events_training"], found["unfolding_events_training"]) == (19, 20)
    assert found["populations_converged"] is True and "have converged" in capsys.readouterr().out


def test_a_free_energy_of_the_less_stable_fold_is_negative_and_so_is_its_interval():
    found = metrics(hops(50, 1000), hops(50, 1000), hops(100, 1000, 0.1))
    assert found[f"{STABILITY}_ci_low"] < found[STABILITY] < found[f"{STABILITY}_ci_high"] < 0.0


def test_few_events_in_either_replica_are_not_enough(capsys):
    found = metrics(hops(50, 1000), hops(200, 1000), hops(2, 100))
    assert found["folding_events_reference"] == 4 and found["folding_events_training"] == 19
    assert found["populations_converged"] is False and "have not converged" in capsys.readouterr().out


def test_events_that_the_temperature_of_the_study_never_sees_do_not_count_for_its_populations(capsys):
    """A walker that flickers at the higher temperature, beside one that stays folded at the study's: twenty events there, none here."""
    rmsd = np.stack([np.ones(100), np.where(np.arange(100) % 5 < 3, 1.0, 6.0)], axis=1)
    walkers = np.tile([0, 1], (100, 1))
    run = replica(frames(np.ones(100, dtype=bool), 2)) | {"walkers": walkers, "rmsd_angstrom": rmsd}
    found = metrics(hops(100, 100, 1.0), hops(100, 100, 1.0), hops(2, 100), runs=[run, run])
    assert found["folding_events_training"] == 19 and found["unfolding_events_training"] == 20
    assert found["folding_events_training_at_the_temperature"] == 0
    assert found["populations_converged"] is False and "have not converged" in capsys.readouterr().out
    # Nothing is known of the error of its populations then.
    assert "population_folded_training" in found and "population_folded_training_ci_low" not in found
    assert "population_folded_ci_low" in found


def test_events_are_seen_by_walkers_that_come_back_in_the_other_state():
    """Two walkers take turns at the study's temperature for ten rounds each; each changes its state while it is away."""
    turns = np.arange(400) // 10
    walkers = np.stack([turns % 2, 1 - turns % 2], axis=1)
    rmsd = np.where((turns // 2) % 2 == 0, 1.0, 6.0)[:, None].repeat(2, axis=1)
    run = replica(frames(rmsd[:, 0] < 2.0, 2)) | {"walkers": walkers, "rmsd_angstrom": rmsd}
    found = metrics(hops(2, 100), hops(2, 100), hops(2, 100), runs=[run, run])
    # Each walker is there in 20 stretches, folded and unfolded in turn: 19 changes, ten of them unfolding.
    assert found["unfolding_events_training_at_the_temperature"] == 20
    assert found["folding_events_training_at_the_temperature"] == 18


def test_what_never_unfolds_has_no_stability():
    found = metrics(hops(50, 1000, 1.0), hops(50, 1000), hops(2, 100))
    assert f"{STABILITY}_training" not in found and found["population_folded_training"] == 1.0
    assert found["unfolding_events_training"] == 0 and found["populations_converged"] is False
    assert all(np.isfinite(value) for value in found.values())


def test_structures_that_are_not_finite_are_in_no_state():
    states = hops(2, 100)
    own = frames(states, 0)
    own["positions_angstrom"][:10, 3] = np.nan
    series = Series(np.zeros((100, 1)), np.full(100, 0.01), {}, None, correlated=False)
    runs = [replica(frames(states, 1))] * 2
    sources = Sources(PROTEIN, own, frames(states, 1), frames(states, 1))
    compared = dict.fromkeys(("samples", "training", "reference"), series)
    found = folding_metrics(sources, compared, runs, Study(SETTINGS, 340.0))
    assert found["population_folded"] == found["population_unfolded"] == 0.45


def test_events_of_tempering_are_those_of_walkers_condensed_or_not():
    """Two walkers change places all the time: each stays what it is, whatever one temperature shows."""
    walkers = np.stack([np.arange(100) % 2, 1 - np.arange(100) % 2], axis=1)
    rmsd = np.where(walkers == 0, 1.0, 6.0)
    run = replica(frames(walkers[:, 0] == 0, 2)) | {"walkers": walkers, "rmsd_angstrom": rmsd}
    for own in (run, condensed(run)):
        found = metrics(hops(2, 100), hops(2, 100), hops(2, 100), runs=[own, own])
        assert {found[f"{kind}_events_{name}"] for kind in ("folding", "unfolding") for name in ("training", "reference")} == {0}  # fmt: skip


def test_distances_of_condensed_frames_are_those_of_the_frames():
    run = replica(frames(hops(4, 12), 3))
    native = FOLDED.alpha[0]
    np.testing.assert_allclose(distances(condensed(run), native), distances(run, native), atol=2e-3)
