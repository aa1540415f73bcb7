"""Structure and sequence files as they are: PDB, mmCIF and FASTA, plain or gzipped.

Both structure formats are read by the columns that people cite: the author's chains, residue numbers and names. Only the first model is
read. Where atoms have alternate locations, a residue keeps the one with the highest occupancy, the first of equals. Columns of elements
are not trusted: a protein's atoms have their element as the first letter of their name.
"""

import gzip
import io
import itertools
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from openmm.app.internal.pdbx.reader.PdbxReader import PdbxReader
from pdbfixer.pdbfixer import substitutions

from dig_core.data.molecules import RESIDUES

BACKBONE = ("N", "CA", "C")
RESIDUE_OF_LETTER = {letter: name for name, letter in RESIDUES.items()}
CAPS = {"ACE", "FOR", "NME", "NMA", "NH2", "NHE"}
# Protonation states and bonds by the names of AMBER, CHARMM and GROMACS.
VARIANTS = {
    "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "HISA": "HIS", "HISB": "HIS",
    "HISD": "HIS", "HISE": "HIS", "HISH": "HIS", "CYX": "CYS", "CYM": "CYS", "CYS2": "CYS", "CYSH": "CYS", "ASH": "ASP",
    "ASPH": "ASP", "ASPP": "ASP", "GLH": "GLU", "GLUH": "GLU", "GLUP": "GLU", "LYN": "LYS", "LSN": "LYS", "LYSH": "LYS",
}  # fmt: skip
LONGEST_BOND_ANGSTROM = (
    2.0  # between C and the next N: 1.33 in peptides, 3 or more where a residue is missing
)


class Atom(NamedTuple):
    """A line of a file."""

    chain: str
    number: int
    insertion: str
    residue: str
    name: str
    alternate: str
    occupancy: float
    hetero: bool
    position: tuple[float, float, float]  # Angstrom


@dataclass(frozen=True)
class Residue:
    """A residue, a ligand, a water or an ion."""

    chain: str
    number: int
    insertion: str
    name: str
    hetero: bool
    alternates: int  # atoms that were left out because another location of theirs was kept
    atoms: Mapping[str, tuple[float, float, float]]  # positions in Angstrom by name

    @property
    def is_peptide(self) -> bool:
        """Whether it has the backbone of an amino acid."""
        return self.name not in CAPS and all(name in self.atoms for name in BACKBONE)

    def __str__(self) -> str:
        return f"{self.name} {self.number}{self.insertion}"


@dataclass(frozen=True)
class Structure:
    """The first model of a file."""

    residues: Sequence[Residue]
    sequences: Mapping[
        str, Sequence[str]
    ]  # residues of a chain by the file's header, with or without coordinates


def pdb_download(identifier: str) -> dict[str, str]:
    """File name and URL of an entry of the PDB, for `downloads:` of config.yaml; `pdb: {id, chain, sequence}` there is its check.

    Raises:
        ValueError: not an id of four characters, the first a digit.
    """
    if not re.fullmatch(r"[0-9][A-Za-z0-9]{3}", identifier):
        raise ValueError(
            f"expected an id of the PDB such as 1AKE; got {identifier!r}. Look it up at rcsb.org"
        )
    name = f"{identifier.upper()}.cif"
    return {"name": name, "url": f"https://files.rcsb.org/download/{name}"}


def standard_name(name: str) -> str:
    """The one of the twenty residues that a name stands for: HSD and HIP are HIS, MSE is MET (PDBFixer's table); others as they are."""
    name = VARIANTS.get(name, name)
    return name if name in RESIDUES else substitutions.get(name, name)


def letter(name: str) -> str:
    """One-letter code of a residue; X for what is none of the twenty."""
    return RESIDUES.get(standard_name(name), "X")


def bonded(first: Residue, second: Residue) -> bool:
    """Whether the C of a residue is bonded to the N of another."""
    if "C" not in first.atoms or "N" not in second.atoms:
        return False
    return math.dist(first.atoms["C"], second.atoms["N"]) < LONGEST_BOND_ANGSTROM


def has_side_chains(residues: Sequence[Residue]) -> bool:
    """Whether most residues but glycine have a CB."""
    larger = [residue for residue in residues if letter(residue.name) != "G"]
    return sum("CB" in residue.atoms for residue in larger) * 2 > len(larger)


def read_text(path: str | Path) -> str:
    """A text file, decompressed.

    Raises:
        ValueError: no such file, an empty one, or no text.
    """
    try:
        content = Path(path).read_bytes()
        text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()
    except FileNotFoundError as error:
        raise ValueError(f"expected a file; got {path}, which is not there. Correct the path") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected a PDB, mmCIF or FASTA file; got {path}, which cannot be read ({error}). Look at it"
        ) from error
    if not text.strip():
        raise ValueError(f"expected a PDB, mmCIF or FASTA file; got {path}, which is empty. Get it again")
    return text


def read_structure(path: str | Path) -> Structure:
    """The first model of a PDB or mmCIF file.

    Raises:
        ValueError: not such a file, or one without atoms.
    """
    text = read_text(path)
    is_cif = re.search(r"^(data_|loop_|_atom_site\.)", text, re.MULTILINE)
    try:
        atoms, sequences = _read_cif(text) if is_cif else _read_pdb(text)
    except (ValueError, IndexError, KeyError, AttributeError, TypeError, StopIteration) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"expected a PDB or mmCIF file; got {path}, which cannot be read ({reason}). Look at it"
        ) from error
    if not atoms:
        raise ValueError(f"expected a PDB or mmCIF file; got {path}, which has no atoms. Look at it")
    groups = itertools.groupby(atoms, key=lambda atom: (atom.chain, atom.number, atom.insertion))
    return Structure([_residue(list(group)) for _, group in groups], sequences)


def read_fasta(path: str | Path, record: str | None = None) -> str:
    """The sequence of one record, named by the first word of its title or, as the PDB titles them, by its chain.

    Raises:
        ValueError: not a FASTA file, several records and none named, or none of that name.
    """
    text = read_text(path)
    if not text.lstrip().startswith(">"):
        raise ValueError(
            f"expected a FASTA file that starts with >; got {path}. Write `>name` above the sequence"
        )
    parts = [part.partition("\n") for part in text.lstrip()[1:].split("\n>")]
    records = [(title.strip(), "".join(lines.split()).removesuffix("*")) for title, _, lines in parts]
    found = records if record is None else [r for r in records if record in _record_names(r[0])]
    if len(found) != 1:
        wanted = "one record" if record is None else f"one record {record!r}"
        titles = "; ".join(title for title, _ in records)
        raise ValueError(
            f"expected {wanted} in {path}; got {len(found)} (titles: {titles}). Name one by `chain:` as the first word of its title"
        )
    return found[0][1]


def _record_names(title: str) -> set[str]:
    """First word of a title; of `6M0J_2|Chain B[auth E]|Spike protein` also 6M0J_2 and E."""
    names = {title.split(" ")[0], title.split("|")[0]}
    if chains := re.search(r"\|Chains? ([^|]*)", title):
        for chain in chains[1].split(","):
            own, _, author = chain.strip().rstrip("]").partition("[auth ")
            names.add(author or own)
    return names


def _read_pdb(text: str) -> tuple[list[Atom], dict[str, list[str]]]:
    atoms, sequences = [], {}
    for line in text.splitlines():
        if line.startswith("ENDMDL"):
            break
        if line.startswith("SEQRES"):
            sequences.setdefault(line[11].strip(), []).extend(line[19:70].split())
        if line.startswith(("ATOM  ", "HETATM")):
            atoms.append(_pdb_atom(line))
    return atoms, sequences


def _pdb_atom(line: str) -> Atom:
    """CHARMM writes four letters of a residue's name, and a segment in place of a chain."""
    return Atom(
        chain=line[21].strip() or line[72:76].strip(),
        number=int(line[22:26]),
        insertion=line[26].strip(),
        residue=line[17:21].strip(),
        name=line[12:16].strip(),
        alternate=line[16].strip(),
        occupancy=float(line[54:60].strip() or 1.0),
        hetero=line.startswith("HETATM"),
        position=(float(line[30:38]), float(line[38:46]), float(line[46:54])),
    )


def _read_cif(text: str) -> tuple[list[Atom], dict[str, list[str]]]:
    blocks = []
    PdbxReader(io.StringIO(text)).read(blocks)
    rows = list(_rows(blocks[0], "atom_site"))
    models = {row.get("pdbx_PDB_model_num", "1"): None for row in rows}
    first = next(iter(models))
    rows = [row for row in rows if row.get("pdbx_PDB_model_num", "1") == first]
    return [_cif_atom(row) for row in rows], _cif_sequences(blocks[0], rows)


def _rows(block: object, category: str) -> Iterator[dict[str, str]]:
    table = block.getObj(category)
    if table is not None:
        names = table.getAttributeList()
        for row in table.getRowList():
            yield dict(zip(names, row, strict=True))


def _author(row: Mapping[str, str], name: str) -> str:
    """The author's value, or the PDB's own where there is none."""
    value = row.get(f"auth_{name}", "?")
    return row[f"label_{name}"] if value in "?." else value


def _cif_atom(row: Mapping[str, str]) -> Atom:
    blank = {"?": "", ".": ""}
    insertion, alternate = row.get("pdbx_PDB_ins_code", "?"), row.get("label_alt_id", ".")
    occupancy = row.get("occupancy", "?")
    return Atom(
        chain=_author(row, "asym_id"),
        number=int(_author(row, "seq_id")),
        insertion=blank.get(insertion, insertion),
        residue=_author(row, "comp_id"),
        name=_author(row, "atom_id"),
        alternate=blank.get(alternate, alternate),
        occupancy=1.0 if occupancy in blank else float(occupancy),
        hetero=row.get("group_PDB") == "HETATM",
        position=(float(row["Cartn_x"]), float(row["Cartn_y"]), float(row["Cartn_z"])),
    )


def _cif_sequences(block: object, rows: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Residues of every polymer chain; a position with two residues (heterogeneity) has the first of them."""
    entities: dict[str, dict[str, str]] = {}
    for row in _rows(block, "entity_poly_seq"):
        entities.setdefault(row["entity_id"], {}).setdefault(row["num"], row["mon_id"])
    owners = {
        _author(row, "asym_id"): row.get("label_entity_id")
        for row in rows
        if row.get("label_entity_id") in entities
    }
    return {chain: list(entities[entity].values()) for chain, entity in owners.items()}


def _residue(atoms: Sequence[Atom]) -> Residue:
    """One location of every atom, all from the same alternative as far as it has them."""
    best = _preferred_alternative(atoms)
    chosen = [atom for atom in atoms if atom.alternate in ("", best)]
    name = next((atom.residue for atom in chosen if atom.alternate == best), chosen[0].residue)
    others = sorted((a for a in atoms if a.alternate not in ("", best)), key=lambda atom: -atom.occupancy)
    kept: dict[str, Atom] = {}
    for atom in [a for a in chosen + others if a.residue == name]:
        kept.setdefault(atom.name, atom)
    head = chosen[0]
    positions = {atom.name: atom.position for atom in kept.values()}
    return Residue(
        head.chain, head.number, head.insertion, name, head.hetero, len(atoms) - len(kept), positions
    )


def _preferred_alternative(atoms: Iterable[Atom]) -> str:
    """The label with the highest mean occupancy, the first of equals; empty where there is none."""
    occupancies: dict[str, list[float]] = {}
    for atom in atoms:
        if atom.alternate:
            occupancies.setdefault(atom.alternate, []).append(atom.occupancy)
    return max(sorted(occupancies), key=lambda label: fmean(occupancies[label]), default="")
