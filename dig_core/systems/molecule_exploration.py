"""Structures of a molecule that its force field is asked about before any training on frames, and what it answers.

Every call of the force field is counted: steps of the dynamics, and structures whose forces are wanted afterwards.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import openmm.app as app
from jaxtyping import Float

from dig_core.data import simulation, tempering
from dig_core.energies.openmm import OpenMMEnergy, force_field, frame_forces, molecular_system, openmm_energy
from dig_core.runtime import progress
from dig_core.systems.molecule import metadynamics
from dig_core.units import PS_PER_NS

DISPLACEMENT_ANGSTROM = 1e-3
Arrays = dict[str, np.ndarray]


def explore(
    topology_file: str | Path,
    molecule: Mapping[str, np.ndarray],
    study: Mapping[str, Any] | None,
    folder: Path,
) -> Arrays:
    """Structures with weights, energies and what the loss of the pre-training needs of the force field.

    Args:
        study: `data`, `pretraining` and `temperature_K` of a study, and `control_variate` of its training.
        folder: work folder of a dynamics under way.

    Returns:
        `positions_angstrom` [frames, atoms, 3], `weights` (sum 1; equal for hot dynamics, where they mean nothing),
        `potential_energy_kJ_per_mol` [frames], `force_calls`, `cpu_seconds`; unless the loss is denoising without a control
        variate `forces_kJ_per_mol_angstrom` [frames, atoms, 3]; for the loss on forces `hessians_kJ_per_mol_angstrom2`
        [frames, 3 atoms, 3 atoms], by central differences of forces.

    Raises:
        ValueError: the study has no `pretraining`.
    """
    arrays = relevant_structures(topology_file, molecule, study, folder)
    data, loss = study["data"], study["pretraining"]["loss"]["kind"]
    # What the bias adds to a system must not reach the energies that are learned.
    energy = openmm_energy(topology_file, tuple(data["force_field"]), data["platform"])
    if loss == "denoising":
        return arrays | _forces(energy, arrays, study["control_variate"])
    return arrays | _answers(energy, arrays, loss)


def relevant_structures(
    topology_file: str | Path,
    molecule: Mapping[str, np.ndarray],
    study: Mapping[str, Any] | None,
    folder: Path,
) -> Arrays:
    """What `explore` returns without forces, and its errors; of all atoms in the file."""
    if study is None:
        raise ValueError(
            "expected pretraining in the study; got null. Add it, or do not ask for model/pretrained.pt"
        )
    data, settings = study["data"], study["pretraining"]
    topology = app.PDBFile(str(topology_file)).topology
    field = force_field(tuple(data["force_field"]))
    system = molecular_system(topology, field, data["hydrogen_mass_amu"], data.get("constraints"))
    if settings["structures"]["kind"] == "parallel_tempering":
        found = tempering.parallel_tempering(system, molecule["positions_angstrom"], _ladder(study), folder)
    else:
        found = _dynamics(system, topology, molecule, study, folder)
    names = ("positions_angstrom", "weights", "potential_energy_kJ_per_mol", "force_calls", "cpu_seconds")
    return {name: found[name] for name in names}


def _dynamics(
    system: openmm.System,
    topology: app.Topology,
    molecule: Mapping[str, np.ndarray],
    study: Mapping[str, Any],
    folder: Path,
) -> Arrays:
    """One run of hot, or of biased dynamics."""
    data, own = study["data"], study["pretraining"]["structures"]
    hot = own["kind"] == "hot_dynamics"
    bias = None if hot else {**data["bias"], "build_duration_ns": own["build_duration_ns"]}
    protocol = _protocol(
        study,
        temperature_K=own["temperature_K"] if hot else study["temperature_K"],
        metadynamics=metadynamics(bias, molecule["backbone_torsions"]),
    )
    found = simulation.simulate(system, topology, molecule["positions_angstrom"], protocol, folder)
    time_ns = own["duration_ns"] + (0.0 if hot else own["build_duration_ns"])
    calls = protocol.steps(time_ns * PS_PER_NS + simulation.EQUILIBRATION_PS)
    return found | {"force_calls": np.array(calls)}


def _ladder(study: Mapping[str, Any]) -> tempering.Ladder:
    own = study["pretraining"]["structures"]
    protocol = _protocol(study, temperature_K=study["temperature_K"])
    return tempering.Ladder(protocol, own["higher_temperatures_K"], own["exchange_interval_ps"])


def _protocol(study: Mapping[str, Any], **own: Any) -> simulation.Protocol:
    """A run with the times of the pre-training, its seed, and the rest as the study's own dynamics has it."""
    data, structures = study["data"], study["pretraining"]["structures"]
    names = ("timestep_fs", "friction_per_ps", "platform", "checkpoint_interval_ps")
    return simulation.Protocol(
        seed=study["pretraining"]["seed"],
        **{name: data[name] for name in names},
        **{name: structures[name] for name in ("duration_ns", "frame_interval_ps")},
        **own,
    )


def _forces(energy: OpenMMEnergy, arrays: Arrays, control_variate: str | None) -> Arrays:
    """Forces where denoising wants them, with all calls counted."""
    if control_variate is None:
        return {}
    found = frame_forces(energy, arrays["positions_angstrom"])
    return found | {"force_calls": arrays["force_calls"] + found["force_calls"]}


def _answers(energy: OpenMMEnergy, arrays: Arrays, loss: str) -> Arrays:
    """Energies and forces, and Hessians where they are wanted, with all calls counted."""
    positions = arrays["positions_angstrom"].astype(float)
    energies, forces = energy(positions)
    answers = {"potential_energy_kJ_per_mol": energies, "forces_kJ_per_mol_angstrom": forces}
    if loss == "forces":
        found = [hessian(energy, structure) for structure in progress(positions, "explore: Hessians")]
        answers["hessians_kJ_per_mol_angstrom2"] = np.array(found, dtype=np.float32)
    return answers | {"force_calls": arrays["force_calls"] + energy.calls}


def hessian(
    energy: OpenMMEnergy, positions: Float[np.ndarray, "atoms 3"]
) -> Float[np.ndarray, "coordinates coordinates"]:
    """Second derivatives of the energy in kJ/mol/Angstrom^2: central differences of the forces, made symmetric."""
    steps = DISPLACEMENT_ANGSTROM * np.eye(positions.size).reshape(-1, *positions.shape)
    (_, forward), (_, backward) = energy(positions + steps), energy(positions - steps)
    slopes = (backward - forward).reshape(positions.size, -1) / (2 * DISPLACEMENT_ANGSTROM)
    return 0.5 * (slopes + slopes.T)
