"""Molecular dynamics in chunks that survive an interruption; plain, or with a metadynamics bias that is built and then frozen.

Well-tempered metadynamics (Barducci, Bussi, Parrinello, Phys. Rev. Lett. 100, 020603, 2008) fills the wells of two torsions;
afterwards the bias V stands still, the dynamics is at equilibrium under E + V, and a frame of weight exp(V / kT) counts for
the unbiased ensemble.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import fingerprint, progress, stoppable
from dig_core.units import ANGSTROM_PER_NM, PS_PER_FS, PS_PER_NS, thermal_energy_kj_per_mol

EQUILIBRATION_PS = 20.0


@dataclass(frozen=True)
class Metadynamics:
    """Settings of the bias: atoms of the biased torsions (one or two), hills, and how long it grows."""

    torsion_atoms: Sequence[Sequence[int]]
    height_kJ_per_mol: float
    width_deg: float
    bias_factor: float
    deposition_interval_ps: float
    build_duration_ns: float


@dataclass(frozen=True)
class Protocol:
    """One run of Langevin dynamics (LangevinMiddle integrator)."""

    temperature_K: float
    timestep_fs: float
    friction_per_ps: float
    platform: str
    duration_ns: float
    frame_interval_ps: float
    checkpoint_interval_ps: float
    seed: int
    metadynamics: Metadynamics | None = None

    def steps(self, duration_ps: float) -> int:
        """Number of integration steps in a time."""
        return round(duration_ps / (self.timestep_fs * PS_PER_FS))


@dataclass
class Run:
    """A simulation under way: OpenMM's simulation, the growing bias and where its energy is found."""

    simulation: app.Simulation
    protocol: Protocol
    bias: app.Metadynamics | None = None
    bias_groups: set[int] = field(default_factory=set)

    def advance(self, steps: int, building: bool) -> None:
        """Integrate; while the bias is being built, hills are added."""
        self.bias.step(self.simulation, steps) if building else self.simulation.step(steps)

    def frame(self) -> tuple[np.ndarray, float, float]:
        """Positions in Angstrom, potential energy of the molecule and of the bias, kJ/mol."""
        context = self.simulation.context
        state = context.getState(positions=True, energy=True, groups=set(range(32)) - self.bias_groups)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
        bias = (
            context.getState(energy=True, groups=self.bias_groups).getPotentialEnergy()
            if self.bias_groups
            else None
        )
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
        return positions, energy, bias.value_in_unit(unit.kilojoules_per_mole) if bias is not None else 0.0


def simulate(
    system: openmm.System, topology: app.Topology, positions: np.ndarray, protocol: Protocol, folder: Path
):
    """Run (or go on with) one replica; `folder` keeps one file per finished chunk.

    Args:
        positions: start structure, Angstrom [atoms, 3].
        folder: work folder of this replica; the chunks in it are taken as they stand.

    Returns:
        Arrays of all frames after the bias was frozen: `positions_angstrom` [frames, atoms, 3] float32,
        `potential_energy_kJ_per_mol` (without bias), `bias_kJ_per_mol`, `weights` (sum 1), `time_ps`; `cpu_seconds` of the
        whole run; and `bias_grid_kJ_per_mol` [bins, bins] where there is a bias.

    Raises:
        ValueError: coordinates or energies became NaN.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = chunk_plan(protocol)
    mark = fingerprint(
        openmm.XmlSerializer.serialize(system),
        repr(protocol),
        np.asarray(positions, dtype=np.float32).tobytes(),
    )
    done = _finished_chunks(folder, len(chunks), mark)
    if done < len(chunks):
        run = _start(system, topology, positions, protocol, folder, done)
        # A request to end waits for the chunk: keep chunks shorter than the warning that a cluster gives.
        for index in stoppable(progress(range(done, len(chunks)), "simulate: chunks")):
            _run_chunk(run, chunks[index], _chunk_file(folder, index), mark)
    return _collect(folder, chunks, protocol)


def chunk_plan(protocol: Protocol) -> list[tuple[str, int]]:
    """Phase and number of steps of every chunk: the building of the bias, then the production."""
    interval = protocol.steps(protocol.checkpoint_interval_ps)
    phases = [("produce", protocol.steps(protocol.duration_ns * PS_PER_NS))]
    if protocol.metadynamics:
        phases.insert(0, ("build", protocol.steps(protocol.metadynamics.build_duration_ns * PS_PER_NS)))
    return [
        (phase, min(interval, total - first))
        for phase, total in phases
        for first in range(0, total, interval)
    ]


def _run_chunk(run: Run, chunk: tuple[str, int], path: Path, mark: str) -> None:
    phase, steps = chunk
    started = time.process_time()
    stride = run.protocol.steps(run.protocol.frame_interval_ps)
    frames = []
    if phase == "build":
        run.advance(steps, building=True)
    else:
        for _ in range(steps // stride):
            run.advance(stride, building=False)
            frames.append(run.frame())
    context = run.simulation.context
    arrays = _frame_arrays(frames, context.getSystem().getNumParticles())
    if not np.isfinite(context.getState(energy=True).getPotentialEnergy()._value) or not _finite(arrays):
        raise ValueError(
            "expected finite energies; got NaN: the simulation blew up. Use a smaller `timestep_fs`, or check the start structure"
        )
    if run.bias:
        arrays["bias_grid_kJ_per_mol"] = _bias_grid(run.bias)
    checkpoint = np.frombuffer(context.createCheckpoint(), dtype=np.uint8)
    save_arrays(
        path,
        {},
        fingerprint=np.array(mark),
        checkpoint=checkpoint,
        step=run.simulation.currentStep,
        cpu_seconds=time.process_time() - started,
        **arrays,
    )


def _start(system: openmm.System, topology, positions, protocol: Protocol, folder: Path, done: int) -> Run:
    """A run at the beginning, minimised and equilibrated, or where the last finished chunk left it."""
    last = load_arrays(_chunk_file(folder, done - 1)) if done else {}
    bias = _metadynamics(system, protocol, last.get("bias_grid_kJ_per_mol"))
    integrator = openmm.LangevinMiddleIntegrator(
        protocol.temperature_K * unit.kelvin,
        protocol.friction_per_ps / unit.picosecond,
        protocol.timestep_fs * unit.femtosecond,
    )
    integrator.setRandomNumberSeed(protocol.seed)
    simulation = app.Simulation(
        topology, system, integrator, openmm.Platform.getPlatformByName(protocol.platform)
    )
    groups = {system.getForce(system.getNumForces() - 1).getForceGroup()} if bias else set()
    if last:
        simulation.context.loadCheckpoint(last["checkpoint"].tobytes())
    else:
        simulation.context.setPositions(np.asarray(positions, dtype=float) / ANGSTROM_PER_NM)
        simulation.minimizeEnergy()
        simulation.context.setVelocitiesToTemperature(protocol.temperature_K * unit.kelvin, protocol.seed)
        simulation.step(protocol.steps(EQUILIBRATION_PS))
        simulation.currentStep = 0
    return Run(simulation, protocol, bias, groups)


def _metadynamics(
    system: openmm.System, protocol: Protocol, grid: np.ndarray | None
) -> app.Metadynamics | None:
    """OpenMM's well-tempered metadynamics on the torsions; a grid from a checkpoint is taken up as another walker's bias."""
    settings = protocol.metadynamics
    if settings is None:
        return None
    variables = []
    for atoms in settings.torsion_atoms:
        torsion = openmm.CustomTorsionForce("theta")
        torsion.addTorsion(*atoms)
        variables.append(
            app.BiasVariable(torsion, -np.pi, np.pi, np.deg2rad(settings.width_deg), periodic=True)
        )
    frequency = protocol.steps(settings.deposition_interval_ps)
    with tempfile.TemporaryDirectory() as folder:
        if grid is not None:
            np.save(Path(folder, "bias_0_0.npy"), grid)
        bias = app.Metadynamics(
            system,
            variables,
            protocol.temperature_K * unit.kelvin,
            settings.bias_factor,
            settings.height_kJ_per_mol * unit.kilojoules_per_mole,
            frequency,
            saveFrequency=frequency,
            biasDir=folder,
        )
    bias.biasDir = None  # the grid has been read; the chunks keep it from now on
    return bias


def _bias_grid(bias: app.Metadynamics) -> np.ndarray:
    """The bias in kJ/mol, to the last bit: by way of `getFreeEnergy` a run that goes on would be another one."""
    return bias._totalBias.copy()


def _frame_arrays(frames: list, atoms: int) -> dict[str, np.ndarray]:
    return {
        "positions_angstrom": np.array([f[0] for f in frames], dtype=np.float32).reshape(-1, atoms, 3),
        "potential_energy_kJ_per_mol": np.array([f[1] for f in frames]),
        "bias_kJ_per_mol": np.array([f[2] for f in frames]),
    }


def _finite(arrays: dict[str, np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in arrays.values())


def _collect(folder: Path, chunks: list[tuple[str, int]], protocol: Protocol) -> dict[str, np.ndarray]:
    produced = [
        load_arrays(_chunk_file(folder, i)) for i, (phase, _) in enumerate(chunks) if phase == "produce"
    ]
    names = ("positions_angstrom", "potential_energy_kJ_per_mol", "bias_kJ_per_mol")
    arrays = {name: np.concatenate([chunk[name] for chunk in produced]) for name in names}
    log_weights = arrays["bias_kJ_per_mol"] / thermal_energy_kj_per_mol(protocol.temperature_K)
    weights = np.exp(log_weights - log_weights.max())
    arrays["weights"] = weights / weights.sum()
    arrays["time_ps"] = protocol.frame_interval_ps * np.arange(1, len(weights) + 1)
    arrays["cpu_seconds"] = np.sum(
        [load_arrays(_chunk_file(folder, i))["cpu_seconds"] for i in range(len(chunks))]
    )
    if "bias_grid_kJ_per_mol" in produced[-1]:
        arrays["bias_grid_kJ_per_mol"] = produced[-1]["bias_grid_kJ_per_mol"]
    return arrays


def _finished_chunks(folder: Path, total: int, mark: str) -> int:
    """How many chunks from the first on are whole and of this run; whatever stands behind a broken one is run again."""
    return next((i for i in range(total) if not _usable(_chunk_file(folder, i), mark)), total)


def _usable(path: Path, mark: str) -> bool:
    try:
        return str(load_arrays(path, required=["checkpoint", "step", "fingerprint"])["fingerprint"]) == mark
    except (FileNotFoundError, ValueError):  # absent, or cut off by a full disk: run this chunk again
        return False


def _chunk_file(folder: Path, index: int) -> Path:
    return folder / f"chunk_{index:05d}.npz"
