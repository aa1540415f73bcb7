"""Proteins from sequences and files: the right residues, backbones and topologies, and refusals in words."""

import mdtraj
import numpy as np
import openmm.app as app
import pytest

from dig_core.data.molecules import from_sequence
from dig_core.data.protein_files import ORDER, letter
from dig_core.data.proteins import (
    Protein,
    backbone_indices,
    backbone_mask,
    backbone_topology,
    protein_arrays,
)
from dig_core.energies.openmm import force_field
from tests.molecules_for_tests import FORCE_FIELD

FIELD = force_field(FORCE_FIELD)


def bare(sequence: str) -> Protein:
    counted = np.arange(1, len(sequence) + 1)
    return Protein(sequence, counted, np.zeros_like(counted), None)


def test_residue_types_are_those_of_the_order():
    arrays = protein_arrays(bare(ORDER + "X"))
    assert arrays["residue_types"].tolist() == list(range(21))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("ALA HID HIE HIP HSD HSE HSP", "AHHHHHH"),
        ("CYX CYM ASH ASPP GLH GLUP LYN", "CCDDEEK"),
        ("MSE SEP TPO HYP", "MSTP"),
        ("UNK HOH DA LIG", "XXXX"),
    ],
)
def test_names_of_residues(names, expected):
    assert "".join(map(letter, names.split())) == expected


def test_backbone_indices_are_those_of_residues_without_caps():
    topology, _ = from_sequence("ACE-ALA-GLY-NME", FIELD)
    atoms = list(topology.atoms())
    found = [[(atoms[i].residue.name, atoms[i].name) for i in row] for row in backbone_indices(topology)]
    assert found == [[(residue, name) for name in ("N", "CA", "C")] for residue in ("ALA", "GLY")]


def test_backbone_indices_refuse_what_is_no_protein():
    topology, _ = from_sequence("ACE-ALA-NME", FIELD)
    water = topology.addResidue("HOH", topology.addChain("W"), "7")
    topology.addAtom("O", app.element.oxygen, water)
    with pytest.raises(
        ValueError, match="expected N, CA and C in every residue; got HOH 7 of chain W without"
    ):
        backbone_indices(topology)
    with pytest.raises(ValueError, match="expected a protein; got a topology without residues"):
        backbone_indices(app.Topology())


def test_backbone_topology_has_the_bonds_of_two_chains_with_a_gap(tmp_path):
    topology = backbone_topology("AGPXW", [1, 2, 5, 1, 2], [0, 0, 0, 1, 1])
    assert topology.getNumAtoms() == backbone_mask("AGPXW").sum() == 24
    assert [residue.name for residue in topology.residues()] == ["ALA", "GLY", "PRO", "UNK", "TRP"]
    assert [residue.id for residue in topology.residues()] == ["1", "2", "5", "1", "2"]
    between = [(a.residue.index, b.residue.index) for a, b in topology.bonds() if a.residue != b.residue]
    assert between == [(0, 1), (3, 4)]  # not over the gap, not from chain to chain
    assert topology.getNumBonds() == 4 * 4 + 3 + 2


def test_mdtraj_sees_the_written_backbone_as_a_protein(tmp_path):
    topology = backbone_topology("AGPW", [1, 2, 3, 4], [0] * 4)
    positions = np.random.default_rng(0).normal(size=(topology.getNumAtoms(), 3))
    with open(tmp_path / "backbone.pdb", "w") as file:
        app.PDBFile.writeFile(topology, positions, file, keepIds=True)
    again = mdtraj.load(tmp_path / "backbone.pdb").topology
    assert again.to_fasta() == ["AGPW"]
    assert len(again.select("backbone")) == 16
    assert again.n_bonds == topology.getNumBonds()
