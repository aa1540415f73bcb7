"""Molecular dynamics in chunks that survive an interruption; plain, or with a metadynamics bias that is built and then frozen.

Well-tempered metadynamics (Barducci, Bussi, Parrinello, Phys. Rev. Lett. 100, 020603, 2008) fills the wells of two torsions;
afterwards the bias V stands still, the dynamics is at equilibrium under E + V, and a frame of weight exp(V / kT) counts for
the unbiased ensemble.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit

from dig_core.data.chunks import Arrays, Chunk, Chunks, chunks_of, expect_finite, restart_point
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
    plan = chunk_plan(protocol)
    chunks = chunks_of(folder, len(plan), system, positions, protocol)

    def start(last: Arrays) -> Chunk:
        """What runs a chunk, from where the last one ended."""
        run = _start(system, topology, positions, protocol, last)
        return lambda index: _run_chunk(run, plan[index])

    chunks.run(start, "simulate: chunks")
    return _collect(chunks, plan, protocol)


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


def _run_chunk(run: Run, chunk: tuple[str, int]) -> Arrays:
    phase, steps = chunk
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
    energy = context.getState(energy=True).getPotentialEnergy()._value
    expect_finite(arrays | {"energy": np.array(energy)})
    if run.bias:
        arrays["bias_grid_kJ_per_mol"] = _bias_grid(run.bias)
    return arrays | {"checkpoint": restart_point(context)}


def langevin(protocol: Protocol, temperature_K: float, seed: int) -> openmm.LangevinMiddleIntegrator:
    """The integrator of a run, at a temperature of its own."""
    integrator = openmm.LangevinMiddleIntegrator(
        temperature_K * unit.kelvin,
        protocol.friction_per_ps / unit.picosecond,
        protocol.timestep_fs * unit.femtosecond,
    )
    integrator.setRandomNumberSeed(seed)
    return integrator


def equilibrate(context: openmm.Context, positions: np.ndarray, protocol: Protocol, seed: int) -> None:
    """Minimise the energy from positions in Angstrom, and run for a short time at the temperature of the integrator."""
    integrator = context.getIntegrator()
    context.setPositions(np.asarray(positions, dtype=float) / ANGSTROM_PER_NM)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(integrator.getTemperature(), seed)
    integrator.step(protocol.steps(EQUILIBRATION_PS))


def _start(system: openmm.System, topology, positions, protocol: Protocol, last: Arrays) -> Run:
    """A run at the beginning, minimised and equilibrated, or where the last finished chunk left it."""
    bias = _metadynamics(system, protocol, last.get("bias_grid_kJ_per_mol"))
    integrator = langevin(protocol, protocol.temperature_K, protocol.seed)
    simulation = app.Simulation(
        topology, system, integrator, openmm.Platform.getPlatformByName(protocol.platform)
    )
    groups = {system.getForce(system.getNumForces() - 1).getForceGroup()} if bias else set()
    if last:
        simulation.context.loadCheckpoint(last["checkpoint"].tobytes())
    else:
        equilibrate(simulation.context, positions, protocol, protocol.seed)
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


def _collect(chunks: Chunks, plan: list[tuple[str, int]], protocol: Protocol) -> Arrays:
    whole = [chunks.arrays(index) for index in range(chunks.total)]
    produced = [chunk for chunk, (phase, _) in zip(whole, plan, strict=True) if phase == "produce"]
    names = ("positions_angstrom", "potential_energy_kJ_per_mol", "bias_kJ_per_mol")
    arrays = {name: np.concatenate([chunk[name] for chunk in produced]) for name in names}
    log_weights = arrays["bias_kJ_per_mol"] / thermal_energy_kj_per_mol(protocol.temperature_K)
    weights = np.exp(log_weights - log_weights.max())
    arrays["weights"] = weights / weights.sum()
    arrays["time_ps"] = protocol.frame_interval_ps * np.arange(1, len(weights) + 1)
    arrays["cpu_seconds"] = np.sum([chunk["cpu_seconds"] for chunk in whole])
    if "bias_grid_kJ_per_mol" in produced[-1]:
        arrays["bias_grid_kJ_per_mol"] = produced[-1]["bias_grid_kJ_per_mol"]
    return arrays
