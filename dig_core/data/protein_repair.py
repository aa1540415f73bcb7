"""From a structure file to one chain with all atoms, ready for a force field: what is missing is added, what is foreign removed.

PDBFixer adds heavy atoms and short missing pieces, OpenMM the hydrogens. What was changed is printed in one line.
"""

import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
import pdbfixer.pdbfixer
from jaxtyping import Float
from pdbfixer import PDBFixer

from dig_core.data.molecules import RESIDUES, add_hydrogens
from dig_core.data.protein_files import (
    LONGEST_BOND_ANGSTROM,
    VARIANTS,
    Residue,
    Structure,
    bonded,
    has_side_chains,
    letter,
    read_structure,
    standard_name,
)
from dig_core.data.protein_loops import peptide_bonds, refined, stereocentres, torsions
from dig_core.data.proteins import peptide_residues
from dig_core.units import ANGSTROM_PER_NM

LONGEST_GAP = 5  # residues; a longer piece has no likely fold that a minimisation would find
SEED = 1  # of the short dynamics that PDBFixer runs where new atoms collide
KEPT_CAPS = {"ACE", "NME", "NMA"}
# Protonation that the names in a file ask for, in OpenMM's names; all others follow from pH and hydrogen bonds.
PROTONATION = {
    **dict.fromkeys(("HID", "HSD", "HISD", "HISA"), "HID"),
    **dict.fromkeys(("HIE", "HSE", "HISE", "HISB"), "HIE"),
    **dict.fromkeys(("HIP", "HSP", "HISH"), "HIP"),
    **dict.fromkeys(("ASH", "ASPH", "ASPP"), "ASH"),
    **dict.fromkeys(("GLH", "GLUH", "GLUP"), "GLH"),
    **dict.fromkeys(("LYN", "LSN"), "LYN"),
}

# Chain, and place in it: names of the residues that are missing there.
Gaps = Mapping[tuple[int, int], Sequence[str]]


def fixed(
    path: str, chain: str | None = None, residues: Sequence[int] | None = None, caps: bool = True
) -> tuple[app.Topology, Float[np.ndarray, "atoms 3"]]:
    """One chain of a PDB or mmCIF file with all atoms at pH 7, positions in Angstrom.

    Kept: one location of every atom (the most occupied), caps (unless `caps` is false: ends are charged then), numbers, and protonation where names state it (HIP, ASH, ...).
    Added: heavy atoms, up to `LONGEST_GAP` residues in a row between others, hydrogens (those of the file are placed anew).
    Replaced: modified residues by their parents, MSE by MET. Removed: water, ligands, ions, other chains, residues outside the range.

    Raises:
        ValueError: no protein, a chain or residues that are not there, a backbone alone, an unknown residue or a longer gap.
    """
    structure = read_structure(path)
    selected = peptide_residues(structure, path, chain, residues)
    _check_residues(selected, path)
    capped = _with_caps(structure, selected) if caps else selected
    name = selected[0].chain
    text = io.StringIO(_pdb_text(capped, structure.sequences.get(name, ())))
    fixer = PDBFixer(pdbfile=text, platform=openmm.Platform.getPlatformByName("Reference"))
    added = _fill(fixer, capped, path)
    next(fixer.topology.chains()).id = name or "A"
    topology, positions = _with_hydrogens(fixer, capped, path)
    changes = [*_kept(capped), *_replaced(capped), *added, *_removed(structure, capped, name)]
    done = "; ".join([*changes, "hydrogens placed for pH 7"])
    print(f"{path}, chain {name or 'without a name'}: {done}", flush=True)
    return topology, positions


def _with_hydrogens(
    fixer: PDBFixer, residues: Sequence[Residue], path: str
) -> tuple[app.Topology, Float[np.ndarray, "atoms 3"]]:
    """Add hydrogens, make what is new sound, and refuse what is not."""
    modeller = app.Modeller(fixer.topology, fixer.positions)
    keys = [(residue.id, residue.insertionCode.strip()) for residue in modeller.topology.residues()]
    states = {_key(residue): PROTONATION.get(residue.name) for residue in residues}
    add_hydrogens(modeller, variants=[states.get(key) for key in keys])
    positions = np.array(modeller.positions.value_in_unit(unit.nanometer)) * ANGSTROM_PER_NM
    if new := {index for index, key in enumerate(keys) if key not in states}:
        positions = refined(modeller.topology, positions, new)
    _check_geometry(modeller.topology, positions, new, path)
    return modeller.topology, positions


def _check_residues(residues: Sequence[Residue], path: str) -> None:
    if not has_side_chains(residues):
        raise ValueError(
            f"expected side chains in {path}; got a backbone alone. Use the full entry, or the backbone without molecular dynamics"
        )
    if unknown := [str(residue) for residue in residues if letter(residue.name) == "X"]:
        raise ValueError(
            f"expected amino acids, or residues that PDBFixer knows the parents of, in {path}; got {', '.join(unknown[:8])}."
            " Rename them, or leave them out by `residues:`"
        )


def _with_caps(structure: Structure, residues: Sequence[Residue]) -> list[Residue]:
    caps = [residue for residue in structure.residues if residue.name in KEPT_CAPS]
    before = [cap for cap in caps if cap.chain == residues[0].chain and bonded(cap, residues[0])]
    after = [cap for cap in caps if cap.chain == residues[0].chain and bonded(residues[-1], cap)]
    return [*before, *residues, *after]


def _pdb_text(residues: Sequence[Residue], sequence: Sequence[str]) -> str:
    """Heavy atoms as chain A, elements left for OpenMM to read from the names."""
    if outside := [residue.number for residue in residues if not -999 <= residue.number <= 9999]:
        raise ValueError(f"expected residue numbers from -999 to 9999; got {outside[0]}. Renumber the file")
    lines = [f"SEQRES   1 A {len(sequence):4d}  {' '.join(sequence)}"] if sequence else []
    for residue in residues:
        name = VARIANTS.get(residue.name, residue.name)
        for atom, (x, y, z) in residue.atoms.items():
            if atom.lstrip("0123456789")[:1] not in ("H", "D"):
                label = atom if len(atom) == 4 else f" {atom:<3s}"
                lines.append(
                    f"ATOM      1 {label} {name:>3s} A{residue.number:4d}{residue.insertion:1s}   {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
                )
    return "\n".join([*lines, "END", ""])


def _fill(fixer: PDBFixer, residues: Sequence[Residue], path: str) -> list[str]:
    """Let PDBFixer add the heavy atoms that are missing, but for residues at the ends; what it added, in words."""
    fixer.findMissingResidues()
    gaps = {key: names for key, names in fixer.missingResidues.items() if 0 < key[1] < len(residues)}
    _check_gaps(gaps, residues, path)
    fixer.missingResidues = gaps
    fixer.findNonstandardResidues()
    fixer.replaceNonstandardResidues()
    fixer.findMissingAtoms()
    atoms = {f"{residue.name} {residue.id}": len(new) for residue, new in fixer.missingAtoms.items()}
    with _proper_overlays():
        fixer.addMissingAtoms(seed=SEED)
    words = [f"modelled {', '.join(names)} after {residues[place - 1]}" for (_, place), names in gaps.items()]
    return words + ([f"added {sum(atoms.values())} heavy atoms to {_listed(list(atoms))}"] if atoms else [])


@contextmanager
def _proper_overlays() -> Iterator[None]:
    """PDBFixer lays templates on residues by the best orthogonal matrix, a reflection at times: D residues. Here by the best rotation."""
    original = pdbfixer.pdbfixer._overlayPoints
    pdbfixer.pdbfixer._overlayPoints = _overlay
    try:
        yield
    finally:
        pdbfixer.pdbfixer._overlayPoints = original


def _overlay(fixed_points: Sequence, moved_points: Sequence) -> tuple[openmm.Vec3, np.ndarray, openmm.Vec3]:
    """What to add to the moved points, the rotation that then turns them, and what to add to the result."""
    if not len(fixed_points):
        return openmm.Vec3(0, 0, 0), np.eye(3), openmm.Vec3(0, 0, 0)
    target, source = np.array(fixed_points, dtype=float), np.array(moved_points, dtype=float)
    centre, own_centre = target.mean(axis=0), source.mean(axis=0)
    left, _, right = np.linalg.svd((target - centre).T @ (source - own_centre))
    handedness = np.sign(np.linalg.det(left @ right))
    rotation = left @ np.diag([1.0, 1.0, handedness]) @ right
    return openmm.Vec3(*-own_centre), rotation, openmm.Vec3(*centre)


def _check_gaps(gaps: Gaps, residues: Sequence[Residue], path: str) -> None:
    for place, (first, second) in enumerate(itertools.pairwise(residues), start=1):
        names = gaps.get((0, place), ())
        where = f"between {first} and {second} of {path}"
        advice = "Select one side by `residues:`, or model the gap elsewhere; a backbone alone may keep it"
        if not names and not bonded(first, second):
            raise ValueError(
                f"expected a whole chain; got a gap {where}, and its residues are not named. {advice}"
            )
        if len(names) > LONGEST_GAP:
            raise ValueError(
                f"expected at most {LONGEST_GAP} missing residues in a row; got {len(names)} {where}. {advice}"
            )
        if unknown := [name for name in names if name not in RESIDUES]:
            raise ValueError(f"expected amino acids in a gap; got {', '.join(unknown)} {where}. {advice}")


def _check_geometry(topology: app.Topology, positions: np.ndarray, new: Collection[int], path: str) -> None:
    """Whole bonds between residues, L residues (a D residue that is renamed stays one), and trans bonds in what was modelled."""
    atoms = list(topology.atoms())

    def refuse(expected: str, found: str, quadruples: list, wrong: np.ndarray) -> None:
        """One line that names the residues of the wrong ones, where there are some."""
        if wrong.any():
            residues = dict.fromkeys(atoms[row[0]].residue for row in np.array(quadruples)[wrong].tolist())
            named = _listed([f"{residue.name} {residue.id}" for residue in residues])
            raise ValueError(
                f"expected {expected} in {path}; got {found} {named}. Leave a part out by `residues:`"
            )

    bonds, centres = list(peptide_bonds(topology)), list(stereocentres(topology))
    ends = np.array(bonds, dtype=int).reshape(-1, 4)
    lengths = np.linalg.norm(positions[ends[:, 1]] - positions[ends[:, 2]], axis=-1)
    modelled = np.array(
        [atoms[row[0]].residue.index in new or atoms[row[3]].residue.index in new for row in bonds],
        dtype=bool,
    )
    refuse("a closed chain", "a gap after", bonds, lengths > LONGEST_BOND_ANGSTROM)
    refuse("L residues", "the mirror image of", centres, torsions(positions, centres) < 0)
    cis = np.abs(torsions(positions, bonds)) < np.pi / 2
    refuse("a gap that can be modelled", "a cis peptide bond after", bonds, cis & modelled)


def _kept(residues: Sequence[Residue]) -> list[str]:
    several = [str(residue) for residue in residues if residue.alternates]
    stated = Counter(PROTONATION[residue.name] for residue in residues if residue.name in PROTONATION)
    words = [f"kept the most occupied location of atoms in {_listed(several)}"] if several else []
    return words + ([f"kept {_counted(stated)} as named"] if stated else [])


def _replaced(residues: Sequence[Residue]) -> list[str]:
    foreign = [residue for residue in residues if residue.name not in {*RESIDUES, *VARIANTS, *KEPT_CAPS}]
    return [f"replaced {residue} by {standard_name(residue.name)}" for residue in foreign]


def _removed(structure: Structure, kept: Sequence[Residue], chain: str) -> list[str]:
    kept_keys = {(residue.chain, *_key(residue), residue.name) for residue in kept}
    others = [r for r in structure.residues if (r.chain, *_key(r), r.name) not in kept_keys]
    outside = sum(residue.is_peptide and residue.chain == chain for residue in others)
    chains = Counter(f"chain {r.chain}" for r in others if r.is_peptide and r.chain != chain)
    foreign = Counter(residue.name for residue in others if not residue.is_peptide)
    words = [f"left out {outside} residues outside the range"] if outside else []
    words += [f"left out {name} ({count} residues)" for name, count in chains.items()]
    return words + ([f"removed {_counted(foreign)}"] if foreign else [])


def _key(residue: Residue) -> tuple[str, str]:
    return str(residue.number), residue.insertion


def _counted(names: Counter) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
