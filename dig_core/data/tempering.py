"""Parallel tempering: replicas at several temperatures that exchange structures (Sugita, Okamoto, Chem. Phys. Lett. 314, 141, 1999).

Neighbouring replicas i and j swap with probability min(1, exp((1/kT_i - 1/kT_j) (E_i - E_j))), which leaves the distribution of
each temperature as it is; hot replicas cross barriers, and cold ones inherit what they found. A *walker* is a structure with its continuous
history: it starts at one temperature and is swapped to others.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
import openmm.unit as unit

from dig_core.data.chunks import Arrays, Chunk, Chunks, chunks_of, expect_finite, restart_point
from dig_core.data.simulation import EQUILIBRATION_PS, Protocol, equilibrate, langevin
from dig_core.units import ANGSTROM_PER_NM, PS_PER_NS, thermal_energy_kj_per_mol


@dataclass(frozen=True)
class Ladder:
    """How the replicas run: that at the study's temperature as `protocol` says, the others likewise at higher temperatures."""

    protocol: Protocol
    higher_temperatures_K: Sequence[float]
    exchange_interval_ps: float

    @property
    def temperatures_K(self) -> tuple[float, ...]:
        """All temperatures, the study's first."""
        return (self.protocol.temperature_K, *self.higher_temperatures_K)

    @property
    def seeds(self) -> list[int]:
        """A seed for each replica, none of which a ladder with the next seed has."""
        count = len(self.temperatures_K)
        return [count * self.protocol.seed + index + 1 for index in range(count)]


@dataclass
class Run:
    """Replicas under way: a context for each temperature, and the number of the walker that is there."""

    contexts: list[openmm.Context]
    ladder: Ladder
    generator: np.random.Generator
    walkers: np.ndarray
    rounds: int = 0
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self):
        self.pool = ThreadPoolExecutor(_replicas_at_once(self.ladder.protocol.platform))


def parallel_tempering(
    system: openmm.System, positions: np.ndarray, ladder: Ladder, folder: Path, observed: Sequence[int] = ()
) -> Arrays:
    """Run (or go on with) all replicas; `folder` keeps one file per finished chunk.

    Between exchanges replicas run on the threads that the job has, each on one; what comes out does not depend on their number.

    Args:
        positions: start structure of every replica, Angstrom [atoms, 3].
        observed: atoms whose positions are kept at every temperature, at the end of every round.

    Returns:
        Frames at the first temperature: `positions_angstrom` [frames, atoms, 3], `weights` (equal, sum 1), `potential_energy_kJ_per_mol`,
        `time_ps`; `temperatures_K` [temperatures], `exchange_fraction` [pairs] (accepted), `walkers` [rounds, temperatures] (which walker was there
        during the round), `observed_angstrom` [rounds, temperatures, observed, 3]; `force_calls` (of all replicas), `cpu_seconds`.

    Raises:
        ValueError: coordinates or energies became NaN.
    """
    rounds = chunk_rounds(ladder)
    chunks = chunks_of(folder, len(rounds), system, positions, (ladder, tuple(observed)))

    def start(last: Arrays) -> Chunk:
        """What runs a chunk, from where the last one ended."""
        run = _start(system, positions, ladder, last)
        return lambda index: _run_chunk(run, rounds[index], observed)

    chunks.run(start, "parallel tempering: chunks")
    return _collect(chunks, ladder)


def chunk_rounds(ladder: Ladder) -> list[int]:
    """Number of rounds, each of which ends with an exchange, of every chunk."""
    protocol = ladder.protocol
    interval = protocol.steps(ladder.exchange_interval_ps)
    total = protocol.steps(protocol.duration_ns * PS_PER_NS) // interval
    most = max(1, protocol.steps(protocol.checkpoint_interval_ps) // interval)
    return [min(most, total - first) for first in range(0, total, most)]


def _start(system: openmm.System, positions: np.ndarray, ladder: Ladder, last: Arrays) -> Run:
    """Replicas at the beginning, minimised and equilibrated, or where the last finished chunk left them."""
    protocol, temperatures = ladder.protocol, ladder.temperatures_K
    platform = openmm.Platform.getPlatformByName(protocol.platform)
    one_thread = {"Threads": "1"} if protocol.platform == "CPU" else {}
    integrators = [
        langevin(protocol, temperature, seed)
        for temperature, seed in zip(temperatures, ladder.seeds, strict=True)
    ]
    contexts = [openmm.Context(system, integrator, platform, one_thread) for integrator in integrators]
    generator = np.random.default_rng(protocol.seed)
    if not last:
        for context, seed in zip(contexts, ladder.seeds, strict=True):
            equilibrate(context, positions, protocol, seed)
        return Run(contexts, ladder, generator, np.arange(len(temperatures)))
    for index, context in enumerate(contexts):
        context.loadCheckpoint(last[f"checkpoint_{index}"].tobytes())
    generator.bit_generator.state = json.loads(str(last["generator"]))
    return Run(contexts, ladder, generator, last["next_walkers"], int(last["rounds_done"]))


def _run_chunk(run: Run, rounds: int, observed: Sequence[int]) -> Arrays:
    """Frames, exchanges and walkers of so many rounds, and what the next chunk starts from."""
    frames, walkers, seen = [], [], []
    trials = np.zeros((2, len(run.contexts) - 1), dtype=int)  # attempted, accepted
    for _ in range(rounds):
        frames += _advance(run)
        walkers.append(run.walkers.copy())
        seen.append([_positions(_state(context))[list(observed)] for context in run.contexts])
        trials += _exchanges(run)
    arrays = {
        "positions_angstrom": np.array([x for x, _ in frames], dtype=np.float32),
        "potential_energy_kJ_per_mol": np.array([energy for _, energy in frames]),
        "observed_angstrom": np.array(seen, dtype=np.float32),
    }
    energies = np.array([_energy(_state(context)) for context in run.contexts])
    expect_finite(arrays | {"energies": energies})
    return arrays | {"walkers": np.array(walkers), "exchange_trials": trials} | _restart_points(run)


def _restart_points(run: Run) -> Arrays:
    points = {f"checkpoint_{index}": restart_point(context) for index, context in enumerate(run.contexts)}
    state = np.array(json.dumps(run.generator.bit_generator.state))
    return points | {
        "generator": state,
        "next_walkers": run.walkers.copy(),
        "rounds_done": np.array(run.rounds),
    }


def _advance(run: Run) -> list[tuple[np.ndarray, float]]:
    """Integrate all replicas until the next exchange; positions and energies of the frames at the first temperature."""
    steps = run.ladder.protocol.steps(run.ladder.exchange_interval_ps)
    hot = [run.pool.submit(context.getIntegrator().step, steps) for context in run.contexts[1:]]
    cold = run.pool.submit(_frames, run.contexts[0], run.ladder.protocol, steps)
    for replica in hot:
        replica.result()  # an error in one is an error of the run
    return cold.result()


def _frames(context: openmm.Context, protocol: Protocol, steps: int) -> list[tuple[np.ndarray, float]]:
    frames, stride = [], protocol.steps(protocol.frame_interval_ps)
    for _ in range(steps // stride):
        context.getIntegrator().step(stride)
        state = _state(context)
        frames.append((_positions(state), _energy(state)))
    return frames


def _exchanges(run: Run) -> np.ndarray:
    """Attempt to swap neighbours: pairs (0, 1), (2, 3), ... and (1, 2), (3, 4), ... take turns; attempted and accepted ones [2, pairs]."""
    trials = np.zeros((2, len(run.contexts) - 1), dtype=int)
    for lower in range(run.rounds % 2, len(run.contexts) - 1, 2):
        trials[:, lower] = 1, _exchange(run, lower)
    run.rounds += 1
    return trials


def _exchange(run: Run, lower: int) -> bool:
    """Attempt to swap the structures of two neighbours; velocities are scaled to the temperature they come to."""
    pair = run.contexts[lower : lower + 2]
    states = [_state(context) for context in pair]
    cold, hot = run.ladder.temperatures_K[lower : lower + 2]
    beta_cold, beta_hot = (1 / thermal_energy_kj_per_mol(temperature) for temperature in (cold, hot))
    exponent = (beta_cold - beta_hot) * (_energy(states[0]) - _energy(states[1]))
    if np.log(run.generator.random()) >= exponent:
        return False
    factors = np.sqrt(cold / hot), np.sqrt(hot / cold)
    for context, state, factor in zip(pair, states[::-1], factors, strict=True):
        context.setPositions(state.getPositions())
        context.setVelocities(state.getVelocities(asNumpy=True) * factor)
    run.walkers[[lower, lower + 1]] = run.walkers[[lower + 1, lower]]
    return True


def _collect(chunks: Chunks, ladder: Ladder) -> Arrays:
    whole = [chunks.arrays(index) for index in range(chunks.total)]
    names = ("positions_angstrom", "potential_energy_kJ_per_mol", "walkers", "observed_angstrom")
    arrays = {name: np.concatenate([chunk[name] for chunk in whole]) for name in names}
    attempted, accepted = np.sum([chunk["exchange_trials"] for chunk in whole], axis=0)
    count, protocol = len(arrays["positions_angstrom"]), ladder.protocol
    steps = len(arrays["walkers"]) * protocol.steps(ladder.exchange_interval_ps)
    equilibration = protocol.steps(EQUILIBRATION_PS)
    return arrays | {
        "weights": np.full(count, 1.0 / count),
        "time_ps": protocol.frame_interval_ps * np.arange(1, count + 1),
        "temperatures_K": np.array(ladder.temperatures_K),
        "exchange_fraction": accepted / np.maximum(attempted, 1),
        "force_calls": np.array(len(ladder.temperatures_K) * (steps + equilibration)),
        "cpu_seconds": np.sum([chunk["cpu_seconds"] for chunk in whole]),
    }


def _replicas_at_once(platform: str) -> int:
    """The threads that OpenMM may use; one with Reference, whose contexts draw from one stream of random numbers."""
    return 1 if platform == "Reference" else int(os.environ.get("OPENMM_CPU_THREADS", "1"))


def _state(context: openmm.Context) -> openmm.State:
    return context.getState(positions=True, velocities=True, energy=True)


def _positions(state: openmm.State) -> np.ndarray:
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM


def _energy(state: openmm.State) -> float:
    return state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
