"""Structures of a protein that its force field is asked about before any training on frames, and what it answers for rigid residues.

The dynamics moves all atoms. What is learned are residue frames, with the force and the torque of each structure on its own residues, taken
as rigid (`energies.rigid_residues`): not the gradient of the potential of mean force of the frames, which averages over all they leave open.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm.app as app
from jaxtyping import Float

from dig_core.data.proteins import backbone_indices
from dig_core.energies.openmm import openmm_energy
from dig_core.energies.rigid_residues import AtomicEnergy, RigidResidues, residues_of_atoms
from dig_core.runtime import progress
from dig_core.systems.molecule_exploration import relevant_structures
from dig_core.systems.protein import rebuilt
from dig_core.units import ANGSTROM_PER_NM

Arrays = dict[str, np.ndarray]


def explore(
    topology_file: str | Path,
    protein: Mapping[str, np.ndarray],
    study: Mapping[str, Any] | None,
    folder: Path,
) -> Arrays:
    """Backbones with weights and energies and, unless the loss is denoising, forces and torques on their residues.

    Args:
        topology_file: of all atoms, with the structure that the dynamics starts from.
        study: `data`, `pretraining` and `temperature_K` of a study.
        folder: work folder of a dynamics under way.

    Returns:
        As `molecule_exploration.explore`, `positions_angstrom` [frames, atoms, 3] of the backbones; with forces
        `residue_forces_kJ_per_mol_angstrom` in the laboratory and `residue_torques_kJ_per_mol_radian` in the body, both
        [frames, residues, 3].

    Raises:
        ValueError: the study has no `pretraining`.
    """
    file = app.PDBFile(str(topology_file))
    start = {**protein, "positions_angstrom": np.array(file.positions._value) * ANGSTROM_PER_NM}
    found = relevant_structures(topology_file, start, study, folder)
    atoms, corners = found["positions_angstrom"], backbone_indices(file.topology)
    arrays = found | {"positions_angstrom": rebuilt(atoms[:, corners], protein)}
    if study["pretraining"]["loss"]["kind"] == "denoising":
        return arrays
    energy = openmm_energy(topology_file, tuple(study["data"]["force_field"]), study["data"]["platform"])
    forces, torques = on_residues(atoms, corners, residues_of_atoms(file.topology), energy)
    return arrays | {
        "residue_forces_kJ_per_mol_angstrom": forces.astype(np.float32),
        "residue_torques_kJ_per_mol_radian": torques.astype(np.float32),
        "force_calls": arrays["force_calls"] + energy.calls,
    }


def on_residues(
    positions: Float[np.ndarray, "frames atoms 3"],
    corners: np.ndarray,
    residue_of_atom: np.ndarray,
    energy: AtomicEnergy,
) -> tuple[Float[np.ndarray, "frames residues 3"], Float[np.ndarray, "frames residues 3"]]:
    """Forces and torques on the residues of structures, each of which is its own template; one call of the energy each."""
    answers = []
    for structure in progress(positions.astype(float), "explore: forces on residues"):
        rigid = RigidResidues.of(structure, corners, residue_of_atom, energy)
        _, force, torque = rigid(rigid.template_alpha[None], rigid.template_rotations[None])
        answers.append((force[0], torque[0]))
    forces, torques = zip(*answers, strict=True)
    return np.array(forces), np.array(torques)
