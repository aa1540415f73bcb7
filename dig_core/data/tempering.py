"""Parallel tempering: replicas at several temperatures that exchange structures (Sugita, Okamoto, Chem. Phys. Lett. 314, 141, 1999).

Neighbouring replicas i and j swap with probability min(1, exp((1/kT_i - 1/kT_j) (E_i - E_j))), which leaves the distribution of
each temperature as it is; hot replicas cross barriers, and cold ones inherit what they found.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openmm
import openmm.unit as unit

from dig_core.runtime import progress
from dig_core.units import ANGSTROM_PER_NM, PS_PER_FS, PS_PER_NS, thermal_energy_kj_per_mol

EQUILIBRATION_PS = 20.0


@dataclass(frozen=True)
class Ladder:
    """Temperatures, the study's first, and how replicas run between exchanges."""

    temperatures_K: Sequence[float]
    timestep_fs: float
    friction_per_ps: float
    platform: str
    duration_ns: float
    exchange_interval_ps: float
    frame_interval_ps: float
    seed: int

    def steps(self, duration_ps: float) -> int:
        """Number of integration steps in a time."""
        return round(duration_ps / (self.timestep_fs * PS_PER_FS))


def parallel_tempering(system: openmm.System, positions: np.ndarray, ladder: Ladder) -> dict[str, np.ndarray]:
    """Run all replicas one after the other between exchanges; an interrupted run starts anew.

    Args:
        positions: start structure of every replica, Angstrom [atoms, 3].

    Returns:
        Frames at the first temperature: `positions_angstrom` [frames, atoms, 3], `weights` (equal, sum 1),
        `potential_energy_kJ_per_mol`; `exchange_fraction` [pairs] (accepted), `force_calls` (of all replicas), `cpu_seconds`.
    """
    started, generator = time.process_time(), np.random.default_rng(ladder.seed)
    contexts = [_context(system, positions, ladder, i) for i in range(len(ladder.temperatures_K))]
    interval, stride = ladder.steps(ladder.exchange_interval_ps), ladder.steps(ladder.frame_interval_ps)
    rounds = ladder.steps(ladder.duration_ns * PS_PER_NS) // interval
    frames, accepted = [], np.zeros((2, len(contexts) - 1))
    for number in progress(range(rounds), "parallel tempering: exchanges"):
        for context in contexts[1:]:
            context.getIntegrator().step(interval)
        frames += _advance(contexts[0], interval, stride)
        # Pairs (0, 1), (2, 3), ... and (1, 2), (3, 4), ... take turns.
        for lower in range(number % 2, len(contexts) - 1, 2):
            accepted[:, lower] += 1, _exchange(contexts, ladder, lower, generator)
    return {
        "positions_angstrom": np.array([x for x, _ in frames], dtype=np.float32),
        "potential_energy_kJ_per_mol": np.array([energy for _, energy in frames]),
        "weights": np.full(len(frames), 1.0 / len(frames)),
        "exchange_fraction": accepted[1] / np.maximum(accepted[0], 1),
        "force_calls": np.array(len(contexts) * (rounds * interval + ladder.steps(EQUILIBRATION_PS))),
        "cpu_seconds": np.array(time.process_time() - started),
    }


def _context(system: openmm.System, positions: np.ndarray, ladder: Ladder, index: int) -> openmm.Context:
    """A replica, minimised and equilibrated at its temperature."""
    temperature = ladder.temperatures_K[index] * unit.kelvin
    integrator = openmm.LangevinMiddleIntegrator(
        temperature, ladder.friction_per_ps / unit.picosecond, ladder.timestep_fs * unit.femtosecond
    )
    integrator.setRandomNumberSeed(len(ladder.temperatures_K) * ladder.seed + index + 1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(ladder.platform))
    context.setPositions(np.asarray(positions, dtype=float) / ANGSTROM_PER_NM)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(temperature, ladder.seed + index)
    integrator.step(ladder.steps(EQUILIBRATION_PS))
    return context


def _advance(context: openmm.Context, steps: int, stride: int) -> list[tuple[np.ndarray, float]]:
    frames = []
    for _ in range(steps // stride):
        context.getIntegrator().step(stride)
        state = context.getState(positions=True, energy=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
        frames.append((positions, _energy(state)))
    return frames


def _exchange(
    contexts: Sequence[openmm.Context], ladder: Ladder, lower: int, generator: np.random.Generator
) -> bool:
    """Attempt to swap the structures of two neighbours; velocities are scaled to the temperature they come to."""
    pair = contexts[lower : lower + 2]
    states = [context.getState(positions=True, velocities=True, energy=True) for context in pair]
    cold, hot = ladder.temperatures_K[lower : lower + 2]
    beta_cold, beta_hot = (1 / thermal_energy_kj_per_mol(temperature) for temperature in (cold, hot))
    exponent = (beta_cold - beta_hot) * (_energy(states[0]) - _energy(states[1]))
    if np.log(generator.random()) >= exponent:
        return False
    for context, state, factor in zip(
        pair, states[::-1], (np.sqrt(cold / hot), np.sqrt(hot / cold)), strict=True
    ):
        context.setPositions(state.getPositions())
        context.setVelocities(state.getVelocities(asNumpy=True) * factor)
    return True


def _energy(state: openmm.State) -> float:
    return state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
