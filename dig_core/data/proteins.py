"""Proteins as a network and a simulation see them: residues, where they stand in the sequence, and their backbone.

`read_protein` takes what a user writes; `protein_files` reads the files behind it.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import openmm.app as app
from jaxtyping import Bool, Float, Int

from dig_core.data.protein_files import CAPS, ORDER, RESIDUE_OF_LETTER

BACKBONE = ("N", "CA", "C")
ATOMS = ("N", "CA", "C", "O", "CB")  # as dig_core.backbone places them
CHAIN_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Protein:
    """The residues of a protein, without caps, and their backbone where a structure is known."""

    sequence: str  # one letter per residue; X is none of the twenty
    residue_indices: Int[np.ndarray, " residues"]  # steps by more than one where residues are missing
    chain_indices: Int[np.ndarray, " residues"]  # 0 for the first chain
    backbone_angstrom: Float[np.ndarray, "residues 3 3"] | None  # N, CA, C of each residue; float32
    side_chains: bool = False  # whether the file has side chains: without them there is no molecular dynamics


def protein_arrays(protein: Protein) -> dict[str, np.ndarray]:
    """What a network is told about a protein: integers [residues].

    Returns:
        `residue_types` (index into `ORDER`, 20 for X), `residue_indices` and `chain_indices`.
    """
    types = [ORDER.find(letter) % (len(ORDER) + 1) for letter in protein.sequence]
    return {
        "residue_types": np.array(types, dtype=np.int64),
        "residue_indices": protein.residue_indices,
        "chain_indices": protein.chain_indices,
    }


def backbone_indices(topology: app.Topology) -> Int[np.ndarray, "residues 3"]:
    """Indices of N, CA and C of every residue but caps in a topology with all atoms.

    Raises:
        ValueError: no residue, or one without these atoms (water, an ion, a ligand).
    """
    rows = []
    for residue in topology.residues():
        if residue.name in CAPS:
            continue
        atoms = {atom.name: atom.index for atom in residue.atoms()}
        if missing := [name for name in BACKBONE if name not in atoms]:
            raise ValueError(
                f"expected N, CA and C in every residue; got {residue.name} {residue.id} of chain {residue.chain.id}"
                f" without {', '.join(missing)}. Select the protein alone"
            )
        rows.append([atoms[name] for name in BACKBONE])
    if not rows:
        raise ValueError("expected a protein; got a topology without residues. Look at the file")
    return np.array(rows, dtype=np.int64)


def backbone_mask(sequence: str) -> Bool[np.ndarray, "residues 5"]:
    """Which of N, CA, C, O and CB are atoms of `backbone_topology`: all but the CB of glycine."""
    mask = np.ones((len(sequence), len(ATOMS)), dtype=bool)
    mask[:, ATOMS.index("CB")] = [letter != "G" for letter in sequence]
    return mask


def backbone_topology(
    sequence: str, residue_indices: Sequence[int] | np.ndarray, chain_indices: Sequence[int] | np.ndarray
) -> app.Topology:
    """N, CA, C, O and CB of every residue (no CB for glycine) with their bonds, for any viewer to draw as a cartoon.

    Residues are numbered by `residue_indices`; those that follow one another there are bonded.
    """
    topology = app.Topology()
    chain = carbon = None
    previous_owner = previous_number = None
    rows = zip(sequence, residue_indices, chain_indices, backbone_mask(sequence), strict=True)
    for letter, number, owner, has_atom in rows:
        if owner != previous_owner:
            chain = topology.addChain(CHAIN_IDS[int(owner) % len(CHAIN_IDS)])
        residue = topology.addResidue(RESIDUE_OF_LETTER.get(letter, "UNK"), chain, str(number))
        atoms = _add_atoms(topology, residue, itertools.compress(ATOMS, has_atom))
        if owner == previous_owner and number == previous_number + 1:
            topology.addBond(carbon, atoms["N"])
        carbon, previous_owner, previous_number = atoms["C"], owner, number
    return topology


def _add_atoms(topology: app.Topology, residue: app.topology.Residue, names: Iterable[str]) -> dict:
    atoms = {name: topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in names}
    for first, second in (("N", "CA"), ("CA", "C"), ("C", "O"), ("CA", "CB")):
        if second in atoms:
            topology.addBond(atoms[first], atoms[second])
    return atoms
