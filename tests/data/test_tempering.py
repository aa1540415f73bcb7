"""Parallel tempering against the Boltzmann distribution of a system whose populations are known."""

import numpy as np
import openmm
import pytest

from dig_core.data.tempering import Ladder, parallel_tempering
from dig_core.units import thermal_energy_kj_per_mol

BARRIER, TILT = 25.0, 2.0  # kJ/mol


def double_well() -> openmm.System:
    """A particle in E = 25 ((x/0.1)^2 - 1)^2 + 2 x/0.1 and stiff springs along y and z (nm, kJ/mol)."""
    system = openmm.System()
    system.addParticle(12.0)
    force = openmm.CustomExternalForce(f"{BARRIER}*((x/0.1)^2-1)^2 + {TILT}*x/0.1 + 5000*(y^2+z^2)")
    force.addParticle(0, [])
    system.addForce(force)
    return system


def ladder(**changes) -> Ladder:
    values = dict(
        temperatures_K=(300.0, 500.0, 850.0), timestep_fs=4.0, friction_per_ps=5.0, platform="Reference",
        duration_ns=2.0, exchange_interval_ps=0.5, frame_interval_ps=0.1, seed=1,
    )  # fmt: skip
    return Ladder(**values | changes)


def population_of_the_left_well(temperature_K: float) -> float:
    x = np.linspace(-3, 3, 6001)
    weight = np.exp(-(BARRIER * (x**2 - 1) ** 2 + TILT * x) / thermal_energy_kj_per_mol(temperature_K))
    return weight[x < 0].sum() / weight.sum()


def test_the_cold_replica_has_the_boltzmann_populations():
    found = parallel_tempering(double_well(), np.array([[1.0, 0.0, 0.0]]), ladder())
    x = found["positions_angstrom"][:, 0, 0]
    assert len(x) == 20_000 and found["weights"].sum() == pytest.approx(1.0)
    left = (x < 0).reshape(20, -1).mean(axis=1)
    error = left.std(ddof=1) / np.sqrt(len(left))
    assert error < 0.05
    assert left.mean() == pytest.approx(population_of_the_left_well(300.0), abs=3 * error)  # 0.83
    # Plain dynamics at 300 K (barrier 10 kT) would stay where it started, on the right.
    assert ((x[1:] < 0) != (x[:-1] < 0)).sum() > 20
    assert (found["exchange_fraction"] > 0.2).all()
    assert found["force_calls"] == 3 * (500_000 + 5_000)


def test_energies_belong_to_the_frames():
    found = parallel_tempering(double_well(), np.array([[1.0, 0.0, 0.0]]), ladder(duration_ns=0.01))
    x, y, z = found["positions_angstrom"][:, 0].T / 10
    energy = BARRIER * ((x / 0.1) ** 2 - 1) ** 2 + TILT * x / 0.1 + 5000 * (y**2 + z**2)
    np.testing.assert_allclose(found["potential_energy_kJ_per_mol"], energy, rtol=1e-4, atol=1e-3)
