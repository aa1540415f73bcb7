"""Samples of a molecule after their relaxation: what is written, and what is told."""

import numpy as np
import pytest

from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.systems.molecule import topology_pdb
from dig_core.systems.molecule_relaxation import relax_samples
from tests.molecules_for_tests import FORCE_FIELD, peptide

TOPOLOGY, ALANINE = peptide()
SETTINGS = {
    "steps": 65,
    "timestep_fs": 2.0,
    "friction_per_ps": 50.0,
    "temperature_K": 300.0,
    "hydrogen_mass_amu": 3.0,
    "seed": 1,
    "force_field": list(FORCE_FIELD),
    "platform": "Reference",
}


@pytest.fixture
def topology_file(tmp_path):
    path = tmp_path / "topology.pdb"
    path.write_text(topology_pdb(TOPOLOGY, ALANINE["positions_angstrom"]))
    return path


def test_strained_samples_become_valid_and_broken_ones_are_told(topology_file, capsys):
    noise = np.random.default_rng(0).normal(scale=0.2, size=(20, 22, 3))
    positions = (ALANINE["positions_angstrom"] + noise).astype(np.float32)
    positions[3] *= 0.01
    found = relax_samples(topology_file, ALANINE, {"positions_angstrom": positions}, SETTINGS)
    assert found["relaxed"].tolist() == [index != 3 for index in range(20)]
    assert found["valid"].sum() >= 18 and not found["valid"][3]
    assert found["positions_angstrom"].dtype == np.float32
    assert np.array_equal(found["positions_angstrom"][3], positions[3])
    own = molecular_system(TOPOLOGY, force_field(FORCE_FIELD), 3.0)
    again = OpenMMEnergy(own)(found["positions_angstrom"][found["relaxed"]])[0]
    assert found["potential_energy_kJ_per_mol"][found["relaxed"]] == pytest.approx(again, abs=0.01)
    assert (found["unrelaxed_energy_kJ_per_mol"] > found["potential_energy_kJ_per_mol"])[
        found["relaxed"]
    ].all()
    assert "of 20 structures 1 could not be relaxed and kept their positions" in capsys.readouterr().out
    assert found["seconds_relax"] > 0 and found["force_calls"] > 19 * 65 and found["energy_calls"] >= 39


def test_a_study_without_relaxation_is_told(topology_file):
    with pytest.raises(ValueError, match=r"expected sampler\.relaxation in the study; got null\. Add it"):
        relax_samples(topology_file, ALANINE, {"positions_angstrom": np.zeros((1, 22, 3))}, None)
