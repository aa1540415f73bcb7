"""The evaluation of a molecule on ensembles whose torsions, weights and energies are known."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import wasserstein_distance

from dig_core.evaluation.drawn import profiles
from dig_core.evaluation.energy_distributions import energy_reference
from dig_core.evaluation.sampler_quality import sampler_quality
from dig_core.evaluation.tables import split_key
from dig_core.evaluation.tight_reference import TightReference
from dig_core.evaluation.torsions import graph_torsions, torsion_angles
from dig_core.files import save_arrays
from dig_core.settings.evaluation import Evaluation
from dig_core.settings.validation import validated
from dig_core.systems.evaluation_arrays import evaluation_arrays
from dig_core.systems.metrics import cost_metrics
from dig_core.systems.molecule import build
from dig_core.systems.molecule_evaluation import evaluate
from dig_core.systems.series import Sources, of_target, read_sources, with_energies
from dig_core.systems.yardstick import Study

ENERGY = "potential_energy_kJ_per_mol"
STATES = {
    "left": {"phi_deg": [-180.0, 0.0], "psi_deg": [-180.0, 180.0]},
    "right": {"phi_deg": [0.0, 180.0], "psi_deg": [-180.0, 180.0]},
    "positive": {"phi_deg": [0.0, 170.0], "psi_deg": [-180.0, 180.0]},
}


@cache
def molecule() -> dict[str, np.ndarray]:
    data = {"source": "simulate", "force_field": ("amber99sbildn.xml", "amber99_obc.xml")}
    return build({"sequence": "ACE-ALA-NME"}, data)[1]


def turned(torsions_rad: np.ndarray) -> np.ndarray:
    """Structures with these phi and psi: the atoms behind each bond are turned about it."""
    own = molecule()
    positions = np.repeat(own["positions_angstrom"][None].astype(float), len(torsions_rad), axis=0)
    for number, atoms in enumerate(own["backbone_torsions"][0]):
        behind = beyond(own["bonds"].tolist(), int(atoms[1]), int(atoms[2]))
        change = torsions_rad[:, number] - torsion_angles(positions, atoms[None])[:, 0]
        origin = positions[:, [atoms[2]]]
        axis = positions[:, atoms[2]] - positions[:, atoms[1]]
        turn = Rotation.from_rotvec(change[:, None] * axis / np.linalg.norm(axis, axis=1, keepdims=True))
        moved = np.einsum("fij,faj->fai", turn.as_matrix(), positions[:, behind] - origin)
        positions[:, behind] = moved + origin
    return positions.astype(np.float32)


def beyond(bonds: list[list[int]], near: int, far: int) -> list[int]:
    found, waiting = {near, far}, [far]
    while waiting:
        atom = waiting.pop()
        for i, j in bonds:
            if atom in (i, j) and (other := i + j - atom) not in found:
                found.add(other)
                waiting.append(other)
    return sorted(found - {near, far})


def two_states(count: int, share_right: float, seed: int) -> np.ndarray:
    """Torsions (radians) of normal distributions of 20 degrees about (-90, 100) and (60, 0) degrees."""
    generator = np.random.default_rng(seed)
    right = generator.random(count) < share_right
    centres = np.where(right[:, None], [60.0, 0.0], [-90.0, 100.0])
    return np.radians(centres + generator.normal(0.0, 20.0, (count, 2)))


def frames(count: int, share_right: float, seed: int, **more: np.ndarray) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "positions_angstrom": turned(two_states(count, share_right, seed)),
        "weights": np.full(count, 1.0 / count),
        ENERGY: generator.normal(0.0, 10.0, count),
        "frame_interval_ps": np.array(0.2),
        **more,
    }


def samples(count: int, share_right: float, seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    drawn = frames(count, share_right, seed)
    drawn = {name: drawn[name] for name in ("positions_angstrom", ENERGY)}
    return drawn | {ENERGY: drawn[ENERGY] + shift, "seconds_sample": np.array(3.0)}


def study(**changes) -> Study:
    values = {
        "bins": 20,
        "low_energy_cutoff_kcal_per_mol": 3.0,
        "bootstrap_repeats": 20,
        "tica_lag_ps": 0.2,
        "states": STATES,
    }
    return Study(validated(Evaluation, values | changes, "evaluation"), 300.0)


@cache
def sources() -> Sources:
    """Samples, training and reference replica of one distribution: 0.3 of it in the state `right`."""
    competitor = frames(2000, 0.3, 4, cpu_seconds=np.array(12.0))
    edges = np.linspace(-180.0, 180.0, 101)
    blocks = [
        np.histogram2d(*np.degrees(two_states(20000, 0.3, 10 + b)).T, bins=(edges, edges))[0]
        for b in range(6)
    ]
    tight = TightReference(edges, np.array(blocks), np.repeat([1, 2], 3))
    return Sources(
        molecule(), samples(2000, 0.3, 1), frames(4000, 0.3, 2), frames(4000, 0.3, 3), competitor, tight
    )


@cache
def metrics() -> dict[str, float]:
    return evaluate(sources(), study()).metrics


def changed(**changes) -> Sources:
    return Sources(**{name: getattr(sources(), name) for name in Sources.__dataclass_fields__} | changes)


def test_torsions_are_those_that_were_set():
    wanted = two_states(50, 0.5, 0)
    atoms = molecule()["backbone_torsions"].reshape(-1, 4)
    difference = torsion_angles(turned(wanted), atoms) - wanted
    assert np.abs(np.angle(np.exp(1j * difference))).max() < 1e-4
    square = np.array([[1.0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    cases = np.stack([square, square * [1, 1, -1], square, square])
    cases[1, 3], cases[2, 3], cases[3, 3] = (-1, 1, 0), (0, 1, 1), (np.nan, 0, 0)
    angles = torsion_angles(cases, np.array([[0, 1, 2, 3]]))[:, 0]
    assert np.allclose(angles[:3], [0, np.pi, -np.pi / 2])
    assert np.isnan(angles[3])


def test_torsions_agree_with_mdtraj():
    import mdtraj

    topology, _ = build(
        {"sequence": "ACE-ALA-NME"}, {"source": "simulate", "force_field": ("amber99sbildn.xml",)}
    )
    positions, atoms = turned(two_states(20, 0.5, 5)), molecule()["backbone_torsions"].reshape(-1, 4)
    trajectory = mdtraj.Trajectory(positions / 10.0, mdtraj.Topology.from_openmm(topology))
    assert np.allclose(
        mdtraj.compute_dihedrals(trajectory, atoms), torsion_angles(positions, atoms), atol=2e-3
    )


def test_torsions_of_a_graph():
    bonds, numbers = np.array([[0, 1], [1, 2], [2, 3], [0, 4]]), np.array([6, 6, 6, 6, 1])
    assert graph_torsions(bonds, numbers).tolist() == [[0, 1, 2, 3]]
    assert graph_torsions(np.array([[0, 1], [1, 2], [2, 0]]), np.array([6, 6, 6])).shape == (0, 4)
    assert graph_torsions(np.array([[0, 1], [1, 2], [2, 3]]), np.array([1, 8, 8, 1])).tolist() == [
        [0, 1, 2, 3]
    ]


def test_samples_of_the_right_distribution_are_as_good_as_the_noise_floor():
    found = metrics()
    assert found["jensen_shannon_nats"] == pytest.approx(found["jensen_shannon_nats_noise_floor"], abs=0.02)
    assert found["coverage"] == pytest.approx(found["coverage_noise_floor"], abs=0.07)
    assert found["jensen_shannon_nats_tight_reference"] < 0.05
    assert found["jensen_shannon_nats_against_tight_reference"] < 0.04
    for key in (
        "coverage",
        "coverage_tica",
        "jensen_shannon_nats_noise_floor",
        "energy_wasserstein_kJ_per_mol",
    ):
        assert 0 <= found[f"{key}_ci_low"] <= found[key] <= found[f"{key}_ci_high"], key


def test_populations_are_those_that_were_drawn():
    found = metrics()
    for ending in ("", "_training", "_reference", "_equal_cost_md", "_tight_reference"):
        key = f"population_right{ending}"
        # 0.13 % of the right state lie below phi = 0.
        assert abs(found[key] - 0.3) < 4 * found[f"{key}_standard_error"] + 1e-3, key
    assert found["population_right_standard_error"] == pytest.approx(np.sqrt(0.3 * 0.7 / 2000), rel=0.05)
    assert found["population_right_training_standard_error"] == pytest.approx(np.sqrt(0.21 / 4000), rel=0.5)
    assert found["population_right_tight_reference_standard_error"] == pytest.approx(
        np.sqrt(0.21 / 120000), rel=0.8
    )


def test_a_missed_state_hurts():
    found = evaluate(changed(samples=samples(2000, 0.0, 1)), study()).metrics
    right = metrics()
    assert found["population_right"] < 0.002
    assert found["coverage"] < right["coverage"] - 0.15
    floored = "free_energy_mae_floored_kcal_per_mol"
    assert found[floored] > right[floored] + 0.3
    assert found["jensen_shannon_nats"] > 0.08


def test_a_smeared_state_has_its_population_but_little_of_it_where_the_reference_is():
    """Half of the right state is moved by 160 degrees in psi, to where the reference never is."""
    torsions = two_states(2000, 0.3, 1)
    right = np.flatnonzero(torsions[:, 0] > 0)
    torsions[right[::2], 1] += np.radians(160.0)
    drawn = samples(2000, 0.3, 1) | {"positions_angstrom": turned(torsions)}
    found, before = evaluate(changed(samples=drawn), study()).metrics, metrics()
    assert found["population_right"] == pytest.approx(before["population_right"], abs=0.003)
    assert before["state_precision_right"] > 0.9 and before["state_precision_right_training"] > 0.9
    assert found["state_precision_right"] == pytest.approx(before["state_precision_right"] / 2, abs=0.05)
    assert found["state_precision_left"] == before["state_precision_left"]


def test_mirror_images_broken_and_missing_structures_are_counted():
    drawn = samples(1000, 0.3, 1)
    positions = drawn["positions_angstrom"].copy()
    positions[:300] *= np.array([1, 1, -1], dtype=np.float32)
    positions[300:310] = np.nan
    energies = np.where(np.isfinite(positions).all(axis=(1, 2)), drawn[ENERGY], np.inf)
    broken = drawn | {"positions_angstrom": positions, ENERGY: energies}
    found = evaluate(changed(samples=broken), study()).metrics
    assert found["mirror_image_fraction"] == pytest.approx(0.3)
    assert found["valid_finite_fraction"] == pytest.approx(0.99)
    assert found["mirror_image_fraction_reference"] == 0.0
    assert found["mirror_image_fraction_ci_low"] < 0.3 < found["mirror_image_fraction_ci_high"]
    assert np.isfinite(list(found.values())).all()
    json.dumps(found, allow_nan=False)


def test_energies_that_are_shifted():
    found = evaluate(changed(samples=samples(2000, 0.3, 3, shift=10.0)), study()).metrics
    assert found["energy_median_kJ_per_mol"] - found["energy_median_kJ_per_mol_reference"] == pytest.approx(
        10, abs=1
    )
    assert found["energy_wasserstein_kJ_per_mol"] == pytest.approx(10.0, abs=1.0)
    # P(x + 10 <= 23.3) for a normal distribution of standard deviation 10.
    assert found["energy_below_reference_p99_fraction"] == pytest.approx(0.908, abs=0.02)


def relaxed_samples() -> dict[str, np.ndarray]:
    """As drawn from the right distribution; one in twenty kept its positions."""
    own = samples(2000, 0.3, 7) | {"relaxed": np.arange(2000) % 20 > 0, "seconds_relax": np.array(4.0)}
    return own | {"energy_calls": np.array(4000), "force_calls": np.array(170_000)}


def test_relaxed_samples_are_scored_beside_those_before_and_change_no_other_number():
    own = changed(samples=samples(2000, 0.3, 3, shift=10.0))
    before = evaluate(own, study()).metrics
    together = evaluate(replace(own, relaxed=relaxed_samples()), study())
    found = together.metrics
    assert {key: value for key, value in found.items() if "_relaxed" not in key} == before
    for key in before:
        if key.startswith(
            ("coverage", "jensen", "energy_", "valid_", "mirror", "population", "state_precision")
        ):
            metric, series, quantity = split_key(key)
            ending = f"_{quantity}" if quantity else ""
            assert series != "samples" or f"{metric}_relaxed{ending}" in found, key
    shift = found["energy_median_kJ_per_mol"] - found["energy_median_kJ_per_mol_relaxed"]
    assert shift == pytest.approx(10.0, abs=1.0)
    assert found["energy_wasserstein_kJ_per_mol_relaxed"] < 2.0 < found["energy_wasserstein_kJ_per_mol"]
    assert found["unrelaxed_fraction_relaxed"] == pytest.approx(0.05)
    assert found["unrelaxed_fraction_relaxed_ci_low"] < 0.05 < found["unrelaxed_fraction_relaxed_ci_high"]
    arrays = evaluation_arrays(own, study(), together)
    assert arrays["relaxed.plane"].shape == (2000, 2) and "relaxed" in profiles(arrays)
    assert np.array_equal(arrays[f"relaxed.{ENERGY}"], relaxed_samples()[ENERGY])


def test_wasserstein_distance_is_that_of_scipy():
    generator = np.random.default_rng(0)
    reference, weights = generator.normal(0, 10, 5000), generator.random(5000)
    drawn = generator.normal(4, 15, 1000)
    own = energy_reference(reference, weights / weights.sum(), 1000).scores(drawn)
    exact = wasserstein_distance(drawn, reference, None, weights)
    assert own["energy_wasserstein_kJ_per_mol"] == pytest.approx(exact, abs=0.05)
    drawn[:10] = [1e9] * 9 + [np.nan]
    clipped = energy_reference(reference, weights, 1000).scores(drawn)["energy_wasserstein_kJ_per_mol"]
    assert clipped == pytest.approx(exact + 0.01 * 230, abs=0.5)


def test_what_is_unknown_is_left_out():
    def bare(arrays):
        return {key: value for key, value in arrays.items() if key != ENERGY}

    full = sources()
    poor = Sources(full.molecule, bare(full.samples), bare(full.training), bare(full.reference))
    found = evaluate(poor, study(states={})).metrics
    endings = ("_equal_cost_md", "_tight_reference")
    assert not [key for key in found if "energy_" in key.replace("free_energy", "") or key.endswith(endings)]
    assert not [key for key in found if key.startswith("population")]
    assert "coverage_noise_floor" in found


def test_the_cutoff_of_the_settings_counts():
    wide = evaluate(sources(), study(low_energy_cutoff_kcal_per_mol=5.0)).metrics
    assert wide["coverage"] < metrics()["coverage"] and wide["precision"] > metrics()["precision"]


def test_without_a_backbone_the_plane_is_tica():
    own = molecule() | {"backbone_torsions": np.zeros((0, 2, 4), dtype=int)}
    evaluated = evaluate(changed(molecule=own), study())
    found = evaluated.metrics
    assert not evaluated.coordinates.is_torsion_plane and found["coverage"] > 0.5
    assert not [key for key in found if key.endswith("_tica") or key.startswith("population")]
    assert "jensen_shannon_nats_tight_reference" not in found
    arrays = evaluation_arrays(changed(molecule=own), study(), evaluated)
    assert len(arrays["representatives.names"]) == 3


def test_arrays_for_the_figures():
    evaluated = evaluate(sources(), study())
    arrays = evaluation_arrays(sources(), study(), evaluated)
    # `positive` is another name for `right`.
    assert arrays["representatives.names"].tolist() == ["left", "right"]
    assert np.allclose(np.degrees(arrays["representatives.plane"]), [[-90, 100], [60, 0]], atol=8)
    assert arrays["reference.probability"].sum() == pytest.approx(1.0)
    assert arrays["competitor.plane"].shape == (2000, 2) and arrays["state_regions_deg"].shape == (3, 2, 2)


def test_quality_of_samplers():
    arrays = evaluation_arrays(sources(), study(), evaluate(sources(), study()))
    good, bad = samples(500, 0.3, 20), samples(500, 0.9, 21, shift=30.0)
    comparison = {}
    for name, drawn, cost in (("ancestral_50", bad, 50), ("dpm_solver_10", good, 10)):
        own = {"positions_angstrom": drawn["positions_angstrom"], ENERGY: drawn[ENERGY], "seconds": 2.0}
        comparison |= {
            f"{name}.{key}": np.asarray(value) for key, value in (own | {"evaluations": cost}).items()
        }
    ancestral, dpm, floor = sampler_quality(comparison, arrays, 20)
    assert (ancestral["solver"], ancestral["steps"], dpm["solver"]) == ("ancestral", 50.0, "dpm_solver")
    assert (dpm["evaluations"], dpm["seconds_per_1000_structures"]) == (10.0, 4.0)
    assert ancestral["energy_wasserstein_kJ_per_mol"] == pytest.approx(30, abs=2)
    key = "jensen_shannon_nats_25_bins"
    assert abs(dpm[key] - floor[key]) < 4 * np.hypot(
        dpm[f"{key}_standard_error"], floor[f"{key}_standard_error"]
    )
    assert ancestral[key] > dpm[key] + 10 * dpm[f"{key}_standard_error"]
    without = {k: v for k, v in comparison.items() if not k.endswith(ENERGY)}
    assert "energy_wasserstein_kJ_per_mol" not in sampler_quality(without, arrays, 3)[0]


def test_the_same_sources_give_the_same_metrics():
    assert evaluate(sources(), study()).metrics == metrics()


def test_costs_and_energies_of_samples():
    class Energy:
        calls = 0

        def __call__(self, positions):
            self.calls += len(positions)
            return positions[:, 0, 0].astype(float), positions

    energy, drawn = Energy(), samples(5, 0.3, 1)
    drawn["positions_angstrom"][2, 3] = np.inf
    assert with_energies(drawn, energy)[ENERGY] is drawn[ENERGY], "known energies are kept"
    assert ENERGY not in with_energies(drawn, None)
    without = {key: value for key, value in drawn.items() if key != ENERGY}
    known = with_energies(without, energy)
    assert np.isposinf(known[ENERGY]).tolist() == [False, False, True, False, False]
    costs = cost_metrics(sources(), {"seconds_train": 7.0}, energy)
    assert costs == {
        "seconds_train": 7.0,
        "seconds_sample": 3.0,
        "seconds_equal_cost_md": 12.0,
        "energy_calls": 4,
    }
    more = cost_metrics(changed(relaxed=relaxed_samples()), {"seconds_train": 7.0}, energy)
    assert more == costs | {"seconds_relax": 4.0, "energy_calls_relax": 4000, "force_calls_relax": 170_000}


def test_sources_are_read_by_name_and_optional_ones_may_be_empty(tmp_path):
    """A histogram of another temperature is left out, and so are energies without an energy function."""
    own = {
        "molecule": molecule(),
        "samples": samples(3, 0.3, 1),
        "dataset": {f"ala.{name}": array for name, array in frames(4, 0.3, 2).items()},
        "reference": frames(5, 0.3, 3),
        "relaxed": samples(2, 0.3, 4),
    }
    files = {name: tmp_path / f"{name}.npz" for name in own}
    for name, path in files.items():
        save_arrays(path, {}, **own[name])
    bundled = Path(__file__).parents[2] / "dig_core/data/bundled/alanine_dipeptide_300K.npz"
    optional = {"competitor": [], "exploration": [], "tight_reference": [bundled]}
    found = read_sources(files | optional, "ala", 310.0, None)
    lengths = [len(getattr(found, n)["positions_angstrom"]) for n in ("samples", "training", "reference")]
    assert lengths == [3, 4, 5] and len(found.relaxed["positions_angstrom"]) == 2
    assert found.competitor is found.exploration is found.tight_reference is None
    assert read_sources(files | optional, "ala", 300.0, None).tight_reference is not None
    assert ENERGY not in found.samples and ENERGY not in found.reference
    with pytest.raises(FileNotFoundError, match="expected the file"):
        read_sources(files | optional | {"competitor": tmp_path / "none.npz"}, "ala", 300.0, None)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="expected frames of ser"):
        of_target({"ala.positions_angstrom": np.zeros((1, 1, 3))}, "ser")
    lone = molecule() | {"backbone_torsions": np.zeros((0, 2, 4), dtype=int), "bonds": np.array([[0, 1]])}
    with pytest.raises(ValueError, match="expected a molecule with a torsion"):
        evaluate(changed(molecule=lone), study())
