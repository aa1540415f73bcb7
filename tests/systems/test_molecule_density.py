"""Densities of a molecule: a model with a known density through everything that is said of it, and the drawing of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from dig_core.density_estimation import estimate_density, first_of_each, flow_draws
from dig_core.diffusion.processes import VarianceExploding, mean_free
from dig_core.evaluation.tables import metric_rows
from dig_core.evaluation.torsions import torsion_angles
from dig_core.settings.evaluation import Evaluation
from dig_core.settings.validation import validated
from dig_core.systems.molecule_density import DIFFERENCE, density_metrics, flow_states
from dig_core.systems.series import Series
from dig_core.systems.yardstick import Study
from dig_core.units import GAS_CONSTANT_KJ_PER_MOL_K, thermal_energy_kcal_per_mol, thermal_energy_kj_per_mol
from tests.molecules_for_tests import peptide

ALANINE = peptide()[1]
KT = thermal_energy_kj_per_mol(300.0)
STATES = ("phi_negative", "phi_positive")
SETTINGS = {
    "draws": 40, "structures": 8, "reference_structures": 5, "tolerance": 0.1, "divergence": {"kind": "exact"},
    "batch_size": 16, "seed": 3,
}  # fmt: skip


def study() -> Study:
    values = {
        "bins": 20,
        "low_energy_cutoff_kcal_per_mol": 4.0,
        "bootstrap_repeats": 20,
        "tica_lag_ps": 1.0,
        "states": {},
    }
    return Study(validated(Evaluation, values, "evaluation"), 300.0)


def series(share: float, count: int, correlated: bool = False, energies: np.ndarray | None = None) -> Series:
    """Structures of which a share has phi = 60 degrees, the others -60."""
    positive = np.arange(count) % 1000 < round(1000 * share)
    torsions = np.radians(np.stack([np.where(positive, 60.0, -60.0), np.zeros(count)], axis=1))
    return Series(torsions, np.full(count, 1.0 / count), {"": torsions}, energies, correlated)


def drawn(count: int, share: float, true_share: float, seed: int = 0) -> dict[str, np.ndarray]:
    """A model that is exact within both states (E with 63 harmonic degrees of freedom), with its own population of phi > 0.

    Half of the structures with a density are frames of the truth; one draw in ten is strained.
    """
    generator = np.random.default_rng(seed)
    half = count // 2
    state = np.array(STATES)[(np.arange(count) % 2)]
    source = np.repeat(["drawn", "reference"], half)
    energies = KT * generator.gamma(31.5, size=count)
    model, truth = np.array([1 - share, share]), np.array([1 - true_share, true_share])
    which = (state == STATES[1]).astype(int)
    # exp(-E/kT)/Z in each state, Z in proportion to the true population.
    log_p = -energies / KT + np.log(model / truth)[which]
    strained = np.isin(np.arange(count) % 20, [2, 13])
    energies[strained & (source == "drawn")] += 1e4
    draws = np.random.default_rng(seed + 1).random(10_000) < share
    bad = np.arange(10_000) % 10 == 3
    return {
        "log_density_nats": log_p, "potential_energy_kJ_per_mol": energies, "valid": np.ones(count, dtype=bool), "state": state,
        "source": source, "evaluations": np.full(count, 17), "seconds": np.full(count, 3.0), "change_nats": np.zeros(count),
        "standard_error_nats": np.zeros(count), "draws.state": np.where(draws, STATES[1], STATES[0]),
        "draws.valid": np.ones(10_000, dtype=bool), "draws.potential_energy_kJ_per_mol": np.where(bad, 1e4, 80.0),
        "seconds_draws": np.array(100.0),
    }  # fmt: skip


@pytest.fixture(scope="module")
def found():
    energies = KT * np.random.default_rng(9).gamma(31.5, size=50_000)
    compared = {
        "samples": series(0.03, 10_000),
        "training": series(0.02, 10_000, True),
        "reference": series(0.02, 50_000, True, energies),
    }
    return density_metrics(drawn(400, 0.05, 0.02), study(), compared, None)


def odds(share: float) -> float:
    return thermal_energy_kcal_per_mol(300.0) * np.log((1 - share) / share)


def test_a_model_right_within_its_states_follows_the_energy(found):
    for suffix in ("", "_reference"):
        assert found[f"log_p_energy_correlation{suffix}"] == pytest.approx(1.0)
        assert found[f"log_p_energy_slope_kT{suffix}"] == pytest.approx(1.0)
        assert found[f"log_weight_standard_deviation_nats{suffix}"] == pytest.approx(0.0, abs=1e-9)
    assert found["log_weight_standard_deviation_nats_unfiltered"] > 100.0
    assert found["density_structures_unfiltered"] == 100 and 75 < found["density_structures"] <= 100


def test_free_energies_from_densities_are_the_truth_though_the_populations_are_wrong(found):
    for ending in ("_by_density", "_by_reweighting"):
        error = found[f"{DIFFERENCE}{ending}_standard_error"]
        assert found[f"{DIFFERENCE}{ending}"] == pytest.approx(odds(0.02), abs=4 * error) and error < 0.05
        assert abs(found[f"{DIFFERENCE}{ending}"] - odds(0.05)) > 5 * error
    assert found[f"{DIFFERENCE}_of_flow"] == pytest.approx(odds(0.05), abs=0.1)
    assert found[DIFFERENCE] == pytest.approx(odds(0.03)) and found[
        f"{DIFFERENCE}_reference"
    ] == pytest.approx(odds(0.02))
    exact = thermal_energy_kcal_per_mol(300.0) / np.sqrt(10_000 * 0.03 * 0.97)
    assert found[f"{DIFFERENCE}_standard_error"] == pytest.approx(exact, rel=1e-3)


def test_effective_size_unphysical_share_and_entropy(found):
    assert found["unphysical_fraction"] == pytest.approx(0.1)
    # Weights: 0.98/0.95 in the one state, 0.02/0.05 in the other, 0 for a tenth.
    expected = 0.9 / (0.95 * (0.98 / 0.95) ** 2 + 0.05 * (0.02 / 0.05) ** 2)
    assert found["effective_sample_size_fraction"] == pytest.approx(expected, rel=0.01)
    # -<ln p> = 31.5 up to the constant of Z, which is 1 here.
    gas = GAS_CONSTANT_KJ_PER_MOL_K
    assert found["entropy_kJ_per_mol_K"] == pytest.approx(
        31.5 * gas, abs=5 * found["entropy_kJ_per_mol_K_standard_error"]
    )
    assert found["cross_entropy_kJ_per_mol_K_reference"] > 0
    rows = {str(row["metric"]): row for row in metric_rows(found)}
    assert rows["log_p_energy_correlation"]["reference"] == pytest.approx(1.0)


def test_no_densities_and_no_energies():
    compared = {
        "samples": series(0.03, 1000),
        "training": series(0.02, 1000, True),
        "reference": series(0.02, 1000, True),
    }
    assert density_metrics(None, study(), compared, None) == {}
    arrays = {key: value for key, value in drawn(40, 0.05, 0.02).items() if not key.endswith("kJ_per_mol")}
    bare = density_metrics(arrays, study(), compared, None)
    assert {"entropy_kJ_per_mol_K", DIFFERENCE, f"{DIFFERENCE}_of_flow"} <= set(bare)
    assert not [
        key for key in bare if key.startswith(("log_p_energy", "effective")) or key.endswith("_by_density")
    ]
    compared["reference"] = series(0.02, 1000, True, KT * np.random.default_rng(1).gamma(31.5, size=1000))
    broken = drawn(40, 0.05, 0.02)
    broken["potential_energy_kJ_per_mol"][0] = np.nan
    whole = density_metrics(broken, study(), compared, None)
    assert whole["density_structures_unfiltered"] == 9 and np.isfinite(whole["entropy_kJ_per_mol_K"])
    broken["potential_energy_kJ_per_mol"][broken["source"] == "reference"] = 1.0
    assert "log_p_energy_correlation_reference" not in density_metrics(broken, study(), compared, None)
    rare = drawn(40, 0.05, 0.02)
    rare["state"] = np.full(40, STATES[0])
    assert f"{DIFFERENCE}_by_density" not in density_metrics(rare, study(), compared, None)


def test_states_by_the_sign_of_phi():
    positions = ALANINE["positions_angstrom"][None]
    phi = np.degrees(torsion_angles(positions, ALANINE["backbone_torsions"].reshape(-1, 4)))[0, 0]
    both = np.concatenate([positions, positions * [-1.0, 1.0, 1.0]])
    expected = [STATES[int(phi > 0)], STATES[int(phi < 0)]]
    assert flow_states(both, ALANINE).tolist() == expected
    assert set(flow_states(both, {"backbone_torsions": np.zeros((0, 2, 4), dtype=int)})) == {"all"}


def test_rare_states_get_a_quarter_while_they_have_it():
    states = np.array(["a"] * 90 + ["b"] * 10)
    chosen = first_of_each(states, 20)
    assert (states[chosen] == "b").sum() == 5 and len(chosen) == 20
    assert chosen[:15].tolist() == list(range(15)) and chosen[15:].tolist() == list(range(90, 95))
    assert (states[first_of_each(states, 80)] == "b").sum() == 10
    assert len(first_of_each(np.array(["a"] * 30), 12)) == 12
    assert len(first_of_each(np.array(["b"] * 30 + ["a"]), 12)) == 12


SCALE, WIDTH = 1.6, 0.3


def normal_model():
    """The exact model of structures whose coordinates are independent, N(0, WIDTH^2) in units of SCALE."""
    process = VarianceExploding(0.02, 40.0, projection=mean_free)

    def score(state, time):
        return {"positions": -state["positions"] / (WIDTH**2 + process.sigma(time)[:, None, None] ** 2)}

    def in_angstrom(state):
        return (state["positions"] * SCALE).numpy().astype(np.float32)

    return SimpleNamespace(
        score=score, process={"positions": process}, scale_angstrom=SCALE, shape={"positions": (22, 3)}, device="cpu",
        positions_angstrom=in_angstrom,
    )  # fmt: skip


def exact_log_density(positions: np.ndarray) -> np.ndarray:
    """In Angstrom, on the 63 dimensions without the centre."""
    centred = positions - positions.mean(axis=1, keepdims=True)
    variance = SCALE**2 * (WIDTH**2 + 0.02**2)
    return -0.5 * np.sum(centred**2, axis=(1, 2)) / variance - 31.5 * np.log(2 * np.pi * variance)


def harmonic(positions: np.ndarray):
    """The energy whose equilibrium the exact model is (but for the smallest noise)."""
    return -KT * exact_log_density(positions), None


@pytest.fixture(scope="module")
def estimated():
    frames = np.random.default_rng(0).normal(5.0, SCALE * WIDTH, (50, 22, 3)).astype(np.float32)
    weights = np.zeros(50)
    weights[10:20] = 0.1
    reference = {"positions_angstrom": frames, "weights": weights}
    return estimate_density(normal_model(), ALANINE, reference, harmonic, SETTINGS)


def test_the_law_of_the_draws_is_that_of_the_density(estimated):
    draws = estimated["draws.positions_angstrom"]
    variance = draws.astype(float).var(axis=(0,)).sum() / 63
    assert variance == pytest.approx(SCALE**2 * (WIDTH**2 + 0.02**2), rel=5 * np.sqrt(2 / (63 * 40)))
    assert (
        np.abs(estimated["log_density_nats"] - exact_log_density(estimated["positions_angstrom"])).max() < 0.1
    )
    entropy = 31.5 * np.log(2 * np.pi * np.e * SCALE**2 * (WIDTH**2 + 0.02**2))
    of_draws = -exact_log_density(draws)
    assert of_draws.mean() == pytest.approx(entropy, abs=5 * of_draws.std() / np.sqrt(40))


def test_frames_are_drawn_by_weight_and_the_first_draws_of_each_state_are_taken(estimated):
    drawn, index = estimated["source"] == "drawn", estimated["index"]
    assert drawn.sum() == 8 and set(index[~drawn]) <= set(range(10, 20))
    assert np.array_equal(index[drawn], first_of_each(estimated["draws.state"], 8))
    assert np.array_equal(
        estimated["potential_energy_kJ_per_mol"], harmonic(estimated["positions_angstrom"])[0]
    )
    assert {len(estimated[key]) for key in ("seconds", "evaluations", "change_nats", "valid", "state")} == {
        13
    }


def test_draws_do_not_depend_on_the_batch():
    whole = flow_draws(normal_model(), SETTINGS)
    small = flow_draws(normal_model(), SETTINGS | {"batch_size": 7})
    assert np.abs(whole - small).max() < SCALE * 0.02
    assert np.abs(whole - flow_draws(normal_model(), SETTINGS | {"seed": 4})).max() > 1.0


def test_probes_without_energies():
    reference = {
        "positions_angstrom": np.random.default_rng(0).normal(size=(5, 22, 3)).astype(np.float32),
        "weights": np.ones(5) / 5,
    }
    probing = SETTINGS | {"divergence": {"kind": "hutchinson", "probes": 8}}
    found = estimate_density(normal_model(), ALANINE, reference, None, probing)
    assert "potential_energy_kJ_per_mol" not in found and "draws.potential_energy_kJ_per_mol" not in found
    # Every direction of an isotropic field is alike: the probes vary with their projection alone.
    exact = exact_log_density(found["positions_angstrom"])
    assert (np.abs(found["log_density_nats"] - exact) < 5 * found["standard_error_nats"] + 0.1).all()
    assert found["standard_error_nats"].max() > 0


def test_a_study_without_densities_is_told():
    with pytest.raises(ValueError, match="expected density in the study; got null"):
        estimate_density(normal_model(), ALANINE, {}, None, None)
