"""A user's own trajectories of a protein: made up, written by mdtraj, and read back."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest

from dig_core.data import protein_trajectories
from dig_core.data.backbone_frames import replica_corners
from dig_core.data.protein_trajectories import first_corners, replica_frames
from dig_core.data.proteins import protein_arrays, read_protein
from dig_core.evaluation.superposition import ca_rmsd
from dig_core.files import save_arrays
from dig_core.systems import protein
from tests.backbones_for_tests import DATA, needs_data
from tests.proteins_for_tests import all_atoms, peptide

SEQUENCE = "ACE-ALA-GLY-SER-NME"
OPTIONS = {"selection": None, "number_offset": -1, "first_frame": 0, "stride": 1, "frame_interval_ps": None}
BOX = 60.0  # Angstrom


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A peptide with caps (ACE is residue 1) between waters: topology file, and 24 frames in Angstrom that move and turn."""
    folder = tmp_path_factory.mktemp("own")
    topology, start = all_atoms(SEQUENCE)
    whole = mdtraj.Topology.from_openmm(topology)
    chain = whole.add_chain()
    for _ in range(3):
        water = whole.add_residue("HOH", chain)
        for name in ("O", "H1", "H2"):
            whole.add_atom(name, mdtraj.element.get_by_symbol(name[0]), water)
    random = np.random.default_rng(0)
    waters = np.concatenate([start[:1] + 20.0] * 9)
    moved = np.concatenate([start, waters])[None] + random.normal(0.0, 0.03, (24, whole.n_atoms, 3))
    frames = (moved + np.linspace(0.0, 30.0, 24)[:, None, None]).astype(np.float32)
    mdtraj.Trajectory(frames[:1] / 10, whole).save_pdb(str(folder / "own.pdb"))
    return folder, whole, frames


def trajectory(
    own, frames: np.ndarray, time_ps: np.ndarray | None = None, box: bool = False
) -> mdtraj.Trajectory:
    cell = {
        "unitcell_lengths": np.full((len(frames), 3), BOX / 10),
        "unitcell_angles": np.full((len(frames), 3), 90.0),
    }
    return mdtraj.Trajectory(frames / 10, own[1], time=time_ps, **cell if box else {})


def corners(own, frames: np.ndarray) -> np.ndarray:
    """N, CA and C of the three residues by their names, as the truth."""
    rows = [[own[1].select(f"resid {k} and name {name}")[0] for name in ("N", "CA", "C")] for k in (1, 2, 3)]
    return frames[:, np.array(rows)]


def options(own, **changed) -> dict:
    return {"topology": str(own[0] / "own.pdb"), **OPTIONS, **changed}


def read(own, *files: Path, **changed) -> dict[str, np.ndarray]:
    return replica_frames([str(file) for file in files], options(own, **changed), peptide(SEQUENCE)[1])


@pytest.mark.parametrize("chunk", [1000, 5])
@pytest.mark.parametrize("ending", ["xtc", "dcd"])
def test_frames_come_back(own, tmp_path, monkeypatch, ending, chunk):
    """Within 0.01 Angstrom, to which xtc rounds; by rule `prepare` they are seen as any replica is."""
    monkeypatch.setattr(protein_trajectories, "CHUNK", chunk)
    file = tmp_path / f"own.{ending}"
    trajectory(own, own[2], 2.5 * np.arange(24)).save(str(file))
    found = read(own, file, frame_interval_ps=None if ending == "xtc" else 2.5)
    save_arrays(tmp_path / "1.npz", {}, **found)
    positions, interval_ps = replica_corners(tmp_path / "1.npz", 3)
    assert positions.shape == (24, 3, 3, 3) and positions.dtype == np.float32 and interval_ps == 2.5
    assert np.abs(positions - corners(own, own[2])).max() < 0.01
    assert found["time_ps"].tolist() == pytest.approx(2.5 * np.arange(1, 25))


@pytest.mark.parametrize("chunk", [1000, 3])
@pytest.mark.parametrize(("first", "stride"), [(0, 4), (3, 5), (11, 2), (13, 1)])
def test_frames_are_counted_through_the_files_of_a_run(own, tmp_path, monkeypatch, chunk, first, stride):
    """Three files of 7, 4 and 13 frames: every `stride`-th from the first one on, as of a single file."""
    monkeypatch.setattr(protein_trajectories, "CHUNK", chunk)
    files, times = [], 2.0 * np.arange(24)
    for k, part in enumerate((slice(0, 7), slice(7, 11), slice(11, 24))):
        files.append(tmp_path / f"{k}.xtc")
        trajectory(own, own[2][part], times[part]).save(str(files[-1]))
    found = read(own, *files, first_frame=first, stride=stride)
    expected = corners(own, own[2])[first::stride]
    assert np.abs(found["positions_angstrom"].reshape(-1, 3, 3, 3) - expected).max() < 0.01
    assert found["time_ps"][0] == 2.0 * stride
    stated = read(own, *files, first_frame=first, stride=stride, frame_interval_ps=7.0)
    assert stated["time_ps"][0] == 7.0 * stride


def test_a_chain_that_the_box_has_cut_is_put_together(own, tmp_path):
    """Every atom is put back into the box; distances between the corners are the same as before."""
    cut = own[2] % BOX
    assert (np.linalg.norm(np.diff(corners(own, cut), axis=2), axis=-1) > 10.0).any()
    trajectory(own, cut, np.arange(24), box=True).save(str(tmp_path / "cut.xtc"))
    found = read(own, tmp_path / "cut.xtc")["positions_angstrom"].astype(float)
    expected = corners(own, own[2]).reshape(24, -1, 3).astype(float)
    apart, wanted = (np.linalg.norm(x[:, :, None] - x[:, None], axis=-1) for x in (found, expected))
    assert np.abs(apart - wanted).max() < 0.03
    # Also over a residue that the trajectory has and the target has not.
    ends = {
        "sequence": np.array("AS"), "residue_indices": np.array([1, 3]), "chain_indices": np.array([0, 0]),
    }  # fmt: skip
    lacking = replica_frames([str(tmp_path / "cut.xtc")], options(own), ends)["positions_angstrom"]
    np.testing.assert_array_equal(lacking, found.reshape(24, 3, 3, 3)[:, [0, 2]].reshape(24, 6, 3))
    trajectory(own, cut, np.arange(24)).save(str(tmp_path / "unknown.xtc"))
    with pytest.raises(ValueError, match=r"expected bonds of the backbone .* that the box has not cut"):
        read(own, tmp_path / "unknown.xtc")


def test_the_descriptor_starts_from_the_first_frame(own, tmp_path):
    trajectory(own, own[2] + 3.0).save(str(tmp_path / "own.dcd"))
    files = options(own, replicas=[[str(tmp_path / "own.dcd")], ["another.dcd"]])
    target = {"sequence": SEQUENCE, "trajectory": files}
    topology, descriptor = protein.build(target, {"source": "trajectory", "force_field": None})
    expected = corners(own, own[2][:1] + 3.0)
    assert np.abs(first_corners(files, descriptor) - expected[0]).max() < 1e-4
    assert topology.getNumAtoms() == 14 and protein.descriptor_hash(descriptor) == protein.descriptor_hash(
        peptide(SEQUENCE)[1]
    )
    backbone = protein.rebuilt(expected, descriptor)[0]
    assert np.abs(descriptor["positions_angstrom"] - backbone).max() < 1e-4


def test_a_target_with_a_structure_starts_from_that(own, tmp_path):
    """It is the folded one where the study names `folded`; the trajectory must fit all the same."""
    trajectory(own, own[2] + 3.0).save(str(tmp_path / "own.dcd"))
    files = options(own, replicas=[[str(tmp_path / "own.dcd")], ["another.dcd"]], number_offset=0)
    target = {"pdb": str(own[0] / "own.pdb"), "chain": "A", "residues": (2, 4), "trajectory": files}
    descriptor = protein.build(target, {"source": "trajectory", "force_field": None})[1]
    expected = protein.rebuilt(corners(own, own[2][:1]), descriptor)[0]
    assert np.abs(descriptor["positions_angstrom"] - expected).max() < 0.01
    with pytest.raises(ValueError, match="expected the 3 residues of the target"):
        protein.build(target | {"trajectory": files | {"number_offset": 1}}, {"source": "trajectory"})


def changed_topology(own, tmp_path, change) -> str:
    """Path of a topology whose PDB lines went through `change`."""
    lines = (own[0] / "own.pdb").read_text().splitlines(keepends=True)
    path = tmp_path / "changed.pdb"
    path.write_text("".join(change(line) for line in lines))
    return str(path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"number_offset": 0}, r"expected the 3 residues of the target .*; got numbers 2 to 4, without A1"),
        ({"selection": "resid 1 to 2"}, r"got numbers 1 to 2, without S3"),
        ({"selection": "resname HOH"}, r"got no amino acids, without A1, G2, S3"),
        ({"first_frame": 23}, r"expected two different frames or more .*; got 1"),
        ({"first_frame": 500}, r"expected two different frames or more .*; got 0"),
    ],
)
def test_residues_and_frames_that_are_not_there_are_told(own, tmp_path, options, told):
    trajectory(own, own[2], np.arange(24)).save(str(tmp_path / "own.xtc"))
    with pytest.raises(ValueError, match=told) as caught:
        read(own, tmp_path / "own.xtc", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("GLY", "TRP", r"expected the sequence of the target in .*; got W2 for G2\. Correct number_offset"),
        (" C   GLY", " X   GLY", r"expected N, CA and C in every residue .*; got \w+ without C"),
        ("SER A   4", "SER B   3", r"expected one residue 2 in .*`selection: chainid"),
    ],
)
def test_another_protein_is_told(own, tmp_path, old, new, told):
    trajectory(own, own[2], np.arange(24)).save(str(tmp_path / "own.xtc"))
    topology = changed_topology(own, tmp_path, lambda line: line.replace(old, new))
    with pytest.raises(ValueError, match=told) as caught:
        read(own, tmp_path / "own.xtc", topology=topology)
    assert "\n" not in str(caught.value)


def test_a_topology_of_other_atoms_is_told(own, tmp_path):
    """Also where the protein's own atoms would be found in the files."""
    trajectory(own, own[2], np.arange(24)).save(str(tmp_path / "own.xtc"))
    topology = changed_topology(own, tmp_path, lambda line: "" if "HOH" in line else line)
    with pytest.raises(ValueError, match=r"expected a trajectory that fits .*changed\.pdb; got .*own\.xtc"):
        read(own, tmp_path / "own.xtc", topology=topology)


@pytest.mark.parametrize(
    ("name", "times", "told"),
    [
        (
            "own.dcd",
            2.0 * np.arange(24),
            r"expected frame_interval_ps for .*own\.dcd, a format without times",
        ),
        ("own.xtc", np.zeros(24), r"expected times in equal steps .*; got steps of 0 to 0 ps"),
        ("own.xtc", np.arange(24) ** 2, r"expected times in equal steps .*; got steps of 1 to 45 ps"),
    ],
)
def test_times_that_are_not_known_are_asked_for(own, tmp_path, name, times, told):
    trajectory(own, own[2], times).save(str(tmp_path / name))
    with pytest.raises(ValueError, match=told):
        read(own, tmp_path / name)
    assert read(own, tmp_path / name, frame_interval_ps=3.0)["time_ps"][0] == 3.0


def test_frames_in_other_units_or_without_motion_are_told(own, tmp_path):
    for change, told in (
        (lambda frames: frames / 10, "expected bonds of the backbone of 1.0 to 2.2 Angstrom"),
        (
            lambda frames: np.repeat(frames[:1], 24, axis=0),
            "two different frames or more .*; got the same ones",
        ),
        (
            lambda frames: np.where(np.arange(24)[:, None, None] == 5, np.nan, frames),
            "got NaN in 1 of 24 frames",
        ),
    ):
        trajectory(own, change(own[2])).save(str(tmp_path / "own.dcd"))
        with pytest.raises(ValueError, match=told):
            read(own, tmp_path / "own.dcd", frame_interval_ps=1.0)
        (tmp_path / "own.dcd").unlink()


def test_unreadable_files_are_told(own, tmp_path):
    (tmp_path / "bad.xtc").write_bytes(b"no trajectory")
    with pytest.raises(ValueError, match=r"got .*bad\.xtc, which mdtraj cannot read"):
        read(own, tmp_path / "bad.xtc")
    with pytest.raises(FileNotFoundError, match=r"expected the file .*nowhere\.xtc; found none"):
        read(own, tmp_path / "nowhere.xtc")


@needs_data
@pytest.mark.skipif(not (DATA / "md/adk_dims/adk.psf").is_file(), reason="no md/adk_dims there")
def test_a_real_trajectory_leads_from_one_crystal_structure_to_the_other():
    """A transition of adenylate kinase with CHARMM's names, 3341 atoms, matched to the entry 1AKE: it starts there and ends at 4AKE."""
    folder, ends = DATA / "md/adk_dims", []
    for name in ("1AKE_A", "4AKE_A"):
        known = read_protein({"pdb": str(DATA / f"proteins/{name}.pdb"), "chain": "A"})
        ends.append(known.backbone_angstrom[:, 1].astype(float))
    arrays = {"sequence": np.array(known.sequence), **protein_arrays(known)}
    own = OPTIONS | {"topology": str(folder / "adk.psf"), "number_offset": 0, "frame_interval_ps": 1.0}
    found = replica_frames([str(folder / "adk_dims.dcd")], own, arrays)
    alphas = found["positions_angstrom"].reshape(98, 214, 3, 3)[:, :, 1].astype(float)
    closed, opened = (ca_rmsd(alphas, end) for end in ends)
    assert closed[0] < 1.0 < 6.0 < opened[0] and opened[-1] < 1.0 < 6.0 < closed[-1]


def test_times_that_single_precision_does_not_tell_apart_are_asked_for(own, tmp_path):
    """From a millisecond on such times have steps of 64 ps: frames 1,000 ps apart have a mean interval, those 200 ps apart must be stated."""
    begin = 1.0e9
    for interval in (1000.0, 200.0):
        trajectory(own, own[2], begin + interval * np.arange(24)).save(str(tmp_path / f"{interval:g}.xtc"))
    with pytest.raises(
        ValueError, match=r"expected times that tell frames 1\d\d ps apart .* Write frame_interval_ps"
    ):
        read(own, tmp_path / "200.xtc")
    assert read(own, tmp_path / "200.xtc", frame_interval_ps=200.0)["time_ps"][0] == 200.0
