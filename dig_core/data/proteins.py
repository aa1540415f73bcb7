"""Proteins as a network and a simulation see them: residues, where they stand in the sequence, and their backbone.

`read_protein` takes what a user writes. `protein_files` reads the files behind it, `protein_repair` makes them ready for molecular dynamics,
`protein_embeddings` adds what a language model or AlphaFold knows about the sequence.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm.app as app
from jaxtyping import Bool, Float, Int

from dig_core.backbone import ATOMS
from dig_core.data.molecules import RESIDUES, residue_names
from dig_core.data.protein_files import (
    BACKBONE,
    CAPS,
    RESIDUE_OF_LETTER,
    Residue,
    Structure,
    bonded,
    has_side_chains,
    letter,
    read_fasta,
    read_structure,
)
from dig_core.structure import RESIDUES as ORDER

CHAIN_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Protein:
    """The residues of a protein, without caps, and their backbone where a structure is known."""

    sequence: str  # one letter per residue; X is none of the twenty
    residue_indices: Int[
        np.ndarray, " residues"
    ]  # the file's numbers, or 1, 2, ...; a step of more than 1 is a gap
    chain_indices: Int[np.ndarray, " residues"]  # 0 for the first chain
    backbone_angstrom: Float[np.ndarray, "residues 3 3"] | None  # N, CA, C of each residue; float32
    side_chains: bool = False  # whether the file has side chains: without them there is no molecular dynamics


def read_protein(target: Mapping[str, Any]) -> Protein:
    """A protein as a user gives it.

    Args:
        target: exactly one of `sequence` (`ACE-ALA-GLY-NME` or `GYDPETGTWG`), `fasta` (path; `chain` names one of several records)
            and `pdb` (path of a PDB or mmCIF file); `residues`, first and last, by the file's numbers or counted from 1.

    Raises:
        ValueError: a file or a sequence that is no protein, or a chain or residues that it does not have.
    """
    given = [key for key in ("sequence", "fasta", "pdb") if target.get(key)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ValueError(f"expected exactly one of sequence, fasta, pdb; got {found}. Keep one of them")
    chain, residues = target.get("chain"), target.get("residues")
    if given == ["pdb"]:
        return _with_structure(
            peptide_residues(read_structure(target["pdb"]), target["pdb"], chain, residues)
        )
    if given == ["fasta"]:
        sequence = checked_sequence(read_fasta(target["fasta"], chain), f"of {target['fasta']}")
    else:
        sequence = _letters(target["sequence"])
    numbers = np.arange(1, len(sequence) + 1)
    if residues is not None:
        numbers = numbers[_within(numbers, residues, f"the sequence of {len(sequence)} residues")]
    return Protein("".join(sequence[n - 1] for n in numbers), numbers, np.zeros_like(numbers), None)


def checked_sequence(sequence: str, origin: str) -> str:
    """The sequence, if it is one of amino acids in capital letters; X is an unknown one.

    Raises:
        ValueError: it is empty, has other letters, or is one of a nucleic acid.
    """
    other = sorted(set(sequence) - set(ORDER) - {"X"})
    if not sequence or other:
        found = f"{''.join(other)!r} among them" if other else "nothing"
        raise ValueError(
            f"expected a sequence {origin} in capital letters {ORDER}, or X where unknown; got {found}. Correct it"
        )
    if len(sequence) >= 10 and set(sequence) == set("ACGT"):
        raise ValueError(
            f"expected a sequence {origin} of amino acids; got A, C, G and T alone, as in DNA. Translate it, or write ALA-CYS-..."
        )
    return sequence


def peptide_residues(
    structure: Structure, path: str, chain: str | None, residues: Sequence[int] | None
) -> list[Residue]:
    """Amino acids of one chain that have N, CA and C, in the order of the file.

    Raises:
        ValueError: no protein, several chains and none named, or no such chain or residues.
    """
    chains = _peptide_chains(structure)
    lengths = ", ".join(f"{name or 'without a name'} ({len(members)})" for name, members in chains.items())
    if not chains:
        names = sorted({residue.name for residue in structure.residues})
        raise ValueError(
            f"expected a protein with N, CA and C in {path}; got {', '.join(names[:8])} without. Use another file"
        )
    if chain is None and len(chains) > 1:
        raise ValueError(
            f"expected one chain in {path}; got {lengths} residues. Name one: `chain: {next(iter(chains))}`"
        )
    if chain is not None and chain not in chains:
        raise ValueError(
            f"expected a chain of {path}, which has {lengths} residues; got {chain!r}. Name one of these"
        )
    found = chains[next(iter(chains)) if chain is None else chain]
    if residues is None:
        return found
    numbers = np.array([residue.number for residue in found])
    place = f"chain {found[0].chain} of {path} ({numbers[0]} to {numbers[-1]})"
    return list(itertools.compress(found, _within(numbers, residues, place)))


def protein_arrays(protein: Protein) -> dict[str, np.ndarray]:
    """What a network is told about a protein: integers [residues].

    Returns:
        `residue_types` (index into `ORDER`, 20 for X), `residue_indices` and `chain_indices`.
    """
    types = [ORDER.find(code) % (len(ORDER) + 1) for code in protein.sequence]
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
    mask[:, ATOMS.index("CB")] = [code != "G" for code in sequence]
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
    for code, number, owner, has_atom in rows:
        if owner != previous_owner:
            chain = topology.addChain(CHAIN_IDS[int(owner) % len(CHAIN_IDS)])
        residue = topology.addResidue(RESIDUE_OF_LETTER.get(code, "UNK"), chain, str(number))
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


def _letters(sequence: str) -> str:
    """One-letter codes of a sequence in either form, without caps."""
    if "-" not in sequence:
        residue_names(sequence)  # refuses what may be read in both ways
        return checked_sequence(sequence, "of the target")
    names = sequence.split("-")
    inner = names[int(names[0] in CAPS) : len(names) - int(names[-1] in CAPS)]
    unknown = [name for name in inner if letter(name) == "X" and name != "UNK"]
    if not inner or unknown:
        found = ", ".join(unknown) if inner else "no residue"
        raise ValueError(
            f"expected residues {' '.join(RESIDUES)} between caps; got {found}. Correct `sequence:` of the target"
        )
    return "".join(map(letter, inner))


def _within(numbers: np.ndarray, residues: Sequence[int], place: str) -> Bool[np.ndarray, " residues"]:
    first, last = residues
    inside = (numbers >= first) & (numbers <= last)
    if not inside.any():
        raise ValueError(
            f"expected residues of {place}; got [{first}, {last}]. Correct `residues:`, first and last"
        )
    return inside


def _peptide_chains(structure: Structure) -> dict[str, list[Residue]]:
    """Amino acids of every chain. One that the file calls a heterogen is a residue if it is bonded to its neighbour, else a ligand."""
    chains: dict[str, list[Residue]] = {}
    for residue in structure.residues:
        if residue.is_peptide:
            chains.setdefault(residue.chain, []).append(residue)
    for name, members in chains.items():
        links = [False, *(bonded(a, b) for a, b in itertools.pairwise(members)), False]
        chains[name] = [
            residue
            for residue, *ends in zip(members, links, links[1:], strict=False)
            if any(ends) or not residue.hetero
        ]
    return {name: members for name, members in chains.items() if members}


def _with_structure(residues: Sequence[Residue]) -> Protein:
    positions = [[residue.atoms[name] for name in BACKBONE] for residue in residues]
    return Protein(
        sequence="".join(letter(residue.name) for residue in residues),
        residue_indices=_indices(residues),
        chain_indices=np.zeros(len(residues), dtype=np.int64),
        backbone_angstrom=np.array(positions, dtype=np.float32),
        side_chains=has_side_chains(residues),
    )


def _indices(residues: Sequence[Residue]) -> Int[np.ndarray, " residues"]:
    """The file's numbers, as far as bonds agree: bonded residues follow one another whatever their numbers and insertion codes."""
    indices = [residues[0].number]
    for first, second in itertools.pairwise(residues):
        if second.number < first.number and not bonded(first, second):
            raise ValueError(
                f"expected residue numbers that rise in chain {first.chain}; got {second} after {first}, which are not bonded."
                " Give each chain its own name, or select by `residues:`"
            )
        beyond = (
            second.number - first.number or 2
        )  # only an insertion code tells them apart, and something is between
        indices.append(indices[-1] + (1 if bonded(first, second) else beyond))
    return np.array(indices, dtype=np.int64)
