"""Files from elsewhere: from a mirror on this machine or from the network, and never used unchecked.

A file with a fixed content is known by its SHA-256 after decompression. An entry of the PDB is not: its header changes with every
remediation. It is known by its id, a chain and that chain's residues.
"""

import gzip
import hashlib
import http.client
import io
import os
import urllib.request
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mdtraj
import openmm.app as app

SECONDS_TO_ANSWER = 60
MIRROR_VARIABLE = "DIG_DATA_MIRROR"
GZIP_MARK = b"\x1f\x8b"


def fetch(name: str, entry: Mapping[str, Any]) -> tuple[bytes, str]:
    """The content of a file, decompressed and checked, and the place it came from.

    Args:
        name: file name, with or without .gz in the mirror.
        entry: `sources` (URLs), and `sha256` or `pdb` (`id, chain, sequence, side_chains`).

    Raises:
        ValueError: a file that was found is not the one that is meant. It stays where it is.
        OSError: no source could be read.
    """
    failures = []
    for place in _places(name, entry["sources"]):
        try:
            with urllib.request.urlopen(place, timeout=SECONDS_TO_ANSWER) as answer:
                content = answer.read()
            content = gzip.decompress(content) if content.startswith(GZIP_MARK) else content
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            failures.append(f"{place} ({type(error).__name__}: {error})")
            continue
        check(name, content, entry, place)
        return content, place
    raise OSError(
        f"expected {name} from one of its sources; got none: {'; '.join(failures)}. Put the file into a folder and"
        f" name the folder in {MIRROR_VARIABLE}"
    )


def _places(name: str, sources: Iterable[str]) -> Iterator[str]:
    """URLs where the file may be: in the mirror, wherever it lies there, then its sources."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror and not Path(mirror).is_dir():
        raise FileNotFoundError(
            f"expected a folder in {MIRROR_VARIABLE}; got {mirror}. Correct it, or unset it"
        )
    for found in sorted(Path(mirror).rglob(f"{name}*")) if mirror else ():
        if found.name in (name, f"{name}.gz"):
            yield found.resolve().as_uri()
    yield from sources


def check(name: str, content: bytes, entry: Mapping[str, Any], place: str) -> None:
    """Raise ValueError unless the content is what the entry says."""
    if entry["pdb"]:
        return check_structure(name, content.decode(errors="replace"), entry["pdb"], place)
    found = hashlib.sha256(content).hexdigest()
    if found != entry["sha256"]:
        raise ValueError(
            f"expected SHA-256 {entry['sha256']} of {name}; got {found} from {place}. Nothing was written or deleted:"
            " correct the file there, or the sum if you know that the file has changed"
        )


def check_structure(name: str, text: str, expected: Mapping[str, Any], place: str) -> None:
    """Raise ValueError unless a PDB or mmCIF file is the entry that is meant, with its chain and its residues."""
    reader = app.PDBxFile if name.endswith(".cif") else app.PDBFile
    try:
        topology = mdtraj.Topology.from_openmm(reader(io.StringIO(text)).topology)
    except Exception as error:  # of a dozen types, for what is no structure at all
        raise ValueError(
            f"expected a structure in {name}; got something else from {place}. Look at it"
        ) from error
    found = _entry_id(text)
    if found and found != expected["id"].upper():
        raise ValueError(
            f"expected the entry {expected['id']} in {name}; got {found} from {place}. Correct one of them"
        )
    chains = {chain.chain_id: chain for chain in topology.chains if _sequence(chain)}
    if expected["chain"] not in chains:
        raise ValueError(
            f"expected the chain {expected['chain']} in {name}; got {', '.join(chains)} from {place}. Name one of these"
        )
    chain = chains[expected["chain"]]
    if _sequence(chain) != expected["sequence"]:
        raise ValueError(
            f"expected the residues {expected['sequence']} in chain {expected['chain']} of {name}; got {_sequence(chain)}"
            f" from {place}. Correct the sequence, which holds the residues with coordinates"
        )
    if expected["side_chains"] and not _has_side_chains(chain):
        raise ValueError(
            f"expected side chains in {name}; got a backbone alone from {place}. Use the full entry, or write side_chains: false"
        )


def _entry_id(text: str) -> str:
    """The id that a file states; empty where it states none."""
    for line in text.splitlines():
        if line.startswith("HEADER"):
            return line[62:66].strip().upper()
        if line.startswith("_entry.id"):
            return line.split()[-1].upper()
    return ""


def _sequence(chain: Any) -> str:
    """One-letter codes of the amino acids of a chain that have coordinates."""
    return "".join(residue.code for residue in chain.residues if residue.code)


def _has_side_chains(chain: Any) -> bool:
    """Whether most residues but glycine have a CB."""
    larger = [residue for residue in chain.residues if residue.code and residue.name != "GLY"]
    have = [any(atom.name == "CB" for atom in residue.atoms) for residue in larger]
    return sum(have) * 2 > len(have)
