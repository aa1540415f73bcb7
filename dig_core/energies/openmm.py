"""Potential energies and forces of a molecule from an OpenMM force field.

Named like the package it adapts; absolute imports keep the two apart.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
from jaxtyping import Float

from dig_core.runtime import progress
from dig_core.units import ANGSTROM_PER_NM

CONSTRAINTS = {None: None, "bonds_to_hydrogen": app.HBonds}


def force_field(files: tuple[str, ...]) -> app.ForceField:
    """OpenMM's force field from the names of its XML files.

    Raises:
        ValueError: a file that OpenMM neither ships nor finds.
    """
    try:
        return app.ForceField(*files)
    except ValueError as error:
        raise ValueError(
            f"expected force-field files that OpenMM ships; got {', '.join(files)} ({error}). Correct `force_field:`"
        ) from error


def molecular_system(
    topology: app.Topology,
    field: app.ForceField,
    hydrogen_mass_amu: float,
    constraints: Literal["bonds_to_hydrogen"] | None = None,
) -> openmm.System:
    """The system without cutoff; unconstrained where densities are compared with energies: constrained bonds have none.

    Hydrogens of 3 amu (mass taken from their neighbour) keep 2 fs stable without constraints; masses do not touch the
    distribution of positions.

    Raises:
        ValueError: a residue without parameters in this force field.
    """
    try:
        return field.createSystem(
            topology,
            nonbondedMethod=app.NoCutoff,
            constraints=CONSTRAINTS[constraints],
            rigidWater=False,
            hydrogenMass=hydrogen_mass_amu * unit.amu,
            removeCMMotion=False,
        )
    except (ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"expected a molecule that the force field has parameters for; got one it has not ({reason}). "
            "Use standard amino acids, or your own frames with `data: {source: trajectory}`"
        ) from error


def openmm_energy(
    topology_file: str | Path, force_field_files: tuple[str, ...], platform: str = "Reference"
) -> "OpenMMEnergy":
    """The energy function of a molecule; masses do not enter it."""
    topology = app.PDBFile(str(topology_file)).topology
    return OpenMMEnergy(molecular_system(topology, force_field(tuple(force_field_files)), 3.0), platform)


def frame_forces(
    energy: "OpenMMEnergy", positions_angstrom: Float[np.ndarray, "frames atoms 3"]
) -> dict[str, np.ndarray]:
    """`forces_kJ_per_mol_angstrom` [frames, atoms, 3] on all frames, and `force_calls`: one each."""
    forces = [energy(frame[None])[1][0] for frame in progress(positions_angstrom, "forces: frames")]
    return {
        "forces_kJ_per_mol_angstrom": np.array(forces, dtype=np.float32),
        "force_calls": np.array(len(forces)),
    }


class OpenMMEnergy:
    """energy(positions) -> energies, forces for batches of structures; one context, reused.

    Positions are not passed through `counted_positions`, which refuses all if one is not finite: a solver may leave such
    structures, and with OpenMM's Reference platform their energies are not finite, and those of the others are right.
    """

    def __init__(self, system: openmm.System, platform: str = "Reference"):
        integrator = openmm.VerletIntegrator(0.001)  # a context needs one; it never moves
        self.context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
        self.calls = 0

    def __call__(
        self, positions: Float[np.ndarray, "batch atoms 3"]
    ) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, "batch atoms 3"]]:
        """Energies in kJ/mol and forces in kJ/mol/Angstrom of positions in Angstrom."""
        results = [self._single(structure) for structure in positions]
        self.calls += len(results)
        return np.array([energy for energy, _ in results]), np.array([force for _, force in results])

    def _single(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        self.context.setPositions(np.asarray(positions, dtype=float) / ANGSTROM_PER_NM)
        state = self.context.getState(energy=True, forces=True)
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoules_per_mole / unit.nanometer)
        return state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole), forces / ANGSTROM_PER_NM
