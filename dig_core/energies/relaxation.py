"""A short Langevin run with the true forces that relaxes drawn structures, each from its own start.

Langevin dynamics leaves the Boltzmann distribution as it is, so that a right ensemble stays right; strained bonds and angles
lose their energy within some 0.1 ps where the friction is high enough to carry it away (at 1 / ps it is not), while the
weights of basins stay what they were.
"""

from dataclasses import dataclass

import numpy as np
import openmm
import openmm.unit as unit
from jaxtyping import Bool, Float

from dig_core.runtime import progress
from dig_core.units import ANGSTROM_PER_NM, PS_PER_FS, thermal_energy_kj_per_mol

# A strained structure first creeps: short steps, so damped that no velocity builds up.
GENTLE_STEPS = 20
GENTLE_TIMESTEP_FRACTION = 0.25
GENTLE_FRICTION_PER_STEP = 0.5
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Relaxation:
    """The run of every structure (LangevinMiddle): `steps` after `GENTLE_STEPS` shorter ones."""

    steps: int
    timestep_fs: float
    friction_per_ps: float
    temperature_K: float
    seed: int
    platform: str = "Reference"

    @property
    def stages(self) -> tuple[tuple[int, float, float], ...]:
        """Number of steps, time step in ps and friction in 1/ps of the gentle start and of the run proper."""
        step_ps = self.timestep_fs * PS_PER_FS
        gentle_ps = GENTLE_TIMESTEP_FRACTION * step_ps
        gentle = GENTLE_STEPS, gentle_ps, max(GENTLE_FRICTION_PER_STEP / gentle_ps, self.friction_per_ps)
        return gentle, (self.steps, step_ps, self.friction_per_ps)


@dataclass(frozen=True)
class Relaxed:
    """Structures after their run; where `relaxed` is false it failed, and the structure kept its positions and its energy.

    `positions` in Angstrom; `energies_before` and `energies` in kJ/mol, infinite where they are not finite; `energy_calls`
    and `force_calls` count all computed energies and forces, also those of failed runs.
    """

    positions: Float[np.ndarray, "structures atoms 3"]
    relaxed: Bool[np.ndarray, " structures"]
    energies_before: Float[np.ndarray, " structures"]
    energies: Float[np.ndarray, " structures"]
    energy_calls: int
    force_calls: int


def relax(
    system: openmm.System, positions: Float[np.ndarray, "structures atoms 3"], settings: Relaxation
) -> Relaxed:
    """Run Langevin dynamics from every structure, with velocities drawn at the temperature.

    The result of structure i depends on the seed, on i and on its start alone. A run has failed when it ends in numbers
    that are not finite, at a potential energy far above its start, or still hot: by more than 3 (N + 10) kT each. N atoms
    at rest in a minimum gain 3/2 N kT of each on average.

    Args:
        system: without constraints.
        positions: starts in Angstrom; those that are not finite count as failed.
    """
    context = _context(system, settings)
    starts = np.asarray(positions, dtype=float)
    numbered = progress(enumerate(starts), "relax: structures", total=len(starts))
    runs = [_run(context, start, settings, index) for index, start in numbered]
    ends = np.array([run.end for run in runs]).reshape(starts.shape)
    before, after, kinetic = (
        np.array([getattr(run, name) for run in runs]) for name in ("before", "after", "kinetic")
    )
    most = 3 * (starts.shape[1] + 10) * thermal_energy_kj_per_mol(settings.temperature_K)
    calm = np.isfinite(after) & (after <= before + most) & (kinetic <= most)
    succeeded = calm & np.isfinite(ends).all(axis=(1, 2))
    return Relaxed(
        np.where(succeeded[:, None, None], ends, starts),
        succeeded,
        before,
        np.where(succeeded, after, before),
        sum(run.energy_calls for run in runs),
        sum(run.force_calls for run in runs),
    )


def structure_seeds(seed: int, index: int) -> tuple[int, int]:
    """Seeds of a structure's velocities and of its random forces: 1 ... 2^31 - 1, since 0 means any to OpenMM."""
    words = np.random.SeedSequence((seed, index)).generate_state(2)
    first, second = (int(word) % LARGEST_SEED + 1 for word in words)
    return first, second


@dataclass(frozen=True)
class _Run:
    """Positions at the end (Angstrom); potential energies before and after and kinetic energy after (kJ/mol, infinite
    where not finite); what it took."""

    end: np.ndarray
    before: float = np.inf
    after: float = np.inf
    kinetic: float = np.inf
    energy_calls: int = 0
    force_calls: int = 0


def _context(system: openmm.System, settings: Relaxation) -> openmm.Context:
    _, step_ps, friction_per_ps = settings.stages[0]
    integrator = openmm.LangevinMiddleIntegrator(settings.temperature_K, friction_per_ps, step_ps)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(settings.platform))


def _run(context: openmm.Context, start: np.ndarray, settings: Relaxation, index: int) -> _Run:
    if not np.isfinite(start).all():
        return _Run(start)
    velocity_seed, force_seed = structure_seeds(settings.seed, index)
    context.getIntegrator().setRandomNumberSeed(force_seed)
    context.reinitialize()  # from here on the seed counts, and nothing of the structure before
    context.setPositions(start / ANGSTROM_PER_NM)
    context.setVelocitiesToTemperature(settings.temperature_K, velocity_seed)
    _, before, _ = _state(context)
    finished = _integrate(context, settings)
    end, after, kinetic = _state(context) if finished else (start, np.inf, np.inf)
    return _Run(end, before, after, kinetic, 1 + finished, context.getStepCount())


def _integrate(context: openmm.Context, settings: Relaxation) -> bool:
    """Make all steps; false where OpenMM gave up on coordinates that are no numbers."""
    integrator = context.getIntegrator()
    try:
        for steps, step_ps, friction_per_ps in settings.stages:
            integrator.setStepSize(step_ps)
            integrator.setFriction(friction_per_ps)
            integrator.step(steps)
    except openmm.OpenMMException as error:
        if "nan" not in str(error).lower():
            raise
        return False
    return True


def _state(context: openmm.Context) -> tuple[np.ndarray, float, float]:
    """Positions in Angstrom, potential and kinetic energy in kJ/mol."""
    state = context.getState(energy=True, positions=True)
    energies = (
        energy.value_in_unit(unit.kilojoules_per_mole)
        for energy in (state.getPotentialEnergy(), state.getKineticEnergy())
    )
    potential, kinetic = (energy if np.isfinite(energy) else np.inf for energy in energies)
    return (
        state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM,
        potential,
        kinetic,
    )
