"""Several structures of one protein: the residues that all files have, by their numbers."""

import numpy as np
import pytest

from dig_core.data.protein_states import common_residues
from dig_core.data.proteins import read_protein
from tests.backbones_for_tests import DATA, HELIX, STRAND, needs_data
from tests.proteins_for_tests import structure_text

PAIRS = [("1AKE", "4AKE", 214), ("2DRI", "1URP", 271), ("1WDN", "1GGG", 220)]


def files(folder, **texts: str) -> dict[str, dict[str, str]]:
    """States as a study names them, written into a folder."""
    for name, text in texts.items():
        (folder / f"{name}.pdb").write_text(text)
    return {name: {"pdb": str(folder / f"{name}.pdb")} for name in texts}


def lines(text: str, keep=lambda number: True, change=lambda line: line) -> str:
    """The lines of the residues with these numbers."""
    atoms = [line for line in text.splitlines() if line.startswith("ATOM")]
    return "\n".join(change(line) for line in atoms if keep(int(line[22:26]))) + "\nEND\n"


def test_common_residues_keep_their_numbers_and_positions(tmp_path):
    helix, strand = (structure_text("ASGVEAKL", torsions) for torsions in (HELIX, STRAND))
    states = files(
        tmp_path, helix=lines(helix, lambda k: k not in (1, 4)), strand=lines(strand, lambda k: k < 8)
    )
    protein, corners = common_residues(states)
    assert protein.sequence == "SGEAK" and protein.residue_indices.tolist() == [2, 3, 5, 6, 7]
    assert corners.shape == (2, 5, 3, 3)
    for name, own in zip(states, corners, strict=True):
        known = read_protein(states[name])
        chosen = [list(known.residue_indices).index(k) for k in protein.residue_indices]
        assert np.array_equal(own, known.backbone_angstrom[chosen])
    assert np.array_equal(protein.backbone_angstrom, corners[0])


def test_residues_may_be_selected_in_each_file(tmp_path):
    states = files(tmp_path, a=structure_text("ASGVEAKL", HELIX), b=structure_text("ASGVEAKL", STRAND))
    states["a"] |= {"residues": [3, 8]}
    states["b"] |= {"residues": [1, 6], "chain": "A"}
    assert common_residues(states)[0].sequence == "GVEA"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            structure_text("ASGVDAKL", STRAND),
            "expected the same residues in all states; got E at 5 in helix and D in other",
        ),
        (
            lines(structure_text("ASGVEAKL", STRAND), change=lambda x: f"{x[:22]}{int(x[22:26]) + 7:4}{x[26:]}"),
            "expected two residues or more with the same numbers in all states; got 1 to 8 in helix, 8 to 15 in other",
        ),
        ("HETATM    1  O   HOH A   1       0.0\n", "expected a PDB or mmCIF file; got"),
    ],
)  # fmt: skip
def test_structures_of_different_proteins_are_refused_in_one_line(tmp_path, other, told):
    with pytest.raises(ValueError, match=told) as caught:
        common_residues(files(tmp_path, helix=structure_text("ASGVEAKL", HELIX), other=other))
    assert "\n" not in str(caught.value)


@needs_data
@pytest.mark.parametrize(("closed", "opened", "residues"), PAIRS)
def test_states_of_known_proteins(closed, opened, residues):
    states = {n: {"pdb": str(DATA / f"proteins/{n}_A.pdb"), "chain": "A"} for n in (closed, opened)}
    protein, corners = common_residues(states)
    assert len(protein.sequence) == residues and corners.shape == (2, residues, 3, 3)
    assert (np.diff(protein.residue_indices) == 1).all() and "X" not in protein.sequence
