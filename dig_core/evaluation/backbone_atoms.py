"""Where the atoms of a backbone stand in an array, which residues are bonded, and the torsions between them.

A backbone is an array of positions [frames, atoms, 3] with N, CA, C, O and CB of each residue in this order, residue after residue. CB
may be missing: glycine has none, and some files leave it out. A residue is told by three arrays [residues]: its number in the chain,
its chain, and the index of its first atom.
"""

import numpy as np
from jaxtyping import Bool, Int

ATOMS = ("N", "CA", "C", "O", "CB")
MISSING = -1
Residues = Int[np.ndarray, "residues"]


def atom_table(first_atom_of_residue: Residues, atoms: int) -> Int[np.ndarray, "residues 5"]:
    """Index of each atom of `ATOMS` in each residue, `MISSING` for a CB that is not there.

    Raises ValueError where a residue has not four or five atoms.
    """
    sizes = np.diff(first_atom_of_residue, append=atoms)
    if len(sizes) and not (first_atom_of_residue[0] == 0 and np.isin(sizes, (4, 5)).all()):
        raise ValueError(
            f"expected residues of 4 or 5 atoms from atom 0 to {atoms}; got first atoms {first_atom_of_residue.tolist()[:5]}... "
            "Give positions and residues of the same protein"
        )
    table = first_atom_of_residue[:, None] + np.arange(len(ATOMS))
    table[sizes == 4, -1] = MISSING
    return table


def sequence_neighbours(residue_indices: Residues, chain_indices: Residues) -> Bool[np.ndarray, "pairs"]:
    """Whether each residue but the last is bonded to the one behind it: the next number in the same chain."""
    return (np.diff(residue_indices) == 1) & (np.diff(chain_indices) == 0)


def torsion_atoms(
    residue_indices: Residues, chain_indices: Residues, first_atom_of_residue: Residues
) -> tuple[Int[np.ndarray, "torsions 4"], tuple[str, ...]]:
    """Atoms of phi and psi, residue by residue, and their names (`psi_1, phi_2, psi_2, ...`, by the numbers of the residues).

    Two sequence neighbours i, j have psi of i (N, CA, C, N) and phi of j (C, N, CA, C); at the ends of a chain and at a gap one of
    them is missing (IUPAC-IUB, Biochemistry 9, 3471, 1970). Omega is left out: it hardly moves. With several chains a name has the chain as well, `psi_0_1`.
    """
    before = np.flatnonzero(sequence_neighbours(residue_indices, chain_indices))
    first, second = first_atom_of_residue[before], first_atom_of_residue[before + 1]
    psi = np.stack([first, first + 1, first + 2, second], axis=1)
    phi = np.stack([first + 2, second, second + 1, second + 2], axis=1)
    several = len(np.unique(chain_indices)) > 1
    told = [f"{c}_{r}" if several else f"{r}" for c, r in zip(chain_indices, residue_indices, strict=True)]
    names = [name for i in before for name in (f"psi_{told[i]}", f"phi_{told[i + 1]}")]
    return np.stack([psi, phi], axis=1).reshape(-1, 4), tuple(names)
