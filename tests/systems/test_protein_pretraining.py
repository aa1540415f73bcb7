"""Pre-training of a protein from energies: forces and torques in the units of the model, and a loss that is least at the truth."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import openmm.app as app
import pytest
import torch

from dig_core.config import load_study, plain
from dig_core.data.proteins import backbone_indices
from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.fokker_planck import ReverseStep, reverse_step_residual
from dig_core.diffusion.losses import Batch
from dig_core.diffusion.processes import VarianceExploding
from dig_core.energies.openmm import openmm_energy
from dig_core.energies.rigid_residues import RigidResidues, residues_of_atoms
from dig_core.pretraining import Emphasis, EnergyLoss, RelevantStructures
from dig_core.rotations import exponential
from dig_core.systems import protein
from dig_core.systems.protein_denoising import rigid_residues
from dig_core.systems.protein_exploration import explore
from dig_core.systems.protein_pretraining import pretraining_loss, relevant_frames
from dig_core.units import thermal_energy_kj_per_mol
from tests.diffusion.exact import two_poses
from tests.proteins_for_tests import FORCE_FIELD, SETTINGS, all_atoms, peptide

SEQUENCE = "ACE-ALA-GLY-NME"
HOT = {"kind": "hot_dynamics", "temperature_K": 500.0, "duration_ns": 0.001, "frame_interval_ps": 0.1}
PIDP = {"kind": "fokker_planck", "form": "score", "narrowest": 0.05, "residual": 0.2, "curriculum": 0.5}


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """Study, file of all atoms, and ten structures of hot dynamics with forces on residues."""
    folder = tmp_path_factory.mktemp("explored")
    data = {**plain(load_study("config/systems/peptides_tiny.yaml"))["data"], **FORCE_FIELD}
    study = {
        "data": data,
        "temperature_K": 300.0,
        "pretraining": {"structures": HOT, "loss": PIDP, "seed": 1},
    }
    topology, positions = all_atoms(SEQUENCE)
    file = folder / "all_atoms.pdb"
    file.write_text(protein.topology_pdb(topology, np.asarray(positions, dtype=np.float32)))
    return study, file, explore(file, peptide(SEQUENCE)[1], study, folder / "partial")


def test_structures_of_all_atoms_become_frames_with_forces_and_torques(explored):
    """An isolated molecule has no total force and torque; so the torques are of the frames that are kept."""
    _, file, found = explored
    arrays = peptide(SEQUENCE)[1]
    forces, torques = (found[f"residue_{name}"].astype(float) for name in (
        "forces_kJ_per_mol_angstrom", "torques_kJ_per_mol_radian"))  # fmt: skip
    assert found["positions_angstrom"].shape == (10, *arrays["positions_angstrom"].shape)
    assert forces.shape == torques.shape == (10, 2, 3) and np.abs(forces).max() > 10
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-4 * np.abs(forces).max())
    alphas, rotations = (x.double().numpy() for x in rigid_residues(found["positions_angstrom"], arrays))
    total = np.einsum("blij,blj->bli", rotations, torques) + np.cross(alphas, forces)
    np.testing.assert_allclose(total.sum(axis=1), 0.0, atol=1e-3 * np.abs(torques).max())
    steps = round(1000.0 * HOT["duration_ns"] / 0.004) + round(20.0 / 0.004)
    assert found["force_calls"] == steps + 10
    topology = app.PDBFile(str(file)).topology
    assert len(backbone_indices(topology)) == 2


def test_answers_are_the_slope_of_the_energy_in_units_of_the_model(explored):
    """E/kT of rigid residues that are moved by units of the model and turned by radians, by differences; the mean force is none."""
    study, file, _ = explored
    topology, positions = all_atoms(SEQUENCE)
    energy = openmm_energy(file, FORCE_FIELD["force_field"])
    rigid = RigidResidues.of(positions, backbone_indices(topology), residues_of_atoms(topology), energy)
    start = rigid.template_alpha[None], rigid.template_rotations[None]
    _, forces, torques = rigid(*start)
    arrays = {"a.potential_energy_kJ_per_mol": np.zeros(1), "a.residue_forces_kJ_per_mol_angstrom": forces}
    arrays |= {"a.residue_torques_kJ_per_mol_radian": torques}
    arrays["a.positions_angstrom"] = peptide(SEQUENCE)[1]["positions_angstrom"][None]
    settings = {**SETTINGS, "temperature_K": study["temperature_K"]}
    known = relevant_frames(arrays, "a", peptide(SEQUENCE)[1], settings, "cpu").forces_per_kT
    generator = np.random.default_rng(0)
    moves, turns = generator.normal(size=(2, 1, 2, 3))
    moves -= moves.mean(axis=1, keepdims=True)
    scale, step = settings["model"]["scale_angstrom"], 1e-5

    def reduced(sign: int) -> float:
        turned = start[1] @ exponential(torch.from_numpy(sign * step * turns)).numpy()
        return rigid(start[0] + sign * step * scale * moves, turned)[0][0] / thermal_energy_kj_per_mol(300.0)

    expected = -(reduced(1) - reduced(-1)) / (2 * step)
    slope = (known["positions"].numpy() * moves).sum() + (known["rotations"].numpy() * turns).sum()
    assert slope == pytest.approx(expected, rel=1e-4)


@dataclass(frozen=True)
class ExactForm:
    """A factor times the exact score of two poses, whatever the network says."""

    process: dict
    factor: float

    def score(self, model):
        exact = two_poses(apart=0.5).score(self.process)
        return lambda x, t: {field: self.factor * s for field, s in exact(x, t).items()}


def test_the_loss_on_poses_is_least_at_the_exact_score():
    """Boundary and residual of positions and orientations together: near 0 for the truth, and not for 0.9 or 1.1 of it."""
    process = {"positions": VarianceExploding(0.05, 8.0), "rotations": BrownianRotations(0.05, 2.3)}
    generator = torch.Generator().manual_seed(0)
    clean = two_poses(apart=0.5).draw(2000, generator)
    forces = two_poses(apart=0.5).score(process)(clean, torch.zeros(2000, dtype=torch.float64))
    relevant = RelevantStructures(clean, torch.zeros(2000, dtype=torch.float64), forces)
    residual = partial(reverse_step_residual, step=ReverseStep(generator, pairs=8))
    losses = {}
    for factor in (0.9, 1.0, 1.1):
        form = ExactForm(process, factor)
        loss = EnergyLoss(relevant, process, residual, Emphasis(0.2, 1.0), form, is_potential=False)
        batch = Batch(torch.arange(2000), torch.Generator().manual_seed(1))
        losses[factor] = loss(torch.nn.Identity(), batch)
    error = losses[1.0].std() / 2000**0.5
    assert abs(losses[1.0].mean()) < 4 * error + 1e-3
    assert min(losses[0.9].mean(), losses[1.1].mean()) > 5 * error + 5e-3


def test_a_network_learns_from_answers_alone(explored):
    """The boundary, which comes first, falls on eight structures; with the equation the gradient of every weight is finite."""
    study, _, found = explored
    dataset = {f"a.{name}": x for name, x in found.items()}
    settings = {**SETTINGS, "temperature_K": 300.0, "pretraining": study["pretraining"]}
    loss, probabilities, scale = pretraining_loss(dataset, {"a": peptide(SEQUENCE)[1]}, settings, "cpu")
    assert scale == settings["model"]["scale_angstrom"]
    assert probabilities["train"].shape == probabilities["validation"].shape == (10,)
    torch.manual_seed(0)
    model = protein.network(settings["model"])
    optimizer, history = torch.optim.Adam(model.parameters(), lr=3e-3), []

    def value(progress: float) -> torch.Tensor:
        return loss(model, Batch(torch.arange(8), torch.Generator().manual_seed(0), progress)).mean()

    for _ in range(60):
        optimizer.zero_grad()
        history.append(value(0.0))
        history[-1].backward()
        optimizer.step()
    assert history[-1] < 0.7 * history[0]
    value(1.0).backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
