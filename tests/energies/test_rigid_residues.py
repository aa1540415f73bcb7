"""Forces and torques on rigid residues against differences of the energy, and what no rigid motion may change."""

from functools import cache

import numpy as np
import openmm.app as app
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from dig_core.backbone import frames_of
from dig_core.data.proteins import backbone_indices
from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.energies.rigid_residues import RigidResidues, residues_of_atoms
from dig_core.rotations import exponential
from tests.molecules_for_tests import FORCE_FIELD, peptide

ALANINES, BULKY, UNCAPPED = "ACE-ALA-ALA-NME", "ACE-TRP-PRO-GLY-ARG-NME", "SER-GLY-PHE"


@cache
def parts(sequence: str):
    """What `RigidResidues.of` takes but the energy."""
    topology, molecule = peptide(sequence)
    positions = molecule["positions_angstrom"]
    return positions, backbone_indices(topology), residues_of_atoms(topology)


@cache
def rigid(sequence: str) -> RigidResidues:
    system = molecular_system(peptide(sequence)[0], force_field(FORCE_FIELD), 3.0)
    return RigidResidues.of(*parts(sequence), OpenMMEnergy(system))


def turned(rotations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """R Exp(w)."""
    return rotations @ exponential(torch.from_numpy(vectors)).numpy()


def strained(sequence: str, count: int = 1, seed: int = 0):
    """Frames [count, ...] about those of the template: 0.1 Angstrom and 0.1 radians on each axis."""
    energy, generator = rigid(sequence), np.random.default_rng(seed)
    shape = (count, *energy.template_alpha.shape)
    alpha = energy.template_alpha + generator.normal(scale=0.1, size=shape)
    return alpha, turned(energy.template_rotations, generator.normal(scale=0.1, size=shape))


def central_differences(sequence: str, alpha: np.ndarray, rotations: np.ndarray, step: float = 1e-5):
    """-dE/dx and -dE/dw [residues, 3] of one set of frames."""
    energy, residues = rigid(sequence), alpha.shape[1]
    steps = step * np.eye(3 * residues).reshape(-1, residues, 3)
    steps, still = np.concatenate([steps, -steps]), np.zeros((6 * residues, residues, 3))
    moved, _, _ = energy(alpha + steps, turned(rotations, still))
    spun, _, _ = energy(alpha + still, turned(rotations, steps))
    return [((e[3 * residues :] - e[: 3 * residues]) / (2 * step)).reshape(-1, 3) for e in (moved, spun)]


@pytest.mark.parametrize("sequence", [ALANINES, BULKY, UNCAPPED])
def test_forces_and_torques_are_minus_the_gradient(sequence):
    """Every single component: the smallest is far above the rounding of the differences."""
    frames = strained(sequence)
    _, forces, torques = rigid(sequence)(*frames)
    for own, expected in zip((forces, torques), central_differences(sequence, *frames), strict=True):
        assert np.linalg.norm(own) > 100
        np.testing.assert_allclose(own[0], expected, rtol=1e-6)


@pytest.mark.parametrize("sequence", [ALANINES, BULKY])
def test_an_isolated_molecule_has_no_total_force_and_torque(sequence):
    alpha, rotations = strained(sequence, 3)
    _, forces, torques = rigid(sequence)(alpha, rotations)
    in_laboratory = np.einsum("blij,blj->bli", rotations, torques) + np.cross(alpha, forces)
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-9 * np.abs(forces).max())
    np.testing.assert_allclose(in_laboratory.sum(axis=1), 0.0, atol=1e-9 * np.abs(in_laboratory).max())


@pytest.mark.parametrize("sequence", [ALANINES, BULKY, UNCAPPED])
def test_the_frames_of_the_template_give_back_the_template(sequence):
    energy, positions = rigid(sequence), parts(sequence)[0].astype(float)[None]
    frames = energy.template_alpha[None], energy.template_rotations[None]
    np.testing.assert_array_equal(energy.atoms(*frames), positions)
    assert energy(*frames)[0] == energy.energy(positions)[0]


@pytest.mark.parametrize("sequence", [ALANINES, BULKY])
def test_frames_read_from_placed_atoms_are_those_that_placed_them(sequence):
    alpha, rotations = strained(sequence, 2)
    corners = torch.from_numpy(rigid(sequence).atoms(alpha, rotations)[:, parts(sequence)[1]])
    nitrogen, own_alpha, carbon = corners.unbind(2)
    np.testing.assert_allclose(own_alpha, alpha, atol=1e-12)
    np.testing.assert_allclose(frames_of(nitrogen, own_alpha, carbon), rotations, atol=1e-12)


@pytest.mark.parametrize("sequence", [ALANINES, BULKY])
def test_turning_everything_turns_the_forces_and_leaves_the_torques(sequence):
    alpha, rotations = strained(sequence, 2)
    turn = Rotation.random(rng=0).as_matrix()
    energies, forces, torques = rigid(sequence)(alpha, rotations)
    others = rigid(sequence)(alpha @ turn.T + 4.0, turn @ rotations)
    for own, other in zip((energies, forces @ turn.T, torques), others, strict=True):
        np.testing.assert_allclose(other, own, atol=1e-9 * np.abs(own).max())


def test_a_moved_residue_keeps_its_distances_and_leaves_the_others():
    energy, owners = rigid(BULKY), parts(BULKY)[2]
    alpha, rotations = energy.template_alpha[None].copy(), energy.template_rotations[None].copy()
    alpha[0, 1] += 7.0
    rotations[:, 1] = turned(rotations[:, 1], np.array([[2.0, -1.0, 0.5]]))
    placed = energy.atoms(alpha, rotations)[0]
    np.testing.assert_array_equal(placed[owners != 1], energy.template[owners != 1])
    own, before = placed[owners == 1], energy.template[owners == 1]
    assert np.linalg.norm(own - before, axis=1).min() > 5
    np.testing.assert_allclose(pdist(own), pdist(before), atol=1e-12)


def test_a_cap_follows_its_residue():
    topology, _ = peptide(ALANINES)
    owners = residues_of_atoms(topology)
    found = [{int(owners[atom.index]) for atom in residue.atoms()} for residue in topology.residues()]
    assert found == [{0}, {0}, {1}, {1}]
    energy = rigid(ALANINES)
    alpha = energy.template_alpha[None] + np.array([[0.0], [9.0]])
    moved = energy.atoms(alpha, energy.template_rotations[None])[0] - energy.template
    cap = [atom.index for atom in topology.atoms() if atom.residue.name == "NME"]
    np.testing.assert_allclose(moved[cap], 9.0, atol=1e-12)


def test_a_batch_is_a_loop_and_calls_are_counted():
    energy, (alpha, rotations) = rigid(ALANINES), strained(ALANINES, 3)
    before = energy.calls
    together = energy(alpha, rotations)
    assert energy.calls == energy.energy.calls == before + 3
    alone = [energy(alpha[k : k + 1], rotations[k : k + 1]) for k in range(3)]
    for own, others in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(own, np.concatenate(others))
    assert energy.calls == before + 6


def test_single_precision_is_enough_and_its_sums_are_double():
    energy, frames = rigid(ALANINES), strained(ALANINES)
    others = energy(*(own.astype(np.float32) for own in frames))
    for own, other in zip(energy(*frames), others, strict=True):
        assert other.dtype == np.float64
        np.testing.assert_allclose(other, own, atol=1e-4 * np.abs(own).max())


def test_a_lost_structure_leaves_the_others():
    energy, (alpha, rotations) = rigid(ALANINES), strained(ALANINES, 3)
    expected = energy(alpha, rotations)
    alpha[1, 0] = np.nan
    found = energy(alpha, rotations)
    assert not np.isfinite(found[0][1])
    for own, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other[[0, 2]], own[[0, 2]])


@pytest.mark.parametrize(
    ("alpha", "rotations"),
    [
        ((2, 3, 3), (2, 3, 3, 3)),
        ((2, 2, 3), (1, 2, 3, 3)),
        ((2, 2, 3), (2, 2, 4)),
        ((2, 3), (2, 3, 3)),
        ((2, 6), (2, 2, 3, 3)),
    ],
)
def test_frames_of_another_shape_are_refused_and_not_counted(alpha, rotations):
    energy = rigid(ALANINES)
    before = energy.calls
    with pytest.raises(
        ValueError, match=r"expected positions \[batch, 2, 3\] and rotations \[batch, 2, 3, 3\]"
    ) as error:
        energy(np.zeros(alpha), np.zeros(rotations))
    assert str(list(rotations)) in str(error.value) and "\n" not in str(error.value)
    assert energy.calls == before


def test_residues_of_another_molecule_are_refused():
    positions, corners, owners = parts(ALANINES)
    energy = rigid(ALANINES).energy
    with pytest.raises(ValueError, match=r"expected a residue for each of 32 atoms; got 31"):
        RigidResidues.of(positions, corners, owners[1:], energy)
    for wrong in (
        (corners[::-1], owners),
        (corners[:1], owners),
        (corners, np.where(owners == 1, 2, owners)),
    ):
        with pytest.raises(ValueError, match=r"expected N, CA and C of [12] residues within"):
            RigidResidues.of(positions, *wrong, energy)


def test_a_molecule_beside_the_protein_is_refused():
    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain("W"), "7")
    topology.addAtom("O", app.element.oxygen, residue)
    with pytest.raises(ValueError, match=r"bonded to one residue .* got HOH 7 of chain W bonded to 0\."):
        residues_of_atoms(topology)
