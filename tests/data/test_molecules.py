"""Molecules from sequences, SMILES and PDB files: the right atoms, L residues, and refusals in words."""

import numpy as np
import pytest
from rdkit import Chem

from dig_core.data.features import molecular_features
from dig_core.data.molecules import (
    RESIDUES,
    from_pdb,
    from_sequence,
    from_smiles,
    rdkit_molecule,
    residue_names,
)
from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.evaluation.validity import chirality_signs
from tests.molecules_for_tests import FORCE_FIELD, peptide, small_molecule

FIELD = force_field(FORCE_FIELD)


@pytest.mark.parametrize("residue", RESIDUES)
def test_every_residue_is_built_in_its_l_form(residue):
    """CIP labels of the natural residues: S at the alpha carbon but for cysteine; isoleucine (2S,3S), threonine (2S,3R)."""
    topology, positions = from_sequence(f"ACE-{residue}-NME", FIELD)
    molecule = rdkit_molecule(topology, positions)
    labels = "".join(label for _, label in Chem.FindMolChiralCenters(molecule))
    assert labels == {"GLY": "", "CYS": "R", "ILE": "SS", "THR": "SR"}.get(residue, "S")
    energy, _ = OpenMMEnergy(molecular_system(topology, FIELD, 3.0))(positions[None])
    assert np.isfinite(energy).all()


def test_isoleucine_hangs_cd1_on_cg1():
    topology, _ = from_sequence("ACE-ILE-NME", FIELD)
    bonds = {frozenset((a.name, b.name)) for a, b in topology.bonds()}
    assert frozenset(("CG1", "CD1")) in bonds
    assert frozenset(("CG2", "CD1")) not in bonds


def test_alanine_dipeptide_has_the_known_composition_and_torsions():
    topology, molecule = peptide()
    assert [r.name for r in topology.residues()] == ["ACE", "ALA", "NME"]
    assert np.bincount(molecule["atomic_numbers"])[[1, 6, 7, 8]].tolist() == [12, 6, 2, 2]
    names = [atom.name for atom in topology.atoms()]
    phi, psi = molecule["backbone_torsions"][0]
    assert [names[i] for i in phi] == ["C", "N", "CA", "C"]
    assert [names[i] for i in psi] == ["N", "CA", "C", "N"]
    assert molecule["stereocentres"][0, 0] == names.index("CA")


def test_smiles_gives_the_same_molecule_and_energy_as_the_sequence():
    topology, positions = from_smiles("CC(=O)N[C@@H](C)C(=O)NC")
    graphs = [
        Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(rdkit_molecule(t, x))))
        for t, x in [(topology, positions), from_sequence("ACE-ALA-NME", FIELD)]
    ]
    assert graphs[0] == graphs[1]
    system = molecular_system(topology, FIELD, 3.0)
    charges = next(f for f in system.getForces() if f.__class__.__name__ == "NonbondedForce")
    assert sum(charges.getParticleParameters(i)[0]._value for i in range(22)) == pytest.approx(0.0, abs=1e-6)


def test_pdb_round_trip(tmp_path):
    from dig_core.systems.molecule import topology_pdb

    topology, molecule = peptide("ACE-SER-NME")
    path = tmp_path / "serine.pdb"
    path.write_text(topology_pdb(topology, molecule["positions_angstrom"]))
    again, positions = from_pdb(str(path))
    np.testing.assert_allclose(positions, molecule["positions_angstrom"], atol=1e-3)
    features = molecular_features(rdkit_molecule(again, positions))
    np.testing.assert_array_equal(features["atom_features"], molecule["atom_features"])
    np.testing.assert_array_equal(features["pair_features"], molecule["pair_features"])


def test_mirror_image_has_the_other_sign():
    molecule = peptide()[1]
    positions = molecule["positions_angstrom"][None]
    signs = [chirality_signs(x, molecule["stereocentres"]) for x in (positions, -positions)]
    assert signs[0] == -signs[1] != 0


def test_bounds_hold_for_the_built_structure():
    molecule = small_molecule("CCO")
    lower, upper = np.moveaxis(molecule["distance_bounds_angstrom"], -1, 0)
    distance = np.linalg.norm(
        molecule["positions_angstrom"][:, None] - molecule["positions_angstrom"][None], axis=-1
    )
    bonds = tuple(molecule["bonds"].T)
    assert (np.abs(distance - (lower + upper) / 2)[bonds] < 0.1).all()


@pytest.mark.parametrize(
    ("sequence", "found"),
    [("ACE-XYZ-NME", "got XYZ"), ("ACE-NME", "got no residue"), ("ALA-ACE", "got ACE"), ("ala", "got ala")],
)
def test_unknown_residues_are_told(sequence, found):
    with pytest.raises(ValueError, match=found):
        from_sequence(sequence, FIELD)


@pytest.mark.parametrize("smiles", ["C(", "CC.O", "CC(F)Cl"])
def test_bad_smiles_are_told(smiles):
    with pytest.raises(ValueError, match="expected"):
        from_smiles(smiles)


@pytest.mark.parametrize("text", ["", "not a PDB file\n", "ATOM      1  N   ALA A   1      x.yz"])
def test_bad_pdb_files_are_told(tmp_path, text):
    path = tmp_path / "bad.pdb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"expected a PDB file.*bad\.pdb"):
        from_pdb(str(path))


@pytest.mark.parametrize("sequence", ["GYDPETGTWG", "ACE-PRO-GLY-PRO-NME"])
def test_longer_peptides_have_trans_bonds_and_one_letter_codes(sequence):
    topology, positions = from_sequence(sequence, FIELD)
    atoms = {(atom.residue.index, atom.name): positions[atom.index] for atom in topology.atoms()}
    inner = [r.index for r in topology.residues() if (r.index, "CA") in atoms]
    for k in inner[:-1]:
        names = [(k, "CA"), (k, "C"), (k + 1, "N"), (k + 1, "CA")]
        first, axis, last = np.diff([atoms[name] for name in names], axis=0)
        assert np.cross(first, axis) @ np.cross(axis, last) < 0  # trans: omega near 180 degrees


def test_one_letter_codes_are_told_from_names():
    assert residue_names("AGA") == ["ALA", "GLY", "ALA"]
    assert residue_names("ACE-ALA-NME") == ["ACE", "ALA", "NME"]
    with pytest.raises(ValueError, match="got SER, which may be SER-GLU-ARG or one residue"):
        residue_names("SER")
