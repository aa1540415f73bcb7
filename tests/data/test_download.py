"""Files from elsewhere: the mirror comes first, nothing is used unchecked, and a wrong file stays where it is. No network is used."""

import gzip
import hashlib
import io
from pathlib import Path

import openmm.app as app
import openmm.unit as unit
import pytest

from dig_core.config import load_config, plain
from dig_core.data.download import check_structure, fetch
from tests.backbones_for_tests import DATA, ROOT, needs_data
from tests.molecules_for_tests import peptide

CONTENT = b"band gap,eV\ndiamond,4.18\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder in place of the network; no mirror."""
    monkeypatch.delenv("DIG_DATA_MIRROR", raising=False)
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "gaps.csv").write_bytes(CONTENT)
    return folder


def entry(*places, sha256=SUM, pdb=None):
    return {"sources": [place.as_uri() for place in places], "sha256": sha256, "pdb": pdb}


def test_a_file_comes_from_its_source_whole_and_decompressed(source):
    content, place = fetch("gaps.csv", entry(source / "gaps.csv"))
    assert content == CONTENT and place == (source / "gaps.csv").as_uri()
    (source / "gaps.csv.gz").write_bytes(gzip.compress(CONTENT))
    assert fetch("gaps.csv", entry(source / "gaps.csv.gz"))[0] == CONTENT


def test_the_mirror_comes_first_and_may_be_compressed(source, tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    (mirror / "deep").mkdir(parents=True)
    (mirror / "deep/gaps.csv.gz").write_bytes(gzip.compress(CONTENT))
    (mirror / "gaps.csv.old").write_text("another file, whose name only begins alike")
    monkeypatch.setenv("DIG_DATA_MIRROR", str(mirror))
    assert fetch("gaps.csv", entry(source / "none"))[1] == (mirror / "deep/gaps.csv.gz").as_uri()
    monkeypatch.setenv("DIG_DATA_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="expected a folder in DIG_DATA_MIRROR; got"):
        fetch("gaps.csv", entry(source / "gaps.csv"))


def test_the_next_source_is_tried_and_all_failures_are_told(source):
    assert fetch("gaps.csv", entry(source / "none", source / "gaps.csv"))[0] == CONTENT
    with pytest.raises(
        OSError, match=r"from one of its sources; got none: \S+first \(.*\S+second \(.*DIG_DATA_MIRROR"
    ):
        fetch("gaps.csv", entry(source / "first", source / "second"))


def test_a_damaged_file_is_no_answer_and_a_page_is_no_structure(source):
    (source / "cut.gz").write_bytes(gzip.compress(CONTENT)[:-9])
    assert fetch("gaps.csv", entry(source / "cut.gz", source / "gaps.csv"))[0] == CONTENT
    for name in ("1abc.pdb", "1abc.cif"):
        (source / name).write_text("<html>Not found</html>")
        with pytest.raises(ValueError, match=rf"in {name}; got"):
            fetch(name, entry(source / name, sha256=None, pdb=WHOLE))


def test_a_wrong_checksum_tells_both_sums_and_deletes_nothing(source, tmp_path, monkeypatch):
    mine = tmp_path / "mirror/gaps.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    monkeypatch.setenv("DIG_DATA_MIRROR", str(mine.parent))
    with pytest.raises(ValueError) as told:
        fetch("gaps.csv", entry(source / "gaps.csv"))
    assert SUM in str(told.value) and hashlib.sha256(b"mine").hexdigest() in str(told.value)
    assert "\n" not in str(told.value)
    assert mine.read_text() == "mine" and (source / "gaps.csv").read_bytes() == CONTENT


def structure(keep=lambda atom: True, header="") -> str:
    """Chain A with alanine, valine and glycine, as PDB text."""
    topology, positions = peptide("ACE-ALA-VAL-GLY-NME")
    modeller = app.Modeller(topology, positions["positions_angstrom"] * unit.angstrom)
    modeller.delete([atom for atom in modeller.topology.atoms() if not keep(atom)])
    text = io.StringIO()
    app.PDBFile.writeFile(modeller.topology, modeller.positions, text)
    return header + text.getvalue()


HEADER = f"{'HEADER    TEST':62s}1ABC\n"
WHOLE = {"id": "1abc", "chain": "A", "sequence": "AVG", "side_chains": True}


@pytest.mark.parametrize("header", [HEADER, ""])
def test_an_entry_of_the_pdb_is_known_by_id_chain_and_residues(source, header):
    (source / "1abc.pdb").write_text(structure(header=header))
    content, _ = fetch("1abc.pdb", entry(source / "1abc.pdb", sha256=None, pdb=WHOLE))
    assert content.decode() == structure(header=header)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "2xyz"}, "expected the entry 2xyz in 1abc.pdb; got 1ABC"),
        ({"chain": "B"}, "expected the chain B in 1abc.pdb; got A"),
        ({"sequence": "AVA"}, "expected the residues AVA in chain A of 1abc.pdb; got AVG"),
    ],
)
def test_another_entry_is_refused_in_words(source, changes, told):
    (source / "1abc.pdb").write_text(structure(header=HEADER))
    with pytest.raises(ValueError, match=told):
        fetch("1abc.pdb", entry(source / "1abc.pdb", sha256=None, pdb=WHOLE | changes))


def test_a_backbone_alone_is_refused_where_side_chains_are_needed(source):
    (source / "1abc.pdb").write_text(structure(lambda atom: atom.name in ("N", "CA", "C", "O")))
    with pytest.raises(ValueError, match="expected side chains in 1abc"):
        fetch("1abc.pdb", entry(source / "1abc.pdb", sha256=None, pdb=WHOLE))
    fetch("1abc.pdb", entry(source / "1abc.pdb", sha256=None, pdb=WHOLE | {"side_chains": False}))


# What there is in files of each format.
MARKS = {
    ".pdb": b"\nATOM  ",
    ".cif": b"\nATOM  ",
    ".psf": b"PSF ",
    ".dcd": b"CORD",
    ".csv": b"_cell_length_a",
}


@needs_data
@pytest.mark.parametrize("path", sorted(load_config(ROOT / "config/config.yaml").downloads))
def test_entries_that_the_workflow_names_are_found_in_a_mirror(path, monkeypatch):
    monkeypatch.setenv("DIG_DATA_MIRROR", str(DATA))
    known = plain(load_config(ROOT / "config/config.yaml").downloads[path])
    content, place = fetch(Path(path).name, known)
    assert place.startswith("file:") and MARKS[Path(path).suffix] in content


@needs_data
def test_the_whole_entry_is_taken_as_well():
    """As a user gets it from the archive: two chains, side chains, water and a ligand."""
    known = plain(load_config(ROOT / "config/config.yaml").downloads["results/downloads/1AKE_A.pdb"])
    text = (DATA / "proteins/1ake.pdb").read_text()
    check_structure("1AKE_A.pdb", text, known["pdb"], "here")
    with pytest.raises(ValueError, match=r"got \w+ from here"):
        check_structure("1AKE_A.pdb", text, known["pdb"] | {"sequence": "MRI"}, "here")
