"""About how large the systems of a study and its trajectories are, from the settings and from the files that they name."""

import gzip
import itertools
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dig_core.settings.data import Target
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.protein_targets import ProteinTarget
from dig_core.settings.study import Study

# A network that draws structures, trained on frames.
Structures = Study | ProteinStudy
# Of residues and caps with their hydrogens, at neutral pH; any other residue counts as an average one.
RESIDUE_ATOMS = {
    "ACE": 6, "NME": 6, "NH2": 3, "GLY": 7, "ALA": 10, "CYX": 10, "SER": 11, "CYS": 11, "ASP": 12, "ASN": 14, "THR": 14,
    "PRO": 14, "GLU": 15, "VAL": 16, "GLN": 17, "MET": 17, "HIS": 17, "ILE": 19, "LEU": 19, "PHE": 20, "TYR": 21,
    "LYS": 22, "TRP": 24, "ARG": 24,
}  # fmt: skip
AVERAGE_RESIDUE = 16
GZIP = b"\x1f\x8b"
COMPRESSION = 4.0  # of a trajectory on disk (xtc) against float32
BACKBONE_ATOMS = 3  # N, CA and C
UNKNOWN_ATOMS = 3000  # of a file that is not there yet


def node_count(study: Structures) -> float:
    """Of the network, atoms or residues of the largest target. A residue costs a network over frames about what an atom costs one over atoms."""
    return atom_count(study) / (AVERAGE_RESIDUE if study.kind == "protein" else 1)


def atom_count(study: Structures) -> int:
    """Of the largest target."""
    return max(_target_atoms(target) for target in study.targets.values())


def backbone_bytes(target: ProteinTarget) -> float:
    """Bytes of the frames that are kept, three atoms of each residue; water in the files counts as residues."""
    files = itertools.chain(*target.trajectory.replicas)
    return trajectory_bytes(files) * BACKBONE_ATOMS / AVERAGE_RESIDUE / target.trajectory.stride


def trajectory_bytes(files: Iterable[str]) -> float:
    """Bytes of trajectories, read whole."""
    return COMPRESSION * bytes_on_disk(files)


def bytes_on_disk(files: Iterable[str]) -> int:
    """Of those files that are there."""
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file())


def _target_atoms(target: Target | ProteinTarget) -> int:
    """The number of atoms, guessed without reading a structure where there is no sequence."""
    if target.sequence and "-" not in target.sequence and isinstance(target, ProteinTarget):
        return AVERAGE_RESIDUE * len(target.sequence)
    if target.sequence:
        return sum(RESIDUE_ATOMS.get(name, AVERAGE_RESIDUE) for name in target.sequence.split("-"))
    if getattr(target, "smiles", None):
        return 2 * sum(letter.isalpha() for letter in target.smiles)
    if getattr(target, "states", None):
        return max(_file_residues(Path(state.pdb)) for state in target.states.values()) * AVERAGE_RESIDUE
    if target.pdb and Path(target.pdb).is_file():
        return _atom_lines(Path(target.pdb), Path(target.pdb).stat().st_mtime_ns)
    if getattr(target, "fasta", None) and Path(target.fasta).is_file():
        letters = sum(len(line.strip()) for line in _lines(Path(target.fasta)) if not line.startswith(b">"))
        return AVERAGE_RESIDUE * letters
    return UNKNOWN_ATOMS


def _file_residues(path: Path) -> int:
    """Residues of a structure file, from the lines of CA in all of its chains."""
    if not path.is_file():
        return UNKNOWN_ATOMS // AVERAGE_RESIDUE
    return _alpha_lines(path, path.stat().st_mtime_ns)


@cache  # each of many rules asks again
def _alpha_lines(path: Path, changed: int) -> int:
    return sum(line.startswith(b"ATOM") and b" CA " in line for line in _lines(path))


@cache
def _atom_lines(path: Path, changed: int) -> int:
    return sum(line.startswith((b"ATOM", b"HETATM")) for line in _lines(path))


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):  # a damaged file is told of by the rule that reads it
            return []
    return content.splitlines()
