"""Metrics of paths against a hand-made landscape and energies that are known."""

import numpy as np
import pytest

from dig_core.evaluation.landscape import Landscape, torsion_edges
from dig_core.settings.evaluation import Evaluation
from dig_core.systems.metrics import Evaluated
from dig_core.systems.molecule_path_evaluation import path_metrics
from dig_core.systems.series import Series, coordinates
from dig_core.systems.yardstick import Study
from dig_core.units import thermal_energy_kcal_per_mol
from tests.molecules_for_tests import peptide

ALANINE = peptide()[1]
ENERGY = "potential_energy_kJ_per_mol"
STUDY = Study(
    Evaluation.model_validate(
        {
            "bins": 8,
            "low_energy_cutoff_kcal_per_mol": 4.0,
            "bootstrap_repeats": 2,
            "tica_lag_ps": 1.0,
            "states": {
                "left": {"phi_deg": (-180.0, 0.0), "psi_deg": (-180.0, 180.0)},
                "right": {"phi_deg": (0.0, 180.0), "psi_deg": (-180.0, 180.0)},
            },
        }
    ),
    300.0,
)


def two_wells() -> Landscape:
    """Two wells at 0 kcal/mol, between them walls of 9 with one gap of 5, at column 4 and row 2."""
    energy = np.zeros((8, 8))
    energy[[0, 4]] = 9.0
    energy[4, 2] = 5.0
    probability = np.exp(-energy / thermal_energy_kcal_per_mol(300.0))
    return Landscape(*torsion_edges(8), probability / probability.sum(), 300.0)


def evaluated(name: str = "tight_reference", energies: bool = True) -> Evaluated:
    generator = np.random.default_rng(0)
    positions = ALANINE["positions_angstrom"] + generator.normal(0.0, 0.1, (50, 22, 3)).astype(np.float32)
    training = {
        "positions_angstrom": positions,
        "weights": np.full(50, 0.02),
        "frame_interval_ps": np.array(1.0),
    }
    plane = coordinates(ALANINE, training, 1.0)
    values = np.arange(1000.0) if energies else None
    torsions = np.zeros((1000, 2))
    reference = Series(torsions, np.full(1000, 1e-3), {"": torsions}, values, correlated=True)
    return Evaluated({}, plane, {"reference": reference}, {"reference": two_wells(), name: two_wells()})


def paths() -> dict[str, np.ndarray]:
    """Of two latent paths the first goes over the wall (one of five points), the second through the gap."""
    columns, rows = np.arange(2, 7), np.array([[3, 3, 3, 3, 3], [2, 2, 2, 2, 2]])
    bins = np.stack([np.broadcast_to(columns, rows.shape), rows], axis=-1)
    torsions = -np.pi + (bins + 0.5) * np.pi / 4
    energies = np.array([[0.0, 0.0, 2000.0, 0.0, 0.0], [0.0, 10.0, 1030.0, 10.0, 0.0]])
    return {
        "state_names": np.array(["left", "right"]),
        "chosen": np.array(1),
        "resolved": np.array([True, False]),
        "latent_shares": np.zeros((2, 5)),
        "endpoint_rmsd_angstrom": np.array([[0.2, 0.0], [0.0, 0.1]]),
        "seconds_interpolate": np.array(3.0),
        "latent_torsions_rad": torsions,
        "straight_torsions_rad": torsions[[0, 0]],
        f"latent_{ENERGY}": energies,
        f"straight_{ENERGY}": energies[[0, 0]],
    }


def test_metrics_of_known_paths():
    found = path_metrics(paths(), evaluated(), STUDY)
    assert found["saddle_kcal_per_mol_tight_reference"] == pytest.approx(5.0)
    assert found["path_in_low_bins_fraction"] == pytest.approx(0.9)
    assert found["path_in_low_bins_fraction_standard_error"] == pytest.approx(0.1)
    assert found["chosen_path_in_low_bins_fraction"] == 1.0
    assert found["path_in_low_bins_fraction_baseline_straight"] == pytest.approx(0.8)
    assert found["path_highest_free_energy_kcal_per_mol"] == pytest.approx(7.0)
    assert found["path_energy_limit_kJ_per_mol"] == pytest.approx(998.0 + 40.0)
    assert found["path_energy_max_kJ_per_mol"] == 2000.0
    assert found["chosen_path_energy_max_kJ_per_mol"] == 1030.0
    assert found["path_energy_below_limit_fraction"] == pytest.approx(0.9)
    assert found["path_endpoint_rmsd_angstrom"] == 0.2
    assert found["chosen_path_endpoint_rmsd_angstrom"] == 0.1
    assert found["path_resolved_fraction"] == 0.5 and found["path_pairs"] == 2


def test_without_tight_reference_or_energies():
    found = path_metrics(paths(), evaluated("other", energies=False), STUDY)
    assert found["saddle_kcal_per_mol_reference"] == pytest.approx(5.0)
    assert not any("energy_max" in key for key in found)
    assert "saddle_kcal_per_mol_tight_reference" not in found


def test_one_pair_has_no_standard_error():
    single = {key: value[1:] if value.ndim > 1 else value for key, value in paths().items()}
    single["chosen"] = np.array(0)
    found = path_metrics(single, evaluated(), STUDY)
    assert found["path_in_low_bins_fraction"] == 1.0
    assert not any(key.endswith("_standard_error") for key in found)
