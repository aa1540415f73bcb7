"""From what a user writes (a capped sequence, a SMILES, a PDB file) to a topology with all atoms and a start structure.

Every route ends in an OpenMM topology whose residues match the force field's templates, and positions in Angstrom.
"""

import io
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
from jaxtyping import Float
from rdkit import Chem
from rdkit.Chem import AllChem, rdDetermineBonds, rdMolDescriptors, rdmolops, rdMolTransforms

from dig_core.units import ANGSTROM_PER_NM

Positions = Float[np.ndarray, "atoms 3"]

RESIDUES = {
    "ALA": "A", "ARG": "R", "ASN": "N", "ASP": "D", "CYS": "C", "GLN": "Q", "GLU": "E", "GLY": "G",
    "HIS": "H", "ILE": "I", "LEU": "L", "LYS": "K", "MET": "M", "PHE": "F", "PRO": "P", "SER": "S",
    "THR": "T", "TRP": "W", "TYR": "Y", "VAL": "V",
}  # fmt: skip
CAP_ATOMS = {"ACE": {"CA": "CH3", "C": "C", "O": "O"}, "NME": {"N": "N", "CA": "C"}}
# RDKit's sequence builder hangs CD1 on the atom that it calls CG2; the PDB calls that one CG1.
ISOLEUCINE = {("ILE", "CG1"): "CG2", ("ILE", "CG2"): "CG1"}
EMBEDDING_SEED = 1
HYDROGEN_SEED = 1
BOND_ORDER_ITERATIONS = 100_000  # the search is exponential: beyond some 70 atoms it would not end
# Before proline distance geometry makes cis and trans alike; which one it is stays so in any molecular dynamics.
PROLINE_OMEGA = Chem.MolFromSmarts("[CX4][CX3](=[OX1])-!@[NX3;R][CX4;R;$(CC(=O)[#7,#8])]")
PEPTIDE_BOND = Chem.MolFromSmarts("[CX3](=[OX1])-!@[NX3;$(N[#6;!$(C=O)])]")


def from_sequence(sequence: str, force_field: app.ForceField) -> tuple[app.Topology, Positions]:
    """Build a peptide such as `ACE-ALA-NME`, `ALA-GLY-SER` or `GYDPETGTWG` (L residues, trans peptide bonds, pH 7, otherwise folded by chance).

    Raises:
        ValueError: a name that is neither one of the 20 residues nor a cap at its own end.
    """
    names = residue_names(sequence)
    heavy = _heavy_atoms(names)
    _embed(with_hydrogens := Chem.AddHs(heavy))
    heavy.AddConformer(Chem.RemoveHs(with_hydrogens, sanitize=False).GetConformer(), assignId=True)
    return with_force_field_hydrogens(Chem.MolToPDBBlock(heavy), force_field)


def residue_names(sequence: str) -> list[str]:
    """Names of residues and caps of a sequence: three letters joined by '-', or one letter each.

    Raises:
        ValueError: what may be read in both ways, such as ALA.
    """
    letters = {letter: name for name, letter in RESIDUES.items()}
    if "-" in sequence or not set(sequence) <= set(letters):
        return sequence.split("-")
    names = [letters[letter] for letter in sequence]
    if sequence in RESIDUES:
        raise ValueError(
            f"expected one-letter codes, or names joined by '-'; got {sequence}, which may be {'-'.join(names)}"
            f" or one residue. Write {'-'.join(names)}, or {RESIDUES[sequence]}"
        )
    return names


def from_smiles(smiles: str) -> tuple[app.Topology, Positions]:
    """Build a molecule from its SMILES; amide bonds are cut into residues, so that peptides match a protein force field.

    Raises:
        ValueError: not a SMILES, more than one molecule, or a stereocentre that the SMILES leaves open.
    """
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or "." in smiles:
        raise ValueError(
            f"expected the SMILES of one molecule; got {smiles!r}. Correct `smiles:` of the target"
        )
    if undefined := [c for c in Chem.FindMolChiralCenters(molecule, includeUnassigned=True) if c[1] == "?"]:
        raise ValueError(
            f"expected a SMILES with every stereocentre set; got {smiles!r} with {len(undefined)} open. Write [C@H] or [C@@H]"
        )
    molecule = Chem.AddHs(molecule)
    _embed(molecule)
    residues = _amide_fragments(molecule)
    molecule = rdmolops.RenumberAtoms(molecule, [index for residue in residues for index in residue])
    return _topology(molecule, [len(residue) for residue in residues]), molecule.GetConformer().GetPositions()


def from_pdb(path: str, force_field: app.ForceField | None = None) -> tuple[app.Topology, Positions]:
    """Read a PDB file as it stands, or with hydrogens added for pH 7 where it has none.

    Raises:
        ValueError: not a readable PDB file, or no atoms in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        pdb = app.PDBFile(io.StringIO(text))
    except (ValueError, UnicodeDecodeError, IndexError, AttributeError, KeyError) as error:
        raise ValueError(
            f"expected a PDB file; got {path} which OpenMM cannot read ({error}). Check the file"
        ) from error
    if pdb.topology.getNumAtoms() == 0:
        raise ValueError(f"expected a PDB file with atoms; got {path} with none. Check the file")
    has_hydrogens = any(atom.element is app.element.hydrogen for atom in pdb.topology.atoms())
    if has_hydrogens or force_field is None:
        return pdb.topology, _angstrom(pdb.positions)
    return with_force_field_hydrogens(text, force_field)


def with_force_field_hydrogens(pdb_block: str, force_field: app.ForceField) -> tuple[app.Topology, Positions]:
    """Add the hydrogens of pH 7 (OpenMM's Modeller, on one thread) to the heavy atoms of a PDB text, the same way every time."""
    pdb = app.PDBFile(io.StringIO(pdb_block))
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.deleteWater()
    add_hydrogens(modeller, force_field)
    return modeller.topology, _angstrom(modeller.positions)


def add_hydrogens(
    modeller: app.Modeller,
    force_field: app.ForceField | None = None,
    variants: Sequence[str | None] | None = None,
) -> None:
    """Add those of pH 7 on one thread, the same way every time; a variant such as HIP stands above pH, one per residue."""
    # OpenMM places hydrogens by Python's global generator before it minimises them.
    before = random.getstate()
    random.seed(HYDROGEN_SEED)
    platform = openmm.Platform.getPlatformByName("Reference")
    try:
        modeller.addHydrogens(force_field, pH=7.0, variants=variants, platform=platform)
    finally:
        random.setstate(before)


def rdkit_molecule(topology: app.Topology, positions: Positions) -> Chem.Mol:
    """The same atoms in the same order as an RDKit molecule with bond orders, charges and stereocentres.

    Bond orders follow from the graph and the hydrogens; the total charge is the one of smallest size that makes sense.

    Raises:
        ValueError: bonds are missing in the topology, or no charge in -4..4 gives every atom its valence.
    """
    if topology.getNumBonds() < topology.getNumAtoms() - 1:
        raise ValueError(
            "expected a topology with all bonds; got too few. Give a PDB file with standard residues or CONECT records"
        )
    if nameless := [atom.name for atom in topology.atoms() if atom.element is None]:
        raise ValueError(
            f"expected an element for every atom; got none for {', '.join(nameless)}. Fill columns 77-78 of the PDB file"
        )
    plain = Chem.RWMol()
    for atom in topology.atoms():
        plain.AddAtom(Chem.Atom(atom.element.atomic_number))
    for first, second in topology.bonds():
        plain.AddBond(first.index, second.index, Chem.BondType.SINGLE)
    conformer = Chem.Conformer(len(positions))
    conformer.SetPositions(np.asarray(positions, dtype=float))
    plain.AddConformer(conformer, assignId=True)
    return _with_bond_orders(plain)


def _with_bond_orders(plain: Chem.RWMol) -> Chem.Mol:
    for charge in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        molecule = Chem.Mol(plain)
        try:
            rdDetermineBonds.DetermineBondOrders(
                molecule, charge=charge, embedChiral=False, maxIterations=BOND_ORDER_ITERATIONS
            )
        except ValueError:  # this charge leaves an atom without its valence: the next one
            continue
        Chem.SanitizeMol(molecule)
        rdmolops.AssignStereochemistryFrom3D(molecule)
        return molecule
    raise ValueError(
        "expected a molecule with closed shells and all hydrogens; got none for any charge from -4 to 4 (or too many atoms to tell). Check the PDB file"
    )


def _heavy_atoms(names: Sequence[str]) -> Chem.Mol:
    """Heavy atoms with PDB names. A cap is a glycine of RDKit's own sequence builder with the surplus atoms cut off."""
    caps = (names[0] == "ACE", names[-1] == "NME")
    inner = names[int(caps[0]) : len(names) - int(caps[1])]
    if not inner or (unknown := [n for n in inner if n not in RESIDUES]):
        found = ", ".join(unknown) if inner else "no residue"
        raise ValueError(
            f"expected residues {' '.join(RESIDUES)} between caps ACE and NME; got {found}. Correct `sequence:` of the target"
        )
    letters = "G" * caps[0] + "".join(RESIDUES[n] for n in inner) + "G" * caps[1]
    molecule = Chem.RWMol(Chem.MolFromSequence(letters))
    surplus = []
    for atom in molecule.GetAtoms():
        info = atom.GetPDBResidueInfo()
        residue, name = names[info.GetResidueNumber() - 1], info.GetName().strip()
        name = CAP_ATOMS[residue].get(name) if residue in CAP_ATOMS else ISOLEUCINE.get((residue, name), name)
        if name is None:
            surplus.append(atom.GetIdx())
        else:
            info.SetResidueName(residue)
            info.SetName(f" {name:<3s}")
    for index in sorted(surplus, reverse=True):
        molecule.RemoveAtom(index)
    Chem.SanitizeMol(molecule)
    return molecule.GetMol()


def _embed(molecule: Chem.Mol) -> None:
    crowded = molecule.GetNumHeavyAtoms() > 50
    if AllChem.EmbedMolecule(molecule, randomSeed=EMBEDDING_SEED, useRandomCoords=crowded) != 0:
        formula = rdMolDescriptors.CalcMolFormula(molecule)
        raise ValueError(
            f"expected a molecule that distance geometry can embed; got {formula}. Give a PDB file instead"
        )
    for alpha, carbon, _, nitrogen, following in molecule.GetSubstructMatches(PROLINE_OMEGA):
        rdMolTransforms.SetDihedralDeg(molecule.GetConformer(), alpha, carbon, nitrogen, following, 180.0)
    AllChem.MMFFOptimizeMolecule(molecule)


def _amide_fragments(molecule: Chem.Mol) -> Sequence[Sequence[int]]:
    """Atoms that remain connected once the amide bonds are cut, in the order of their first atoms."""
    amides = [
        molecule.GetBondBetweenAtoms(m[0], m[2]).GetIdx() for m in molecule.GetSubstructMatches(PEPTIDE_BOND)
    ]
    pieces = rdmolops.FragmentOnBonds(molecule, amides, addDummies=False) if amides else molecule
    return Chem.GetMolFrags(pieces)


def _topology(molecule: Chem.Mol, residue_sizes: Sequence[int]) -> app.Topology:
    topology = app.Topology()
    chain = topology.addChain("A")
    atoms, members = [], iter(molecule.GetAtoms())
    for number, size in enumerate(residue_sizes, start=1):
        residue = topology.addResidue(f"L{number:02d}", chain, str(number))
        for atom in itertools.islice(members, size):
            element = app.Element.getByAtomicNumber(atom.GetAtomicNum())
            atoms.append(topology.addAtom(f"{atom.GetSymbol()}{atom.GetIdx() + 1}", element, residue))
    for bond in molecule.GetBonds():
        topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology


def _angstrom(positions: unit.Quantity) -> Positions:
    return np.array(positions.value_in_unit(unit.nanometer)) * ANGSTROM_PER_NM
