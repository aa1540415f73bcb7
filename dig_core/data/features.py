"""From a molecule to its descriptor: integer features of atoms and pairs, and the bounds of distance geometry.

These are the node features V and pair features P of DiG (arXiv 2306.05445, section 2.1).
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdmolops

from dig_core.runtime import fingerprint

# Columns of `atom_features` and the number of values each can take; larger values share the last one.
ATOM_FEATURES = {"element": 119, "degree": 8, "charge": 9, "hybridization": 9, "aromatic": 2, "stereo": 3}
# Columns of `pair_features`: bonds on the shortest path, bond type (0: not bonded).
PAIR_FEATURES = {"path": 16, "bond": 6}

_BOND_TYPES = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC)
_BACKBONE = Chem.MolFromSmarts("[CX3](=O)[NX3][CX4][CX3](=O)[NX3]")


def molecular_features(molecule: Chem.Mol) -> dict[str, np.ndarray]:
    """All arrays that describe a molecule with explicit hydrogens.

    Returns:
        `atom_features` [atoms, 6] and `pair_features` [atoms, atoms, 2] (integers, see the tables above),
        `distance_bounds_angstrom` [atoms, atoms, 2] (RDKit's distance geometry), `bonds` [bonds, 2],
        `stereocentres` [k, 4] (the centre, then three neighbours), `backbone_torsions` [m, 2, 4] (atoms of phi
        and psi of every residue that has both), `atomic_numbers` [atoms].
    """
    return {
        "atom_features": np.array([_atom(atom) for atom in molecule.GetAtoms()]),
        "pair_features": _pairs(molecule),
        "distance_bounds_angstrom": _bounds(molecule),
        "bonds": np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]).reshape(
            -1, 2
        ),
        "stereocentres": stereocentres(molecule),
        "backbone_torsions": backbone_torsions(molecule),
        "atomic_numbers": np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]),
    }


def _atom(atom: Chem.Atom) -> list[int]:
    stereo = {"R": 1, "S": 2}.get(atom.GetPropsAsDict().get("_CIPCode", ""), 0)
    values = (
        atom.GetAtomicNum(),
        atom.GetDegree(),
        atom.GetFormalCharge() + 4,
        int(atom.GetHybridization()),
        atom.GetIsAromatic(),
        stereo,
    )
    return [min(max(int(v), 0), size - 1) for v, size in zip(values, ATOM_FEATURES.values(), strict=True)]


def _pairs(molecule: Chem.Mol) -> Int[np.ndarray, "atoms atoms 2"]:
    path = np.minimum(rdmolops.GetDistanceMatrix(molecule), PAIR_FEATURES["path"] - 1).astype(int)
    bond = np.zeros_like(path)
    for b in molecule.GetBonds():
        kind = (
            _BOND_TYPES.index(b.GetBondType()) + 1
            if b.GetBondType() in _BOND_TYPES
            else PAIR_FEATURES["bond"] - 1
        )
        bond[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] = bond[b.GetEndAtomIdx(), b.GetBeginAtomIdx()] = kind
    return np.stack([path, bond], axis=-1)


def _bounds(molecule: Chem.Mol) -> np.ndarray:
    """Lower and upper bounds from one matrix: RDKit keeps the upper ones above the diagonal."""
    matrix = rdDistGeom.GetMoleculeBoundsMatrix(molecule)
    upper, lower = np.triu(matrix, 1), np.tril(matrix, -1)
    return np.stack([lower + lower.T, upper + upper.T], axis=-1)


def stereocentres(molecule: Chem.Mol) -> Int[np.ndarray, "centres 4"]:
    """Tetrahedral stereocentres: the atom and its first three neighbours."""
    rows = [
        [index, *sorted(n.GetIdx() for n in molecule.GetAtomWithIdx(index).GetNeighbors())[:3]]
        for index, _ in Chem.FindMolChiralCenters(molecule)
    ]
    return np.array(rows, dtype=int).reshape(-1, 4)


def backbone_torsions(molecule: Chem.Mol) -> Int[np.ndarray, "residues 2 4"]:
    """Atoms of phi (C N CA C) and psi (N CA C N) of every residue between two amide bonds, found in the graph."""
    rows = []
    for carbon, _, nitrogen, alpha, carbonyl, _, following in molecule.GetSubstructMatches(_BACKBONE):
        rows.append([[carbon, nitrogen, alpha, carbonyl], [nitrogen, alpha, carbonyl, following]])
    return np.array(sorted(rows, key=lambda r: r[0][1]), dtype=int).reshape(-1, 2, 4)


def descriptor_hash(molecule: Mapping[str, np.ndarray]) -> str:
    """Identifies a molecule by its features and their order; checkpoints and references keep that of their molecules."""
    return fingerprint(
        *(molecule[name].astype(np.int64).tobytes() for name in ("atom_features", "pair_features"))
    )
