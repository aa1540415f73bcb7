"""OpenMM's energies and forces in the project's units."""

import numpy as np
import pytest

from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from tests.molecules_for_tests import FORCE_FIELD, peptide, small_molecule

TOPOLOGY, ALANINE = peptide()


@pytest.fixture(scope="module")
def energy():
    return OpenMMEnergy(molecular_system(TOPOLOGY, force_field(FORCE_FIELD), 3.0))


def test_forces_are_minus_the_gradient(energy):
    """Central differences along random directions, Angstrom and kJ/mol."""
    generator = np.random.default_rng(0)
    positions = ALANINE["positions_angstrom"].astype(float)[None]
    _, forces = energy(positions)
    for _ in range(5):
        direction = generator.normal(size=positions.shape)
        step = 1e-4 * direction / np.linalg.norm(direction)
        (after, before), _ = energy(np.concatenate([positions + step, positions - step]))
        assert -(forces * step).sum() == pytest.approx((after - before) / 2, rel=1e-5)


def test_energy_does_not_change_with_rigid_motion_and_calls_are_counted(energy):
    before = energy.calls
    positions = ALANINE["positions_angstrom"].astype(float)
    turned = positions @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 5.0
    values, forces = energy(np.stack([positions, turned]))
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert forces.shape == (2, 22, 3)
    assert energy.calls == before + 2


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_lost_structure_has_no_energy_and_the_others_have_theirs(energy, lost):
    positions = np.repeat(ALANINE["positions_angstrom"][None].astype(float), 3, axis=0)
    expected = energy(positions[:1])[0][0]
    positions[1, 3] = lost
    values, _ = energy(positions)
    assert not np.isfinite(values[1]) and values[[0, 2]] == pytest.approx(expected, abs=1e-6)


def test_heavy_hydrogens_keep_the_total_mass_and_the_energy(energy):
    light = molecular_system(TOPOLOGY, force_field(FORCE_FIELD), 1.008)
    heavy = molecular_system(TOPOLOGY, force_field(FORCE_FIELD), 3.0)
    masses = [sum(s.getParticleMass(i)._value for i in range(22)) for s in (light, heavy)]
    assert masses[0] == pytest.approx(masses[1])
    assert heavy.getNumConstraints() == 0
    positions = ALANINE["positions_angstrom"][None].astype(float)
    assert OpenMMEnergy(light)(positions)[0][0] == pytest.approx(energy(positions)[0][0])


def test_molecule_without_parameters_is_refused_in_one_line():
    from dig_core.data.molecules import from_smiles

    with pytest.raises(
        ValueError, match=r"expected a molecule that the force field has parameters for"
    ) as error:
        molecular_system(from_smiles("Oc1ccccc1")[0], force_field(FORCE_FIELD), 3.0)
    assert "\n" not in str(error.value)
    assert small_molecule("Oc1ccccc1")["atomic_numbers"][0] == 8


def test_unknown_force_field_is_refused():
    with pytest.raises(ValueError, match=r"expected force-field files that OpenMM ships; got amber98.xml"):
        force_field(("amber98.xml",))
