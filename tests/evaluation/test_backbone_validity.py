"""Validity of backbones: each fault is reported under its own name, and real structures pass."""

import time

import mdtraj
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dig_core.backbone import backbone, frames_of, ideal_residue
from dig_core.evaluation.backbone_atoms import ATOMS, atom_table, sequence_neighbours, torsion_atoms
from dig_core.evaluation.backbone_validity import CRITERIA, check
from dig_core.evaluation.torsions import torsion_angles
from tests.backbones_for_tests import DATA, HELIX, STRAND, built, needs_data, read

GLYCINE = 4
CHAIN = built([HELIX] * 12, glycines=(GLYCINE,))
FIRST = CHAIN.first_atom_of_residue
PEPTIDE, DIMS = DATA / "md" / "implicit-2olx-traj-state0.pdb", DATA / "md" / "adk_dims"


def faults(positions: np.ndarray, residues=CHAIN.residues) -> list[str]:
    verdict = check(positions[None], *residues)
    found = [name for name in CRITERIA if not getattr(verdict, name)[0]]
    assert verdict.valid[0] == (not found) and list(verdict.criteria()) == list(CRITERIA)
    return found


def moved(after: int, shift: np.ndarray) -> np.ndarray:
    """The chain with all residues from `after` on shifted."""
    positions = CHAIN.positions[0].copy()
    positions[FIRST[after] :] += shift
    return positions


def bond(residue: int) -> np.ndarray:
    """Direction of the peptide bond behind a residue."""
    along = CHAIN.positions[0, FIRST[residue + 1]] - CHAIN.positions[0, FIRST[residue] + 2]
    return along / np.linalg.norm(along)


def test_an_ideal_chain_is_valid_wherever_it_lies():
    turn = Rotation.random(rng=0).as_matrix()
    assert faults(CHAIN.positions[0]) == faults(CHAIN.positions[0] @ turn.T + 5.0) == []
    assert faults(built([STRAND] * 12, glycines=(GLYCINE,)).positions[0]) == []


def test_a_chain_that_is_torn_apart_breaks():
    assert faults(moved(6, 3.0 * bond(5))) == ["no_break", "bond_lengths", "bond_angles"]


def test_a_peptide_bond_that_is_a_little_too_long_is_no_break():
    assert faults(moved(6, 0.40 * bond(5))) == ["bond_lengths"]
    assert faults(moved(6, 0.25 * bond(5))) == []


def test_an_angle_at_a_peptide_bond_alone():
    """The rest of the chain turns about N: the bond keeps its length, C and CA come closer."""
    positions = CHAIN.positions[0].copy()
    start, nitrogen = FIRST[6], positions[FIRST[6]]
    axis = np.cross(positions[start + 1] - nitrogen, -bond(5))
    turn = Rotation.from_rotvec(np.radians(50) * axis / np.linalg.norm(axis)).as_matrix()
    positions[start:] = (positions[start:] - nitrogen) @ turn.T + nitrogen
    assert "bond_angles" in faults(positions) and "bond_lengths" not in faults(positions)


def test_residues_beside_a_gap_or_in_another_chain_are_no_neighbours():
    torn, (numbers, chains, first) = moved(6, 20.0 * bond(5)), CHAIN.residues
    late = np.arange(12) >= 6
    assert faults(torn, (numbers + 3 * late, chains, first)) == []
    assert faults(torn, (numbers, chains + late, first)) == []
    assert sequence_neighbours(numbers, chains + late).tolist() == [True] * 5 + [False] + [True] * 5


def test_a_residue_that_lies_on_another_clashes():
    """Two chains of which one is shifted by little: only pairs of different chains are near."""
    numbers, _, first = CHAIN.residues
    atoms = CHAIN.positions.shape[1]
    both = (np.tile(numbers, 2), np.repeat([0, 1], 12), np.concatenate([first, first + atoms]))
    for shift, expected in ((0.5, ["no_clash"]), (40.0, [])):
        pair = np.concatenate([CHAIN.positions[0], CHAIN.positions[0] + [shift, 0.0, 0.0]])
        assert faults(pair, both) == expected


def test_clashes_are_those_of_all_pairs_at_least_three_bonds_apart():
    """Against distances of all pairs and a graph of bonds, on chains with random torsions."""
    generator = np.random.default_rng(1)
    chains = [built([tuple(generator.uniform(-180, 180, 2)) for _ in range(8)]) for _ in range(200)]
    positions, residues = np.concatenate([chain.positions for chain in chains]), chains[0].residues
    table = atom_table(residues[2], positions.shape[1])
    bonds = np.zeros((40, 40), dtype=int)
    for i, j in [(0, 1), (1, 2), (2, 3), (1, 4)]:
        bonds[table[:, i], table[:, j]] = 1
    bonds[table[:-1, 2], table[1:, 0]] = 1
    near = np.linalg.matrix_power(bonds + bonds.T + np.eye(40, dtype=int), 2) > 0
    radii = np.tile([1.55, 1.70, 1.70, 1.52, 1.70], 8)
    distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    apart = (near | (distances >= 0.65 * (radii[:, None] + radii))).all(axis=(1, 2))
    assert np.array_equal(check(positions, *residues).no_clash, apart) and 50 < apart.sum() < 150


def test_a_mirror_image_fails_chirality_alone_and_glycine_is_exempt():
    mirror = CHAIN.positions[0] * [1.0, 1.0, -1.0]
    assert faults(mirror) == ["chirality"]
    glycines = built([HELIX] * 12, glycines=tuple(range(12)))
    assert faults(-glycines.positions[0], glycines.residues) == []


def test_the_residue_of_frames_is_an_l_residue():
    nitrogen, carbon, beta = ideal_residue().numpy().astype(float)
    own = np.stack([nitrogen, np.zeros(3), carbon, carbon + np.array([0.6, -1.0, 0.0]), beta])
    alone = (np.array([1]), np.array([0]), np.array([0]))
    assert faults(own, alone) == [] and faults(-own, alone) == ["chirality"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_not_finite_fails_finite_alone(bad):
    broken = CHAIN.positions[0].copy()
    broken[7, 1] = bad
    assert faults(broken) == ["finite"]


def test_counts_by_name_and_no_structures():
    positions = np.stack([CHAIN.positions[0], moved(6, 3.0 * bond(5)), -CHAIN.positions[0]])
    assert check(positions, *CHAIN.residues).counts() == {
        "structures": 3, "finite": 3, "no_break": 2, "bond_lengths": 2, "bond_angles": 2, "no_clash": 3, "chirality": 2, "valid": 1,
    }  # fmt: skip
    assert check(positions[:0], *CHAIN.residues).counts()["structures"] == 0


def test_atoms_and_residues_must_fit():
    with pytest.raises(ValueError, match="expected residues of 4 or 5 atoms from atom 0 to 58"):
        check(CHAIN.positions[:, :-1], CHAIN.residue_indices, CHAIN.chain_indices, FIRST - 1)


def test_torsions_come_back_with_their_names():
    generator = np.random.default_rng(2)
    wanted = [tuple(generator.uniform(-180, 180, 2)) for _ in range(6)]
    chain = built(wanted, glycines=(2,))
    atoms, names = torsion_atoms(*chain.residues)
    found = np.degrees(torsion_angles(chain.positions, atoms)[0])
    assert names == tuple(f"{kind}_{r}" for r in range(1, 7) for kind in ("phi", "psi"))[1:-1]
    assert np.allclose(found, np.ravel(wanted)[1:-1])


def test_torsions_end_at_gaps_and_chains():
    first = 5 * np.arange(5)
    gap = torsion_atoms(np.array([1, 2, 4, 5, 6]), np.zeros(5, dtype=int), first)
    assert gap[1] == ("psi_1", "phi_2", "psi_4", "phi_5", "psi_5", "phi_6")
    assert gap[0][:2].tolist() == [[0, 1, 2, 5], [2, 5, 6, 7]]
    chains = torsion_atoms(np.array([1, 2, 3, 1, 2]), np.array([0, 0, 0, 1, 1]), first)
    assert chains[1] == ("psi_0_1", "phi_0_2", "psi_0_2", "phi_0_3", "psi_1_1", "phi_1_2")
    alone = torsion_atoms(np.array([1]), np.array([0]), np.array([0]))
    assert alone[0].shape == (0, 4) and alone[1] == ()


CRYSTALS = tuple(f"{name}_A.pdb" for name in ("1AKE", "4AKE", "1URP", "2DRI", "1GGG", "1WDN"))
WITH_CB = ("1ubi.pdb", "6lu7.pdb", "1l2y_trpcage_38models.pdb.gz", "1vii_3frames.pdb")


@needs_data
@pytest.mark.parametrize("file", CRYSTALS + WITH_CB)
def test_real_structures_are_valid_and_so_are_their_frames(file):
    own = read(DATA / "proteins" / file, "A")
    assert check(own.positions, *own.residues).valid.all()
    first = own.first_atom_of_residue
    n, alpha, c = (torch.tensor(own.positions[:, first + k]) for k in range(3))
    kept = np.ones((len(first), 5), dtype=bool)
    kept[:, 4] = np.array(own.names) != "GLY"
    rebuilt = backbone(alpha, frames_of(n, alpha, c)).numpy()[:, kept]
    starts = np.cumsum([0, *kept.sum(axis=1)[:-1]])
    assert check(rebuilt, own.residue_indices, own.chain_indices, starts).valid.all()


@needs_data
@pytest.mark.parametrize("file", WITH_CB)
def test_mirror_images_of_real_structures_fail_chirality_alone(file):
    own = read(DATA / "proteins" / file, "A")
    counts = check(-own.positions, *own.residues).counts()
    assert counts.pop("chirality") == counts.pop("valid") == 0
    assert set(counts.values()) == {len(own.positions)}


@needs_data
def test_frames_of_simulations_are_valid():
    topology = mdtraj.load_pdb(str(PEPTIDE)).topology
    rows = [index for residue in topology.residues for index in own_atoms(residue)]
    frames = 10.0 * np.load(DATA / "md" / "implicit-2olx-traj-arrays.npz")["positions"][:, rows]
    assert check(frames.astype(float), *read(PEPTIDE).residues).counts()["valid"] == 200


@needs_data
def test_frames_of_a_forced_transition_are_valid():
    topology = mdtraj.load_psf(str(DIMS / "adk.psf"))
    rows = [own_atoms(residue) for residue in topology.residues]
    trajectory = mdtraj.load_dcd(str(DIMS / "adk_dims.dcd"), top=topology)
    first = np.cumsum([0, *(len(own) for own in rows[:-1])])
    frames = 10.0 * trajectory.xyz[:, np.concatenate(rows)].astype(float)
    counts = check(frames, np.arange(214), np.zeros(214, dtype=int), first).counts()
    assert set(counts.values()) == {98}


def own_atoms(residue: mdtraj.core.topology.Residue) -> list[int]:
    """Indices of the backbone's atoms and CB; OT1 is CHARMM's O of the last residue."""
    atoms = {atom.name.replace("OT1", "O"): atom.index for atom in residue.atoms}
    return [atoms[name] for name in ATOMS if name in atoms]


def test_two_hundred_structures_of_300_residues_take_seconds():
    chain = built([STRAND] * 300)
    frames = np.repeat(chain.positions, 200, axis=0) + np.random.default_rng(3).normal(
        scale=0.02, size=(200, 1500, 3)
    )
    started = time.process_time()
    assert check(frames, *chain.residues).valid.all()
    assert time.process_time() - started < 5.0
