"""Backbones for tests: chains built from torsions, and those of real proteins where their files are at hand."""

import gzip
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dig_core.evaluation.backbone_atoms import ATOMS

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("DIG_DATA_MIRROR") or ROOT.parent / "shared" / "data")
needs_data = pytest.mark.skipif(
    not (DATA / "proteins" / "1AKE_A.pdb").is_file(),
    reason="DIG_DATA_MIRROR names no folder with proteins/1AKE_A.pdb",
)

HELIX, STRAND = (-57.0, -47.0), (-120.0, 130.0)


@dataclass(frozen=True)
class Backbone:
    """Positions [frames, atoms, 3] in Angstrom, and the residues [residues] they belong to."""

    positions: np.ndarray
    residue_indices: np.ndarray
    chain_indices: np.ndarray
    first_atom_of_residue: np.ndarray
    names: tuple[str, ...]

    @property
    def residues(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The arrays that functions of backbones ask for."""
        return self.residue_indices, self.chain_indices, self.first_atom_of_residue

    @property
    def alpha(self) -> np.ndarray:
        """Positions of CA, [frames, residues, 3]."""
        return self.positions[:, self.first_atom_of_residue + 1]


def built(torsions_deg: list[tuple[float, float]], glycines: tuple[int, ...] = ()) -> Backbone:
    """An ideal chain with phi and psi of each residue, trans peptide bonds and L residues."""
    placed = [np.array([0.0, 0.0, 0.0]), np.array([1.458, 0.0, 0.0]), np.array([2.009, 1.422, 0.0])]
    for (_, psi), (phi, _) in pairwise(torsions_deg):
        steps = (1.329, 116.2, psi), (1.458, 121.7, 180.0), (1.525, 111.2, phi)
        for step in steps:
            placed.append(_placed(*placed[-3:], *step))
    atoms, first = [], []
    for residue, (n, ca, c) in enumerate(zip(placed[::3], placed[1::3], placed[2::3], strict=True)):
        first.append(len(atoms))
        atoms += [n, ca, c, _placed(n, ca, c, 1.231, 120.5, torsions_deg[residue][1] + 180.0)]
        if residue not in glycines:
            atoms.append(_placed(n, c, ca, 1.530, 110.1, 122.6))
    names = tuple("GLY" if residue in glycines else "ALA" for residue in range(len(first)))
    chains = np.zeros(len(first), dtype=int)
    return Backbone(np.array(atoms)[None], np.arange(1, len(first) + 1), chains, np.array(first), names)


def read(path: Path, chain: str | None = None) -> Backbone:
    """The backbone of a PDB file of one or several models, of one chain or of all; first alternative of each atom."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    models = [_residues(text, chain) for text in data.decode().split("\nENDMDL")]
    models = [model for model in models if model]
    keys, first, rows = list(models[0]), [], []
    for key in keys:
        first.append(len(rows))
        rows += [(key, name) for name in ATOMS if name in models[0][key]]
    positions = np.array([[model[key][name] for key, name in rows] for model in models])
    letters = sorted({key[0] for key in keys})
    chains = np.array([letters.index(key[0]) for key in keys])
    return Backbone(
        positions, np.array([key[1] for key in keys]), chains, np.array(first), tuple(key[2] for key in keys)
    )


def _residues(text: str, chain: str | None) -> dict[tuple[str, int, str], dict[str, np.ndarray]]:
    found: dict[tuple[str, int, str], dict[str, np.ndarray]] = {}
    for line in text.splitlines():
        if line.startswith("ATOM") and line[12:16].strip() in ATOMS and chain in (None, line[21]):
            atoms = found.setdefault((line[21], int(line[22:26]), line[17:20]), {})
            atoms.setdefault(line[12:16].strip(), np.array(line[30:54].split(), dtype=float))
    return found


def _placed(a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, torsion: float):
    """The point d with |cd|, angle bcd and torsion abcd (degrees)."""
    theta, chi = np.radians([angle, torsion])
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, along)
    direction = -np.cos(theta) * along + np.sin(theta) * (np.cos(chi) * across + np.sin(chi) * normal)
    return c + length * direction
