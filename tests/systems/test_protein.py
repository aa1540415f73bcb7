"""The pieces of a study of proteins: descriptor, rigid residues, molecular dynamics with constraints, a network for any sequence."""

import json

import numpy as np
import openmm.app as app
import pytest
import torch

from dig_core.data import simulation
from dig_core.data.backbone_frames import condensed
from dig_core.data.molecules import RESIDUES
from dig_core.data.proteins import backbone_indices
from dig_core.evaluation.superposition import ca_rmsd
from dig_core.evaluation.torsions import torsion_angles
from dig_core.files import save_arrays
from dig_core.sampling import draw_molecule
from dig_core.systems import protein
from tests.backbones_for_tests import DATA, needs_data, read
from tests.proteins_for_tests import FORCE_FIELD, MODEL, PROCESS, SETTINGS, all_atoms, peptide

AGS = "ACE-ALA-GLY-SER-NME"
DYNAMICS = {
    **FORCE_FIELD, "platform": "Reference", "timestep_fs": 4.0, "friction_per_ps": 1.0, "hydrogen_mass_amu": 3.0,
    "constraints": "bonds_to_hydrogen", "duration_ns": 0.0016, "frame_interval_ps": 0.2, "checkpoint_interval_ps": 0.4, "seed": 1,
}  # fmt: skip


def named(topology: app.Topology) -> dict[tuple[int, str], int]:
    """Index of every atom by residue and name."""
    return {(atom.residue.index, atom.name): atom.index for atom in topology.atoms()}


def test_torsions_point_at_the_right_atoms():
    topology, arrays = peptide(AGS)
    atoms = list(topology.atoms())
    told = [[(atoms[i].residue.name, atoms[i].name) for i in row] for row in arrays["backbone_torsions"]]
    ala, gly, ser = ({name: (own, name) for name in ("N", "CA", "C")} for own in ("ALA", "GLY", "SER"))
    assert arrays["torsion_names"].tolist() == ["psi_1", "phi_2", "psi_2", "phi_3"]
    assert told == [
        [ala["N"], ala["CA"], ala["C"], gly["N"]],
        [ala["C"], gly["N"], gly["CA"], gly["C"]],
        [gly["N"], gly["CA"], gly["C"], ser["N"]],
        [gly["C"], ser["N"], ser["CA"], ser["C"]],
    ]
    assert [atom.name for atom in atoms].count("CB") == 2 and len(arrays["positions_angstrom"]) == 14


def test_torsions_of_the_backbone_are_those_of_all_atoms():
    topology, arrays = peptide(AGS)
    whole, positions = all_atoms(AGS)
    places, names = named(whole), [(atom.residue.index + 1, atom.name) for atom in topology.atoms()]
    same = np.array([[places[names[i]] for i in row] for row in arrays["backbone_torsions"]])
    exact = torsion_angles(positions[None].astype(float), same)
    found = torsion_angles(arrays["positions_angstrom"][None], arrays["backbone_torsions"])
    assert np.abs(np.angle(np.exp(1j * (found - exact)))).max() < np.radians(8)


def test_hash_tells_sequences_apart():
    hashes = {s: protein.descriptor_hash(peptide(f"ACE-{s}-NME")[1]) for s in ("ALA-GLY-SER", "GLY-ALA-SER")}
    assert len(set(hashes.values())) == 2
    arrays = peptide(AGS)[1]
    assert protein.descriptor_hash(arrays) == hashes["ALA-GLY-SER"]
    moved = arrays | {"residue_indices": np.array([1, 2, 4])}
    assert protein.descriptor_hash(moved) != hashes["ALA-GLY-SER"]


def test_rigid_residues_lie_on_the_atoms_of_the_force_field():
    """All but the O before a cap, whose place the rigid bodies do not hold."""
    for sequence in (AGS, "ACE-VAL-PRO-ALA-NME"):
        topology, arrays = peptide(sequence)
        whole, positions = all_atoms(sequence)
        places = named(whole)
        known = [places[atom.residue.index + 1, atom.name] for atom in topology.atoms()]
        last = [atom.index for atom in topology.atoms() if (atom.residue.index, atom.name) == (2, "O")]
        away = np.linalg.norm(arrays["positions_angstrom"] - positions[known], axis=-1)
        assert np.delete(away, last).max() < 0.25


@needs_data
def test_rigid_residues_lie_on_the_atoms_of_a_crystal_structure():
    own = read(DATA / "proteins" / "1ubi.pdb", "A")
    corners = own.positions[:, own.first_atom_of_residue[:, None] + np.arange(3)]
    codes = "".join(RESIDUES[name] for name in own.names)
    rebuilt = protein.rebuilt(corners, {"sequence": np.array(codes)})
    away = np.linalg.norm(rebuilt - own.positions, axis=-1)[0][:-2]  # O of the last residue
    assert np.median(away) < 0.05 and np.quantile(away, 0.99) < 0.3 and away.max() < 0.6


@pytest.mark.parametrize(
    "sequence", ["ACE-PRO-ALA-NME", "ACE-VAL-PRO-ALA-ALA-NME", "ACE-ALA-PRO-VAL-ALA-NME"]
)
def test_peptides_start_trans_and_valid(sequence):
    """In a trans peptide bond CA, C, N and CA lie flat, at 180 degrees; before proline distance geometry makes cis as well."""
    topology, positions = all_atoms(sequence)
    places, count = named(topology), len(sequence.split("-"))
    alpha = {0: "CH3"} | {k: "CA" for k in range(1, count - 1)}
    omegas = [
        [places[k, alpha[k]], places[k, "C"], places[k + 1, "N"], places[k + 1, alpha[k + 1]]]
        for k in range(count - 2)
    ]
    assert np.degrees(np.abs(torsion_angles(positions[None].astype(float), np.array(omegas)))).min() > 150.0
    arrays = peptide(sequence)[1]
    assert protein.physical_filter(arrays["positions_angstrom"][None], arrays).valid.all()


def test_a_fasta_file_and_a_sequence_are_the_same_protein(tmp_path):
    (tmp_path / "own.fasta").write_text(">own\nGA\nS\n")
    (_, of_file), (_, written) = (
        protein.build(target, FORCE_FIELD)
        for target in ({"fasta": str(tmp_path / "own.fasta")}, {"sequence": "GAS"})
    )
    assert protein.descriptor_hash(of_file) == protein.descriptor_hash(written)
    assert np.array_equal(of_file["positions_angstrom"], written["positions_angstrom"])


def test_what_cannot_be_simulated_is_refused_in_one_line():
    for sequence, told in (("GXA", "got X at 2"), ("ACE-ALA-NME", "at least two residues; got one")):
        with pytest.raises(ValueError, match=told) as caught:
            protein.build({"sequence": sequence}, FORCE_FIELD)
        assert "\n" not in str(caught.value)


def test_a_file_with_a_gap_is_described_by_the_residues_that_are_simulated(tmp_path):
    """Residues that are added between others are learned as well: the network and the simulation have the same ones."""
    topology, positions = all_atoms("ACE-GLY-ALA-SER-ALA-GLY-NME")
    lines = protein.topology_pdb(topology, positions).splitlines(keepends=True)
    known = [line for line in lines if line.startswith("ATOM") and line[17:20] != "SER"]
    (tmp_path / "gap.pdb").write_text("SEQRES   1 A    5  GLY ALA SER ALA GLY\n" + "".join(known) + "END\n")
    target = {"pdb": str(tmp_path / "gap.pdb")}
    arrays, (whole, _) = protein.build(target, FORCE_FIELD)[1], protein.all_atoms(target, FORCE_FIELD)
    assert str(arrays["sequence"]) == "GASAG" and len(backbone_indices(whole)) == 5
    assert np.diff(arrays["residue_indices"]).tolist() == [1, 1, 1, 1]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tripeptide as rule `build` leaves it."""
    file = tmp_path_factory.mktemp("start") / "all_atoms.pdb"
    file.write_text(protein.topology_pdb(*all_atoms("ACE-GLY-ALA-GLY-NME")))
    return file, peptide("ACE-GLY-ALA-GLY-NME")[1]


def lengths(frames: dict, topology: app.Topology, with_hydrogen: bool) -> np.ndarray:
    """Bonds [frames, bonds] in Angstrom."""
    bonds = np.array(
        [
            (a.index, b.index)
            for a, b in topology.bonds()
            if (1 in {a.element.atomic_number, b.element.atomic_number}) == with_hydrogen
        ]
    )
    positions = frames["positions_angstrom"]
    return np.linalg.norm(positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]], axis=-1)


def test_dynamics_goes_on_from_a_chunk_bit_by_bit_and_keeps_bonds_to_hydrogen(start, tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "EQUILIBRATION_PS", 0.4)
    file, arrays = start
    whole = protein.run_dynamics(file, arrays, DYNAMICS, 300.0, tmp_path / "1")
    chunks = sorted((tmp_path / "1").glob("chunk_*.npz"))
    assert len(chunks) == 4 and len(whole["positions_angstrom"]) == 8
    for chunk in chunks[2:]:
        chunk.unlink()
    resumed = protein.run_dynamics(file, arrays, DYNAMICS, 300.0, tmp_path / "1")
    assert np.array_equal(resumed["positions_angstrom"], whole["positions_angstrom"])

    topology = app.PDBFile(str(file)).topology
    rigid, other = (np.ptp(lengths(whole, topology, hydrogen), axis=0) for hydrogen in (True, False))
    assert rigid.max() < 1e-3 < 0.01 < other.max()
    free = protein.run_dynamics(
        file, arrays, DYNAMICS | {"constraints": None, "timestep_fs": 1.0}, 300.0, tmp_path / "free"
    )
    assert np.ptp(lengths(free, topology, True), axis=0).min() > 1e-3


def test_parallel_tempering_goes_on_and_tells_how_far_each_walker_is_from_the_start(
    start, tmp_path, monkeypatch
):
    """At the study's temperature a round ends with a frame: its distance is that of the frame."""
    monkeypatch.setattr(simulation, "EQUILIBRATION_PS", 0.4)
    (file, arrays), ladder = start, {"higher_temperatures_K": (360.0, 430.0), "exchange_interval_ps": 0.2}
    settings = DYNAMICS | {"tempering": ladder}
    whole = protein.run_dynamics(file, arrays, settings, 300.0, tmp_path)
    (tmp_path / "chunk_00003.npz").unlink()
    resumed = protein.run_dynamics(file, arrays, settings, 300.0, tmp_path)
    assert all(np.array_equal(resumed[key], whole[key]) for key in set(whole) - {"cpu_seconds"})
    assert whole["rmsd_angstrom"].shape == whole["walkers"].shape == (8, 3)
    assert np.array_equal(np.sort(whole["walkers"], axis=1), np.tile(np.arange(3), (8, 1)))
    alphas = whole["positions_angstrom"][:, whole["backbone_indices"][:, 1]]
    native = arrays["positions_angstrom"][arrays["first_atom_of_residue"] + 1]
    away = ca_rmsd(alphas, native.astype(float))
    np.testing.assert_allclose(whole["rmsd_angstrom"][:, 0], away, atol=2e-3)  # a PDB file rounds
    assert (np.ptp(whole["rmsd_angstrom"], axis=1) > 0).all()
    arrays_kept = condensed(whole)
    for name in ("walkers", "rmsd_angstrom", "temperatures_K"):
        assert np.array_equal(arrays_kept[name], whole[name])


def test_caps_of_a_file_are_kept_or_give_way_to_charged_ends(start):
    target = {"pdb": str(start[0])}
    for caps, names in ((True, ["ACE", "GLY", "ALA", "GLY", "NME"]), (False, ["GLY", "ALA", "GLY"])):
        topology, positions = protein.all_atoms(target | {"caps": caps}, FORCE_FIELD)
        assert [residue.name for residue in topology.residues()] == names
        first, *_, last = ({atom.name for atom in own.atoms()} for own in topology.residues())
        assert ({"H2", "H3"} <= first and "OXT" in last) != caps
        assert len(positions) == topology.getNumAtoms()
        arrays = protein.build(target | {"caps": caps}, FORCE_FIELD)[1]
        assert str(arrays["sequence"]) == "GAG"


def test_replicas_become_backbones_with_equal_weights(start, tmp_path):
    """Two frames in two files: those of the start structure are its backbone wherever they lie."""
    file, arrays = start
    pdb = app.PDBFile(str(file))
    positions = 10.0 * np.array(pdb.positions._value, dtype=np.float32)
    replica = {
        "positions_angstrom": np.stack([positions, positions + 5.0]),
        "backbone_indices": backbone_indices(pdb.topology),
        "time_ps": np.array([0.5, 1.0]),
    }
    for name in ("1.npz", "2.npz"):
        save_arrays(tmp_path / name, {}, **replica)
    found = protein.read_frames([tmp_path / "1.npz", tmp_path / "2.npz"], [], {}, arrays, held_out=False)
    assert found["frame_interval_ps"] == 0.5 and found["weights"].tolist() == [0.25] * 4
    assert np.abs(found["positions_angstrom"][3] - 5.0 - arrays["positions_angstrom"]).max() < 2e-3
    later = protein.read_frames([tmp_path / "1.npz"], [], {"discarded_ns": 0.0005}, arrays, held_out=False)
    np.testing.assert_array_equal(later["positions_angstrom"], found["positions_angstrom"][1:2])
    assert later["weights"].tolist() == [1.0]
    save_arrays(tmp_path / "2.npz", {}, **replica | {"time_ps": np.array([1.0, 2.0])})
    with pytest.raises(
        ValueError, match=r"expected the same time between frames in all replicas; got 0\.5 to 1 ps"
    ):
        protein.read_frames([tmp_path / "1.npz", tmp_path / "2.npz"], [], {}, arrays, held_out=False)


def test_a_network_draws_sequences_that_it_has_not_seen():
    torch.manual_seed(0)
    trained = peptide("ACE-ALA-ALA-ALA-NME")[1]
    checkpoint = {
        "weights": protein.network(MODEL).state_dict(), "settings": json.loads(json.dumps(SETTINGS)),
        "molecules": {"AAA": protein.descriptor_hash(trained)}, "scale_angstrom": 2.0,
    }  # fmt: skip
    sampler = {
        "kind": "sde_dpm_solver", "steps": 3, "samples": 6, "batch_size": 4, "seed": 1, "until_valid": False,
    }  # fmt: skip
    for sequence, atoms in ((AGS, 14), ("ACE-GLY-GLY-NME", 8), ("ACE-ALA-GLY-SER-ALA-NME", 19)):
        topology, arrays = peptide(sequence)
        model = protein.trained_model(checkpoint, arrays)
        assert topology.getNumAtoms() == atoms
        drawn = draw_molecule(protein, model, arrays, sampler)
        assert drawn["positions_angstrom"].shape == (6, atoms, 3) and drawn["valid"].shape == (6,)
        # Residues are rigid and L whatever the network says.
        first = arrays["first_atom_of_residue"]
        to_alpha = drawn["positions_angstrom"][:, first] - drawn["positions_angstrom"][:, first + 1]
        assert np.abs(np.linalg.norm(to_alpha, axis=-1) - 1.458).max() < 1e-3
        verdict = protein.physical_filter(drawn["positions_angstrom"], arrays)
        assert verdict.chirality.all() and verdict.finite.all()


def test_the_process_of_a_study_has_its_settings():
    process = protein.trained_model(
        {"weights": protein.network(MODEL).state_dict(), "settings": SETTINGS, "scale_angstrom": 2.0},
        peptide(AGS)[1],
    ).process
    ends = torch.tensor([0.0, 1.0])
    for field in ("positions", "rotations"):
        wanted = [PROCESS[field][key] for key in ("sigma_min", "sigma_max")]
        assert process[field].sigma(ends).tolist() == pytest.approx(wanted)
