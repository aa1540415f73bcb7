"""Frames of residues and the backbone they stand for, against a peptide that a force field has built and chemistry's geometry."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dig_core.backbone import ATOMS, backbone, frames_of
from tests.molecules_for_tests import peptide

SEQUENCE = "ACE-ALA-VAL-ALA-SER-NME"


@pytest.fixture(scope="module")
def atoms():
    """Positions [4 residues, 5 atoms, 3] of the backbone, in float64."""
    topology, molecule = peptide(SEQUENCE)
    positions = molecule["positions_angstrom"].astype(float)
    residues = [residue for residue in topology.residues() if residue.name not in ("ACE", "NME")]
    found = [{atom.name: positions[atom.index] for atom in residue.atoms()} for residue in residues]
    return torch.tensor(np.array([[own[name] for name in ATOMS] for own in found]))


def frames(atoms):
    return frames_of(*(atoms[..., k, :] for k in range(3)))


def test_frames_are_rotations_and_turn_with_the_molecule(atoms):
    own = frames(atoms)
    torch.testing.assert_close(own @ own.mT, torch.eye(3, dtype=torch.float64).expand_as(own))
    torch.testing.assert_close(torch.linalg.det(own), torch.ones(4, dtype=torch.float64))
    turn = torch.tensor(Rotation.random(rng=0).as_matrix())
    torch.testing.assert_close(frames(atoms @ turn.T + 3.0), turn @ own)


def test_the_backbone_comes_back_within_the_spread_of_bonds_and_angles(atoms):
    """A force field's minimum differs from averages of crystals by a few degrees; O of the last residue is a convention."""
    built = backbone(atoms[:, 1], frames(atoms))
    errors = (built - atoms).norm(dim=-1)
    assert torch.equal(built[:, 1], atoms[:, 1])
    assert errors[:, [0, 2]].max() < 0.12  # N and C
    assert errors[:, 4].max() < 0.25  # CB, and with it the handedness: the mirror image is 2.4 away
    assert errors[:-1, 3].max() < 0.35  # O


def test_the_backbone_turns_with_its_frames(atoms):
    turn, own = torch.tensor(Rotation.random(rng=1).as_matrix()), frames(atoms)
    moved = backbone(atoms[:, 1] @ turn.T, turn @ own)
    torch.testing.assert_close(moved, backbone(atoms[:, 1], own) @ turn.T)


def test_bonds_and_angles_are_those_of_engh_and_huber(atoms):
    n, ca, c, o, cb = backbone(atoms[:, 1], frames(atoms)).unbind(-2)

    def degrees(first, middle, last):
        one, two = ((end - middle) / (end - middle).norm(dim=-1, keepdim=True) for end in (first, last))
        return torch.rad2deg((one * two).sum(-1).acos())

    for measured, expected in (
        ((n - ca).norm(dim=-1), 1.458), ((c - ca).norm(dim=-1), 1.525), ((o - c).norm(dim=-1), 1.231),
        ((cb - ca).norm(dim=-1), 1.530), (degrees(n, ca, c), 111.2), (degrees(n, ca, cb), 110.5), (degrees(c, ca, cb), 110.1),
    ):  # fmt: skip
        torch.testing.assert_close(measured, torch.full_like(measured, expected), atol=1e-6, rtol=0)
    assert degrees(ca, c, o).min() > 115 and degrees(ca, c, o).max() < 127
