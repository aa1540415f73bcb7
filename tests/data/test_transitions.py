"""Known transitions: residues are found by number and name, and what is another protein is refused."""

import mdtraj
import numpy as np
import pytest

from dig_core.data.protein_states import common_residues
from dig_core.data.transitions import transition_alphas
from dig_core.evaluation.superposition import ca_rmsd
from tests.backbones_for_tests import DATA, HELIX, STRAND, needs_data
from tests.proteins_for_tests import structure_text

SEQUENCE = "ASGVEAKL"
OWN = {"selection": None, "number_offset": 0}


def protein(first: int = 1, sequence: str = SEQUENCE) -> dict[str, np.ndarray]:
    return {
        "sequence": np.array(sequence),
        "residue_indices": np.arange(first, first + len(sequence)),
    }


@pytest.fixture
def transition(tmp_path):
    """A helix that becomes a strand in one step, and the files of it."""
    paths = [tmp_path / f"{name}.pdb" for name in ("helix", "strand")]
    for path, torsions in zip(paths, (HELIX, STRAND), strict=True):
        path.write_text(structure_text(SEQUENCE, torsions))
    frames = mdtraj.join([mdtraj.load(str(path)) for path in paths])
    frames.save_dcd(str(tmp_path / "way.dcd"))
    return {"trajectory": str(tmp_path / "way.dcd"), "topology": str(paths[0]), **OWN}


def test_alphas_of_the_residues_are_found_by_their_numbers(transition):
    found = transition_alphas(transition, protein())
    whole = mdtraj.load(transition["trajectory"], top=transition["topology"])
    assert found == pytest.approx(10.0 * whole.xyz[:, whole.topology.select("name CA")], abs=1e-4)
    assert np.linalg.norm(np.diff(found, axis=1), axis=-1) == pytest.approx(3.8, abs=0.05)
    part = transition_alphas(transition, protein(first=3, sequence=SEQUENCE[2:5]))
    assert np.array_equal(part, found[:, 2:5])
    assert np.array_equal(transition_alphas(transition | {"number_offset": 20}, protein(21)), found)


@pytest.mark.parametrize(
    ("own", "change", "told"),
    [
        (protein(sequence="SSGVEAKL"), {}, "expected the sequence of the target in .*; got A1 for S1"),
        (protein(sequence=SEQUENCE + "T"), {}, "expected the 9 residues of the target in .*, without T9"),
        (protein(), {"selection": "resid 1 to 7"}, "numbers 2 to 8, without A1"),
        (protein(), {"trajectory": "nowhere.dcd"}, "expected the file nowhere.dcd; found none"),
    ],
)  # fmt: skip
def test_another_protein_is_refused_in_one_line(transition, own, change, told):
    with pytest.raises((ValueError, FileNotFoundError), match=told) as caught:
        transition_alphas(transition | change, own)
    assert "\n" not in str(caught.value)


def test_one_of_two_chains_is_named(transition, tmp_path):
    """Chain B of the topology is the strand that chain A becomes."""
    first = mdtraj.load(transition["trajectory"], top=transition["topology"])
    both = first[0].stack(first[1])
    both.save_pdb(str(tmp_path / "both.pdb"))
    both.save_dcd(str(tmp_path / "both.dcd"))
    files = {"trajectory": str(tmp_path / "both.dcd"), "topology": str(tmp_path / "both.pdb")}
    with pytest.raises(ValueError, match=r"expected one residue 1 in .*both.pdb; got"):
        transition_alphas(files | OWN, protein())
    chains = [OWN | {"selection": f"chainid {k}"} for k in range(2)]
    found = [transition_alphas(files | chain, protein())[0] for chain in chains]
    known = transition_alphas(transition, protein())
    assert np.stack(found) == pytest.approx(known, abs=2e-3)


def test_frames_that_do_not_fit_their_topology_are_refused(transition, tmp_path):
    (tmp_path / "longer.pdb").write_text(structure_text(SEQUENCE + "T", HELIX))
    with pytest.raises(ValueError, match=r"expected a trajectory that fits .*longer.pdb; got") as caught:
        transition_alphas(transition | {"topology": str(tmp_path / "longer.pdb")}, protein())
    assert "\n" not in str(caught.value)


@needs_data
def test_the_transition_of_adenylate_kinase_leads_from_closed_to_open():
    known, corners = common_residues(
        {name: {"pdb": str(DATA / f"proteins/{name}_A.pdb"), "chain": "A"} for name in ("1AKE", "4AKE")}
    )
    files = {
        key: str(DATA / f"md/adk_dims/{name}")
        for key, name in (("trajectory", "adk_dims.dcd"), ("topology", "adk.psf"))
    }
    own = {"sequence": np.array(known.sequence), "residue_indices": known.residue_indices}
    frames = transition_alphas(files | OWN, own)
    assert frames.shape == (98, 214, 3)
    closed, opened = (ca_rmsd(frames, structure[:, 1]) for structure in corners)
    assert closed[0] < 1.0 and opened[-1] < 1.0 and closed[-1] > 6.0 and opened[0] > 6.0
