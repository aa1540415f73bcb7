"""Relaxation of structures: the right energy, each structure on its own, nothing lost when one blows up."""

from dataclasses import replace

import numpy as np
import openmm
import pytest

from dig_core import costs
from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.energies.relaxation import GENTLE_STEPS, Relaxation, relax, structure_seeds
from dig_core.units import thermal_energy_kj_per_mol
from tests.molecules_for_tests import FORCE_FIELD, peptide

TOPOLOGY, ALANINE = peptide()
SYSTEM = molecular_system(TOPOLOGY, force_field(FORCE_FIELD), 3.0)
SETTINGS = Relaxation(steps=65, timestep_fs=2.0, friction_per_ps=50.0, temperature_K=300.0, seed=1)


def wells(atoms: int) -> openmm.System:
    """Independent atoms of 12 amu, each in a harmonic well about the origin: 1e5 kJ/mol/nm^2."""
    system, force = openmm.System(), openmm.CustomExternalForce("0.5 * 100000 * (x^2 + y^2 + z^2)")
    for atom in range(atoms):
        system.addParticle(12.0)
        force.addParticle(atom)
    system.addForce(force)
    return system


def pair() -> openmm.System:
    """A carbon and a heavy hydrogen with a hard core of 3 Angstrom and a soft spring."""
    system, force = openmm.System(), openmm.CustomBondForce("(0.3 / r)^12 + 5000 * (r - 0.3)^2")
    for mass in (12.0, 3.0):
        system.addParticle(mass)
    force.addBond(0, 1)
    system.addForce(force)
    return system


def strained(count: int, noise_angstrom: float, seed: int = 0) -> np.ndarray:
    start = ALANINE["positions_angstrom"].astype(float)
    return start + noise_angstrom * np.random.default_rng(seed).normal(size=(count, *start.shape))


@pytest.mark.parametrize("temperature_K", [150.0, 300.0])
def test_strained_oscillators_reach_the_mean_energy_of_their_temperature(temperature_K):
    """kT / 2 per coordinate; the standard deviation of one structure's energy is kT sqrt(3 N / 2)."""
    atoms, structures, thermal = 20, 60, thermal_energy_kj_per_mol(temperature_K)
    starts = np.random.default_rng(0).normal(scale=0.3, size=(structures, atoms, 3))
    found = relax(wells(atoms), starts, replace(SETTINGS, steps=150, temperature_K=temperature_K))
    error = thermal * np.sqrt(1.5 * atoms / structures)
    assert found.relaxed.all()
    assert found.energies_before.mean() > 10 * 1.5 * atoms * thermal
    assert found.energies.mean() == pytest.approx(1.5 * atoms * thermal, abs=4 * error)


def test_a_strained_molecule_reaches_the_energies_of_dynamics():
    """Held-out dynamics of alanine dipeptide has a median of -60.5 kJ/mol and a standard deviation of about 14."""
    found = relax(SYSTEM, strained(30, 0.2), replace(SETTINGS, steps=150))
    assert found.relaxed.all() and found.energies_before.min() > 1000.0
    assert found.energies.mean() == pytest.approx(-60.0, abs=10.0)
    assert found.energies == pytest.approx(OpenMMEnergy(SYSTEM)(found.positions)[0], abs=1e-6)


def test_a_structure_that_blows_up_keeps_its_positions_and_is_counted():
    starts = strained(6, 0.02)
    starts[1, 5] = starts[1, 0]  # one atom upon another: no direction to go
    starts[2, :, :] *= 0.05  # all atoms within an atom's radius
    starts[4, 3, 0] = np.nan
    found = relax(SYSTEM, starts, SETTINGS)
    assert found.relaxed.tolist() == [True, False, False, True, False, True]
    np.testing.assert_array_equal(found.positions[~found.relaxed], starts[~found.relaxed])
    assert np.array_equal(found.energies[~found.relaxed], found.energies_before[~found.relaxed])
    assert np.isfinite(found.positions[found.relaxed]).all() and np.isfinite(found.energies[[0, 3, 5]]).all()
    assert np.abs(found.positions[0] - starts[0]).max() > 0.05
    assert not np.isnan(found.energies).any()


@pytest.mark.parametrize("distance_angstrom", [0.05, 0.5])
def test_a_clash_ends_in_no_mess_that_passes_for_relaxed(distance_angstrom):
    """Energies of 1e9 kJ/mol and more: whatever follows is lower and finite, but no molecule."""
    starts = strained(10, 0.02)
    for index, start in enumerate(starts):
        start[20 - index] = start[0] + [distance_angstrom, 0.0, 0.0]
    found = relax(SYSTEM, starts, SETTINGS)
    assert found.energies_before.min() > 1e7
    assert np.abs(found.energies[found.relaxed]).max(initial=0.0) < 300.0
    np.testing.assert_array_equal(found.positions[~found.relaxed], starts[~found.relaxed])
    assert found.relaxed.sum() < 5


def test_what_is_still_hot_has_not_been_relaxed():
    """With hardly any friction the energy of strained bonds becomes heat and stays."""
    starts = strained(10, 0.25)
    assert relax(SYSTEM, starts, SETTINGS).relaxed.all()
    assert not relax(SYSTEM, starts, replace(SETTINGS, friction_per_ps=0.1)).relaxed.any()


def test_without_the_gentle_start_a_clash_is_not_survived(monkeypatch):
    """A hydrogen 1.2 Angstrom from an atom that wants it at 3: 2 fs throw it 80 Angstrom far."""
    starts = np.array([[[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]]] * 5)
    assert relax(pair(), starts, SETTINGS).relaxed.all()
    monkeypatch.setattr("dig_core.energies.relaxation.GENTLE_STEPS", 0)
    assert not relax(pair(), starts, SETTINGS).relaxed.any()


def test_a_structure_depends_neither_on_how_many_there_are_nor_on_its_neighbours():
    starts, settings = strained(6, 0.05), replace(SETTINGS, steps=10)
    whole = relax(SYSTEM, starts, settings)
    np.testing.assert_array_equal(relax(SYSTEM, starts[:2], settings).positions, whole.positions[:2])
    broken = starts.copy()
    broken[0, 5] = broken[0, 0]
    np.testing.assert_array_equal(relax(SYSTEM, broken, settings).positions[1:], whole.positions[1:])
    other = relax(SYSTEM, starts, replace(settings, seed=2))
    assert np.abs(other.positions - whole.positions).max(axis=(1, 2)).min() > 1e-3


def test_equal_structures_get_different_random_numbers():
    starts = np.repeat(strained(1, 0.0), 4, axis=0)
    ends = relax(SYSTEM, starts, replace(SETTINGS, steps=10)).positions
    assert min(np.abs(ends[i] - ends[j]).max() for i in range(4) for j in range(i)) > 1e-3
    pairs = [structure_seeds(seed, index) for seed in range(3) for index in range(200)]
    words = {word for pair in pairs for word in pair}
    assert len(words) == 2 * len(pairs) and min(words) > 0 and max(words) < 2**31


def test_energies_and_forces_are_counted():
    found = relax(SYSTEM, strained(3, 0.02), replace(SETTINGS, steps=7))
    assert found.force_calls == 3 * (GENTLE_STEPS + 7)
    assert found.energy_calls == 2 * 3
    assert costs.GENTLE_STEPS == GENTLE_STEPS
    lost = relax(SYSTEM, np.full((1, 22, 3), np.nan), SETTINGS)
    assert lost.force_calls == lost.energy_calls == 0 and not lost.relaxed[0]


def test_nothing_to_relax_is_nothing():
    assert relax(SYSTEM, np.zeros((0, 22, 3)), SETTINGS).positions.shape == (0, 22, 3)
