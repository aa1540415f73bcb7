"""Kind `protein`: residues as rigid bodies; C-alpha positions in units of the data's standard deviation, and orientations.

Here the parts meet: sequence and force field, process and network, frames and loss. Structures are kept as backbones (N, CA, C, O, CB)
that are built from the rigid bodies, those of molecular dynamics as well as those that are drawn: both are seen through the same lens.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm.app as app
import torch
from jaxtyping import Float

from dig_core.backbone import backbone, frames_of
from dig_core.data import (
    protein_embeddings,
    protein_repair,
    protein_states,
    protein_trajectories,
    proteins,
    simulation,
    tempering,
)
from dig_core.data.backbone_frames import replica_corners
from dig_core.data.molecules import from_sequence
from dig_core.data.protein_files import CAPS, RESIDUE_OF_LETTER, letter
from dig_core.energies.openmm import force_field, molecular_system
from dig_core.evaluation import backbone_validity
from dig_core.evaluation.backbone_atoms import torsion_atoms
from dig_core.evaluation.superposition import ca_rmsd
from dig_core.runtime import fingerprint
from dig_core.systems.molecule import PROTOCOL_SETTINGS, topology_pdb
from dig_core.systems.molecule_model import accelerated
from dig_core.systems.protein_denoising import denoising_loss
from dig_core.systems.protein_model import network, trained_model
from dig_core.units import ANGSTROM_PER_NM, PS_PER_NS

# What a kind of system offers to the jobs; see dig_core.systems.
__all__ = [
    "accelerated", "all_atoms", "build", "denoising_loss", "descriptor_hash", "network", "physical_filter", "read_frames",
    "run_dynamics", "subset", "topology_pdb", "trained_model",
]  # fmt: skip

RESIDUE_ARRAYS = ("residue_types", "residue_indices", "chain_indices")
EMBEDDINGS = ("single_embedding", "pair_embedding")


def build(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """Topology of the backbone and descriptor arrays of a target, with the backbone of its start structure.

    A target with known structures has these as well, `state_names` [states] and `state_positions_angstrom` [states, atoms, 3]; one
    with embeddings made elsewhere those that `data["features"]`, of the network, asks for (`protein_embeddings.used_embeddings`).
    """
    topology, descriptor = _without_embeddings(target, data)
    if target.get("embeddings"):
        sequence = str(descriptor["sequence"])
        descriptor |= protein_embeddings.used_embeddings(target["embeddings"], sequence, data["features"])
    return topology, descriptor


def _without_embeddings(
    target: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """What `build` returns, from sequence and structures alone."""
    if target.get("states"):
        return _known(target["states"])
    if target.get("trajectory"):
        return _of_trajectory(target)
    simulated, positions = all_atoms(target, data)
    topology, descriptor = _described(_protein(target, simulated))
    start = positions[None, proteins.backbone_indices(simulated)]
    return topology, descriptor | {"positions_angstrom": rebuilt(start, descriptor)[0]}


def _known(states: Mapping[str, Mapping[str, Any]]) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """What `build` returns for a protein whose structures are known: the residues that all of them have."""
    protein, corners = protein_states.common_residues(states)
    topology, descriptor = _described(protein)
    backbones = rebuilt(corners, descriptor)
    names = np.array(list(states))
    known = {"state_names": names, "state_positions_angstrom": backbones}
    return topology, descriptor | {"positions_angstrom": backbones[0]} | known


def _of_trajectory(target: Mapping[str, Any]) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """What `build` returns for a protein whose dynamics the user has; without a PDB file it starts from the first frame."""
    protein = _chain(proteins.read_protein(target))
    topology, descriptor = _described(protein)
    protein_trajectories.expect_residues(target["trajectory"], descriptor)
    start = protein.backbone_angstrom
    if start is None:
        start = protein_trajectories.first_corners(target["trajectory"], descriptor)
    return topology, descriptor | {"positions_angstrom": rebuilt(start[None], descriptor)[0]}


def _described(protein: proteins.Protein) -> tuple[app.Topology, dict[str, np.ndarray]]:
    """Topology of the backbone of a protein, and descriptor arrays without positions."""
    topology = proteins.backbone_topology(protein.sequence, protein.residue_indices, protein.chain_indices)
    atoms = list(topology.atoms())
    firsts = [next(residue.atoms()).index for residue in topology.residues()]
    torsions, names = torsion_atoms(protein.residue_indices, protein.chain_indices, np.array(firsts))
    return topology, {
        **proteins.protein_arrays(protein),
        "sequence": np.array(protein.sequence),
        "first_atom_of_residue": np.array(firsts),
        "backbone_torsions": torsions,
        "torsion_names": np.array(names),
        "bonds": np.array([(bond[0].index, bond[1].index) for bond in topology.bonds()]),
        "atomic_numbers": np.array([atom.element.atomic_number for atom in atoms]),
        "stereocentres": np.zeros((0, 4), dtype=int),  # residues are L by construction
    }


def all_atoms(target: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[app.Topology, np.ndarray]:
    """What molecular dynamics starts from: topology and positions (Angstrom) of all atoms, caps and hydrogens included."""
    if target.get("pdb"):
        return protein_repair.fixed(
            target["pdb"], target.get("chain"), target.get("residues"), target.get("caps", True)
        )
    named = target.get("sequence") or ""
    if "-" not in named:
        codes = proteins.read_protein(target).sequence
        if "X" in codes:
            raise ValueError(
                f"expected a known amino acid in every place of what is simulated; got X at {codes.index('X') + 1}. Correct the sequence"
            )
        named = "-".join(RESIDUE_OF_LETTER[code] for code in codes)
    return from_sequence(named, force_field(tuple(data["force_field"])))


def run_dynamics(
    topology_file: str | Path,
    protein: Mapping[str, np.ndarray],
    data: Mapping[str, Any],
    temperature_K: float,
    folder: Path,
) -> dict[str, np.ndarray]:
    """Simulate (or go on simulating) one run of all atoms with the settings `data`; see `simulation.simulate`.

    With `tempering` it is a ladder of replicas, see `tempering.parallel_tempering`: the frames are those at the study's temperature, and
    `rmsd_angstrom` [rounds, temperatures] is the distance of C-alpha atoms from the start structure at all temperatures.
    """
    file = app.PDBFile(str(topology_file))
    field = force_field(tuple(data["force_field"]))
    system = molecular_system(file.topology, field, data["hydrogen_mass_amu"], data["constraints"])
    values = {name: data[name] for name in PROTOCOL_SETTINGS}
    protocol = simulation.Protocol(temperature_K=temperature_K, **values)
    positions = np.array(file.positions._value) * ANGSTROM_PER_NM
    backbones = {"backbone_indices": proteins.backbone_indices(file.topology)}
    if data.get("tempering") is None:
        return simulation.simulate(system, file.topology, positions, protocol, folder) | backbones
    alphas = backbones["backbone_indices"][:, 1]
    ladder = tempering.Ladder(protocol, **data["tempering"])
    frames = tempering.parallel_tempering(system, positions, ladder, folder, alphas.tolist())
    seen = frames.pop("observed_angstrom")
    away = ca_rmsd(seen.reshape(-1, len(alphas), 3), positions[alphas]).reshape(seen.shape[:2])
    return frames | backbones | {"rmsd_angstrom": away.astype(np.float32)}


def read_frames(
    files: Sequence[str | Path],
    weights: Sequence[str | Path],
    data: Mapping[str, Any],
    protein: Mapping[str, np.ndarray],
    held_out: bool,
) -> dict[str, np.ndarray]:
    """Backbones of replicas, simulated with all atoms, bundled as N, CA and C or read from a user's files, with `weights` and `frame_interval_ps`.

    The first `data.discarded_ns` of every replica are left out. Where data.source is structures, the frames are the known structures, each with the same weight, and no interval lies between them.
    """
    if data.get("source") == "structures":
        states = protein["state_positions_angstrom"]
        return {"positions_angstrom": states, "weights": np.full(len(states), 1.0 / len(states))}
    whole = [replica_corners(file, len(protein["residue_types"])) for file in files]
    if len(intervals := sorted({interval_ps for _, interval_ps in whole})) > 1:
        raise ValueError(
            f"expected the same time between frames in all replicas; got {intervals[0]:g} to {intervals[-1]:g} ps. Write frame_interval_ps, or"
            " give trajectories that were saved alike"
        )
    discarded_ps = PS_PER_NS * data.get("discarded_ns", 0.0)
    replicas = [(own[round(discarded_ps / interval_ps) :], interval_ps) for own, interval_ps in whole]
    counts = np.array([len(positions) for positions, _ in replicas])
    return {
        "positions_angstrom": np.concatenate([rebuilt(positions, protein) for positions, _ in replicas]),
        "weights": np.full(counts.sum(), 1.0 / counts.sum()),
        "frame_interval_ps": np.array(replicas[0][1]),
    }


def subset(
    frames: Mapping[str, np.ndarray], protein: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The first frames of a target, as of a simulation that was stopped then; they weigh the same.

    Raises:
        ValueError: fewer frames than `data.subset` asks for.
    """
    asked, count = settings["frames"], len(frames["weights"])
    if count < asked:
        raise ValueError(f"expected {asked} frames for data.subset; got {count}. Ask for fewer")
    kept = {
        "positions_angstrom": frames["positions_angstrom"][:asked],
        "weights": np.full(asked, 1.0 / asked),
    }
    return {**frames, **kept}


def rebuilt(
    corners: Float[np.ndarray, "frames residues 3 3"], protein: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "frames atoms 3"]:
    """The backbone that rigid residues stand for, from the positions of N, CA and C; float32, Angstrom."""
    nitrogen, alpha, carbon = torch.as_tensor(corners, dtype=torch.float32).unbind(-2)
    atoms = backbone(alpha, frames_of(nitrogen, alpha, carbon))
    return atoms[:, torch.as_tensor(proteins.backbone_mask(str(protein["sequence"])))].numpy()


def physical_filter(
    positions: Float[np.ndarray, "frames atoms 3"], protein: Mapping[str, np.ndarray]
) -> backbone_validity.BackboneValidity:
    """Breaks, peptide bonds, clashes and handedness of backbones."""
    return backbone_validity.check(
        positions, protein["residue_indices"], protein["chain_indices"], protein["first_atom_of_residue"]
    )


def descriptor_hash(protein: Mapping[str, np.ndarray]) -> str:
    """Identifies a protein by what the network is told: residues, where they stand in the sequence, and embeddings made elsewhere."""
    known = [protein[name].astype(np.int64).tobytes() for name in RESIDUE_ARRAYS]
    # With their names: a single and a pair may have the same bytes.
    told = [part for name in EMBEDDINGS if name in protein for part in (name, protein[name].tobytes())]
    return fingerprint(*known, *told)


def _protein(target: Mapping[str, Any], simulated: app.Topology) -> proteins.Protein:
    """The residues of what is simulated; those of a file without gaps, which are filled, and with its first number."""
    if not target.get("pdb"):
        return _chain(proteins.read_protein(target))
    residues = [residue for residue in simulated.residues() if residue.name not in CAPS]
    numbers = int(residues[0].id) + np.arange(len(residues))
    sequence = "".join(letter(residue.name) for residue in residues)
    return _chain(proteins.Protein(sequence, numbers, np.zeros_like(numbers), None))


def _chain(protein: proteins.Protein) -> proteins.Protein:
    """The protein, if it has several residues."""
    if len(protein.sequence) < 2:
        raise ValueError(
            "expected a protein of at least two residues; got one. Study it as a molecule: `kind: molecule`"
        )
    return protein
