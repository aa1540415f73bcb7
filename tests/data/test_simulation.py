"""Dynamics in chunks: resumed runs, reweighting against a distribution known in closed form, blow-ups."""

from dataclasses import replace

import numpy as np
import openmm
import openmm.app as app
import pytest

from dig_core.data.simulation import Metadynamics, Protocol, chunk_plan, simulate
from dig_core.files import load_arrays
from dig_core.units import thermal_energy_kj_per_mol

TEMPERATURE_K = 300.0
BARRIER = 8.0  # kJ/mol
PLAIN = Protocol(TEMPERATURE_K, 2.0, 1.0, "Reference", 0.004, 0.1, 1.0, 7)


def chain(barrier: float = BARRIER):
    """Four carbons with stiff bonds and angles and the torsion potential barrier (1 + cos(theta) - 0.4 sin(theta))."""
    system = openmm.System()
    topology = app.Topology()
    residue = topology.addResidue("BUT", topology.addChain())
    for i in range(4):
        system.addParticle(15.0)
        topology.addAtom(f"C{i}", app.element.carbon, residue)
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for i in range(3):
        bonds.addBond(i, i + 1, 0.15, 1e5)
    for i in range(2):
        angles.addAngle(i, i + 1, i + 2, 1.9, 500.0)
    torsion = openmm.CustomTorsionForce(f"{barrier}*(1+cos(theta)-0.4*sin(theta))")
    torsion.addTorsion(0, 1, 2, 3)
    for force in (bonds, angles, torsion):
        system.addForce(force)
    positions = np.array([[0.0, 1.4, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [1.5, 1.0, 1.0]])
    return system, topology, positions


def torsions(positions):
    """Dihedral angle of the only torsion, radians."""
    a, b, c = np.moveaxis(np.diff(positions.astype(float), axis=1), 1, 0)
    first, second = np.cross(a, b), np.cross(b, c)
    sine = (first * c).sum(-1) * np.linalg.norm(b, axis=-1)
    return np.arctan2(sine, (first * second).sum(-1))


def run(folder, protocol=PLAIN, barrier=BARRIER):
    return simulate(*chain(barrier), protocol, folder)


def test_interrupted_run_goes_on_and_has_all_frames(tmp_path):
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut")
    for chunk in (2, 3):
        (tmp_path / "cut" / f"chunk_{chunk:05d}.npz").unlink()
    resumed = run(tmp_path / "cut")
    assert len(resumed["time_ps"]) == len(whole["time_ps"]) == 40
    np.testing.assert_array_equal(resumed["positions_angstrom"], whole["positions_angstrom"])
    np.testing.assert_allclose(np.diff(resumed["time_ps"]), 0.1)


def test_truncated_chunk_is_run_again(tmp_path):
    whole = run(tmp_path)
    broken = tmp_path / "chunk_00003.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    np.testing.assert_array_equal(run(tmp_path)["positions_angstrom"], whole["positions_angstrom"])


@pytest.mark.parametrize("lost", [2, 4], ids=["building", "producing"])
def test_biased_run_that_goes_on_is_the_same_run(tmp_path, lost):
    bias = Metadynamics(((0, 1, 2, 3),), 1.0, 20.0, 5.0, 0.1, 0.003)
    protocol = replace(PLAIN, metadynamics=bias)
    whole = run(tmp_path, protocol)
    for path in sorted(tmp_path.glob("chunk_*.npz"))[lost:]:
        path.unlink()
    resumed = run(tmp_path, protocol)
    np.testing.assert_array_equal(resumed["bias_grid_kJ_per_mol"], whole["bias_grid_kJ_per_mol"])
    np.testing.assert_array_equal(resumed["positions_angstrom"], whole["positions_angstrom"])


def test_chunks_of_other_settings_are_not_used(tmp_path):
    run(tmp_path)
    warm = replace(PLAIN, temperature_K=400.0)
    again, fresh = run(tmp_path, warm), run(tmp_path / "fresh", warm)
    np.testing.assert_array_equal(again["positions_angstrom"], fresh["positions_angstrom"])


def test_building_is_planned_first_and_not_analysed():
    bias = Metadynamics(((0, 1, 2, 3),), 1.0, 20.0, 5.0, 0.1, 0.0025)
    assert chunk_plan(replace(PLAIN, metadynamics=bias, duration_ns=0.0015)) == [
        ("build", 500), ("build", 500), ("build", 250), ("produce", 500), ("produce", 250),
    ]  # fmt: skip


def test_reweighted_frames_have_the_exact_distribution(tmp_path):
    """The torsion's marginal is exp(-U(theta)/kT) up to a constant: bonds and angles do not couple to it."""
    bias = Metadynamics(((0, 1, 2, 3),), 0.5, 20.0, 6.0, 0.2, 0.2)
    frames = run(tmp_path, replace(PLAIN, duration_ns=0.8, checkpoint_interval_ps=100.0, metadynamics=bias))
    assert frames["bias_grid_kJ_per_mol"].max() > 5.0
    grid = np.linspace(-np.pi, np.pi, 7201)
    density = np.exp(
        -BARRIER * (np.cos(grid) - 0.4 * np.sin(grid)) / thermal_energy_kj_per_mol(TEMPERATURE_K)
    )
    angles = torsions(frames["positions_angstrom"])
    for low, high in ((-1.0, 1.0), (1.0, 2.5), (-2.5, -1.0)):
        exact = density[(grid > low) & (grid < high)].sum() / density.sum()
        measured = frames["weights"][(angles > low) & (angles < high)].sum()
        assert measured == pytest.approx(exact, rel=0.25, abs=0.002)
    # The frames themselves are spread much wider: without their weights the barrier region is overpopulated.
    assert np.mean(np.abs(angles) < 1.0) > 5 * frames["weights"][np.abs(angles) < 1.0].sum()


def test_energy_of_a_frame_does_not_hold_the_bias(tmp_path):
    bias = Metadynamics(((0, 1, 2, 3),), 5.0, 30.0, 20.0, 0.1, 0.01)
    frames = run(tmp_path, replace(PLAIN, metadynamics=bias))
    system, _, _ = chain()
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(frames["positions_angstrom"][-1].astype(float) / 10.0)
    exact = context.getState(energy=True).getPotentialEnergy()._value
    assert frames["potential_energy_kJ_per_mol"][-1] == pytest.approx(exact, abs=1e-3)
    assert frames["bias_kJ_per_mol"].max() > 5.0


def test_blown_up_simulation_is_told_and_earlier_chunks_stay(tmp_path):
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"expected finite energies; got NaN.*timestep_fs"):
        simulate(
            *chain(),
            replace(PLAIN, timestep_fs=50.0, checkpoint_interval_ps=50.0, duration_ns=0.2),
            tmp_path / "hot",
        )
    assert not list((tmp_path / "hot").glob("*.npz"))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")} == before
    assert "positions_angstrom" in load_arrays(tmp_path / "chunk_00000.npz")
