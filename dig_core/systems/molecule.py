"""Kind `molecule`: all atoms of one molecule in Cartesian coordinates, mean-free, in units of the data's standard deviation.

Here the parts meet: force field and features, process and network, frames and loss.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm.app as app
import openmm.unit as unit
from jaxtyping import Float

from dig_core.data import datasets, molecules, simulation
from dig_core.data.features import descriptor_hash, molecular_features
from dig_core.energies.openmm import force_field, molecular_system
from dig_core.energies.openmm import openmm_energy as energies
from dig_core.evaluation import validity
from dig_core.systems.molecule_denoising import denoising_loss
from dig_core.systems.molecule_model import accelerated, network, trained_model
from dig_core.systems.molecule_subset import subset
from dig_core.units import ANGSTROM_PER_NM

# What a kind of system offers to the jobs; see dig_core.systems.
__all__ = [
    "accelerated", "build", "denoising_loss", "descriptor_hash", "energies", "metadynamics", "network", "physical_filter", "read_frames",
    "run_dynamics", "subset", "topology_pdb", "trained_model",
]  # fmt: skip


def build(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """Topology and descriptor arrays (features, bonds, start structure) of a target.

    Args:
        target: one of `sequence`, `smiles`, `pdb`.
        data: the study's `data` settings; with frames of a user their topology decides, and a sequence is checked against it.
    """
    files = data.get("force_field")
    field = force_field(tuple(files)) if files else None
    if data["source"] == "trajectory":
        topology, positions = _from_trajectory(target, data)
    elif target.get("sequence"):
        topology, positions = molecules.from_sequence(target["sequence"], field)
    elif target.get("smiles"):
        topology, positions = molecules.from_smiles(target["smiles"])
    else:
        topology, positions = molecules.from_pdb(target["pdb"], field)
    if field is not None:
        molecular_system(topology, field, hydrogen_mass_amu=3.0)  # refused here, before anything long has run
    features = molecular_features(molecules.rdkit_molecule(topology, positions))
    metadynamics(data.get("bias"), features["backbone_torsions"])  # as well
    return topology, features | {"positions_angstrom": np.asarray(positions, dtype=np.float32)}


def _from_trajectory(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, np.ndarray]:
    frame = datasets.first_frame(data["files"][0], data)
    names = "-".join(residue.name for residue in frame.topology.residues)
    if target.get("sequence") not in (None, names):
        raise ValueError(
            f"expected frames of {target['sequence']}; got {names} in {data['topology']}. Correct `sequence:` or `topology:`"
        )
    return frame.topology.to_openmm(), frame.xyz[0] * ANGSTROM_PER_NM


def topology_pdb(topology: app.Topology, positions: Float[np.ndarray, "atoms 3"]) -> str:
    """A topology with one structure (Angstrom) as PDB text."""
    text = io.StringIO()
    app.PDBFile.writeFile(topology, positions * unit.angstrom, text, keepIds=True)
    return text.getvalue()


def run_dynamics(
    topology_file: str | Path,
    molecule: Mapping[str, np.ndarray],
    data: Mapping[str, Any],
    temperature_K: float,
    folder: Path,
) -> dict[str, np.ndarray]:
    """Simulate (or go on simulating) one replica with the settings `data` of one run; see `simulation.simulate`."""
    topology = app.PDBFile(str(topology_file)).topology
    system = molecular_system(topology, force_field(tuple(data["force_field"])), data["hydrogen_mass_amu"])
    protocol = simulation.Protocol(
        temperature_K=temperature_K,
        metadynamics=metadynamics(data["bias"], molecule["backbone_torsions"]),
        **{name: data[name] for name in PROTOCOL_SETTINGS},
    )
    return simulation.simulate(system, topology, molecule["positions_angstrom"], protocol, folder)


PROTOCOL_SETTINGS = (
    "timestep_fs", "friction_per_ps", "platform", "duration_ns", "frame_interval_ps", "checkpoint_interval_ps", "seed",
)  # fmt: skip


def metadynamics(bias: Mapping[str, Any] | None, torsions: np.ndarray) -> simulation.Metadynamics | None:
    """The bias on backbone torsions that a study asks for."""
    if bias is None:
        return None
    if len(torsions) == 0:
        raise ValueError(
            "expected a backbone with phi and psi to bias; got a molecule without. Write `bias: null`"
        )
    atoms = [tuple(int(i) for i in torsions[0][("phi", "psi").index(name)]) for name in bias["torsions"]]
    return simulation.Metadynamics(atoms, **{key: value for key, value in bias.items() if key != "torsions"})


def read_frames(
    files: Sequence[str | Path],
    weights: Sequence[str | Path],
    data: Mapping[str, Any],
    molecule: Mapping[str, np.ndarray],
    held_out: bool,
) -> dict[str, np.ndarray]:
    """Frames of one target from simulations or the user's files; see `datasets.read_frames`."""
    return datasets.read_frames(files, weights, data, len(molecule["atom_features"]), held_out)


def physical_filter(
    positions: Float[np.ndarray, "frames atoms 3"], molecule: Mapping[str, np.ndarray]
) -> validity.Validity:
    """Bond lengths, angles, clashes and chirality of structures against the descriptor of the molecule."""
    lower, upper = np.moveaxis(molecule["distance_bounds_angstrom"], -1, 0)
    centres = molecule["stereocentres"]
    signs = validity.chirality_signs(molecule["positions_angstrom"][None], centres)[0]
    bounds = validity.distance_bounds(lower, upper, molecule["bonds"])
    return validity.check(positions, bounds, centres, signs)
