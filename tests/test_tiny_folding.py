"""The workflow of a protein that folds, small: from a file through parallel tempering to populations and events."""

import json

import numpy as np
import pytest

from dig_core.evaluation.folding import along_walkers, events
from dig_core.evaluation.superposition import ca_rmsd
from dig_core.files import load_arrays
from tests.proteins_for_tests import FOLDS, structure_text
from tests.test_tiny_study import ROOT, checkout, snakemake

TARGET = "results/chignolin_tiny/turn"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of the target of the tiny study, drawn and compared."""
    folder = checkout(tmp_path_factory.mktemp("folding"), "[chignolin_tiny]")
    snakemake(folder, f"{TARGET}/metrics.json")
    return folder / TARGET


def test_the_structure_is_an_ideal_turn_of_a_helix():
    assert (ROOT / "config/structures/turn.pdb").read_text() == structure_text("AAGAA", FOLDS["helix"])


def test_what_is_folded_is_counted_in_samples_and_in_both_replicas(tiny):
    found = json.loads((tiny / "metrics.json").read_text())
    protein = load_arrays(tiny / "molecule.npz")
    native = protein["positions_angstrom"][protein["first_atom_of_residue"] + 1].astype(float)
    for ending, file in (("_reference", "reference.npz"), ("", "samples.npz")):
        positions = load_arrays(tiny / file)["positions_angstrom"][:, protein["first_atom_of_residue"] + 1]
        away = ca_rmsd(positions, native)
        assert found[f"population_folded{ending}"] == pytest.approx((away <= 0.5).mean())
        assert found[f"population_unfolded{ending}"] == pytest.approx((away > 1.0).mean())
        assert len(positions) == (360 if ending else 200)  # the first tenth of a replica is left out
        # A replica's numbers have an interval where it went to and fro often enough.
        assert (f"population_folded{ending}_ci_low" in found) is (
            not ending or found["populations_converged"]
        )
    assert (
        found["population_folded_ci_low"] <= found["population_folded"] <= found["population_folded_ci_high"]
    )
    assert found["best_rmsd_folded_angstrom"] == pytest.approx(away.min())
    assert {"coverage_noise_floor", "free_energy_mae_kcal_per_mol_noise_floor"} <= set(found)
    # Half a minute of training has learned that residues are bonded.
    assert found["valid_fraction"] > 0.5


def test_events_are_those_of_the_walkers(tiny):
    """Distances at both temperatures; those at the study's own are those of its frames, every fourth of which ends a round."""
    found = json.loads((tiny / "metrics.json").read_text())
    run = load_arrays(tiny / "simulation/1.npz")
    assert run["temperatures_K"].tolist() == [340.0, 400.0] and run["rmsd_angstrom"].shape == (100, 2)
    assert 0.1 < run["exchange_fraction"][0] < 0.9 and len(run["positions_angstrom"]) == 400
    away = ca_rmsd(run["positions_angstrom"][3::4, run["backbone_indices"][:, 1]].astype(float), _start(tiny))
    np.testing.assert_allclose(run["rmsd_angstrom"][:, 0], away, atol=2e-3)
    counted = events(along_walkers(run["rmsd_angstrom"], run["walkers"]), 0.5, 1.0)
    assert (counted.folding, counted.unfolding) == (
        found["folding_events_training"],
        found["unfolding_events_training"],
    )
    assert counted.unfolding > 0
    least = min(found[f"{k}_events_{name}_at_the_temperature"] for k in ("folding", "unfolding") for name in ("training", "reference"))  # fmt: skip
    assert found["populations_converged"] is (least >= 10)


def _start(tiny) -> np.ndarray:
    protein = load_arrays(tiny / "molecule.npz")
    return protein["positions_angstrom"][protein["first_atom_of_residue"] + 1].astype(float)


def test_what_is_kept_is_documented():
    documented = (ROOT / "results/README.md").read_text()
    for key in ("walkers", "rmsd_angstrom", "exchange_fraction", "temperatures_K", "population_folded"):
        assert f"`{key}`" in documented, key
    for key in ("free_energy_difference_folded_unfolded_kcal_per_mol", "populations_converged"):
        assert f"`{key}`" in documented, key
