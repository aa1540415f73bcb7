"""Parallel tempering against the Boltzmann distribution of a system whose populations are known; interrupted runs; walkers."""

from dataclasses import replace

import numpy as np
import openmm
import pytest

from dig_core.data.simulation import Protocol
from dig_core.data.tempering import Ladder, chunk_rounds, parallel_tempering
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


START = np.array([[1.0, 0.0, 0.0]])
# Eight rounds in four chunks, for what needs no statistics.
SHORT = {"duration_ns": 0.004, "checkpoint_interval_ps": 1.0}


def ladder(**changes) -> Ladder:
    values = dict(
        temperature_K=300.0, timestep_fs=4.0, friction_per_ps=5.0, platform="Reference", duration_ns=2.0,
        frame_interval_ps=0.1, checkpoint_interval_ps=500.0, seed=1,
    )  # fmt: skip
    return Ladder(Protocol(**values | changes), (500.0, 850.0), 0.5)


def run(folder, system: openmm.System | None = None, **changes) -> dict[str, np.ndarray]:
    """A run that keeps the particle's positions at all temperatures."""
    return parallel_tempering(system or double_well(), START, ladder(**changes), folder, observed=[0])


def same(first: dict, second: dict) -> bool:
    """Whether two runs are the same to the last bit, but for the time they took."""
    return set(first) == set(second) and all(
        np.array_equal(first[name], second[name]) for name in first if name != "cpu_seconds"
    )


def population_of_the_left_well(temperature_K: float) -> float:
    x = np.linspace(-3, 3, 6001)
    weight = np.exp(-(BARRIER * (x**2 - 1) ** 2 + TILT * x) / thermal_energy_kj_per_mol(temperature_K))
    return weight[x < 0].sum() / weight.sum()


def test_the_cold_replica_has_the_boltzmann_populations(tmp_path):
    found = run(tmp_path)
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
    # So have the hotter ones, in what is kept of them.
    for place, temperature_K in enumerate((500.0, 850.0), start=1):
        left = (found["observed_angstrom"][:, place, 0, 0] < 0).mean()
        assert left == pytest.approx(population_of_the_left_well(temperature_K), abs=0.05)


def test_energies_belong_to_the_frames(tmp_path):
    found = run(tmp_path, duration_ns=0.01)
    x, y, z = found["positions_angstrom"][:, 0].T / 10
    energy = BARRIER * ((x / 0.1) ** 2 - 1) ** 2 + TILT * x / 0.1 + 5000 * (y**2 + z**2)
    np.testing.assert_allclose(found["potential_energy_kJ_per_mol"], energy, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["time_ps"], 0.1 * np.arange(1, 101))


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_a_run_that_goes_on_is_the_run_that_was_never_stopped(tmp_path, platform):
    openmm.Platform.getPlatformByName("CPU").setPropertyDefaultValue("Threads", "1")
    whole = run(tmp_path / "whole", platform=platform, **SHORT)
    run(tmp_path / "cut", platform=platform, **SHORT)
    for chunk in (2, 3):
        (tmp_path / "cut" / f"chunk_{chunk:05d}.npz").unlink()
    kept = {path: path.read_bytes() for path in (tmp_path / "cut").iterdir()}
    assert len(kept) == 2 and same(run(tmp_path / "cut", platform=platform, **SHORT), whole)
    assert all(path.read_bytes() == before for path, before in kept.items())
    assert len(whole["positions_angstrom"]) == 40 and whole["walkers"].shape == (8, 3)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_replicas_on_threads_of_their_own_are_those_that_run_one_after_the_other(
    tmp_path, monkeypatch, platform
):
    one = run(tmp_path / "one", platform=platform, **SHORT)
    monkeypatch.setenv("OPENMM_CPU_THREADS", "3")
    assert same(run(tmp_path / "three", platform=platform, **SHORT), one)


def test_a_broken_chunk_is_run_again(tmp_path):
    whole, broken = run(tmp_path, **SHORT), tmp_path / "chunk_00001.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    assert same(run(tmp_path, **SHORT), whole)


def test_chunks_of_another_ladder_are_not_used(tmp_path):
    run(tmp_path, **SHORT)
    again, fresh = (
        parallel_tempering(
            double_well(), START, replace(ladder(**SHORT), higher_temperatures_K=(400.0,)), folder
        )
        for folder in (tmp_path, tmp_path / "fresh")
    )
    assert same(again, fresh) and again["temperatures_K"].tolist() == [300.0, 400.0]


def test_the_last_chunk_is_as_short_as_what_is_left():
    assert chunk_rounds(ladder(duration_ns=0.0026, checkpoint_interval_ps=1.0)) == [2, 2, 1]
    assert chunk_rounds(ladder(duration_ns=0.001, checkpoint_interval_ps=0.1)) == [1, 1]


def test_walkers_are_where_the_exchanges_put_them(tmp_path):
    """Without forces every exchange is accepted: the walkers' places are those of neighbours who take turns."""
    free = openmm.System()
    free.addParticle(12.0)
    found = run(tmp_path, free, **SHORT)
    assert found["walkers"][:5].tolist() == [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 1, 0], [2, 0, 1]]
    assert (found["exchange_fraction"] == 1.0).all()
    # A walker goes on from where it was, at another temperature: in 0.5 ps it moves by a few Angstrom, and they are far apart at last.
    places = np.take_along_axis(
        found["observed_angstrom"][:, :, 0], found["walkers"].argsort(1)[:, :, None], 1
    )
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    apart = np.linalg.norm(np.diff(places, axis=1), axis=-1)
    assert np.median(steps) < 0.5 * np.median(apart)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_blown_up_run_is_told_and_leaves_no_chunk_behind(tmp_path):
    with pytest.raises(ValueError, match=r"expected finite energies; got NaN.*timestep_fs"):
        run(tmp_path, timestep_fs=100.0, duration_ns=0.5)
    assert not list(tmp_path.glob("*.npz"))
