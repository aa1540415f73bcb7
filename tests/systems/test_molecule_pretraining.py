"""Pre-training of a molecule from energies: exact targets where the energy is harmonic, and the form of its potential."""

import numpy as np
import openmm
import openmm.app as app
import pytest
import torch

from dig_core.config import load_study, plain
from dig_core.diffusion.losses import Batch
from dig_core.diffusion.processes import mean_free
from dig_core.energies.openmm import OpenMMEnergy, force_field, molecular_system
from dig_core.structure import MolecularGraph
from dig_core.systems import molecule
from dig_core.systems.molecule_exploration import explore, hessian
from dig_core.systems.molecule_model import FIELD, diffusion_process
from dig_core.systems.molecule_pretraining import HarmonicForceLoss, MoleculeForm, pretraining_loss

DOUBLE = {"dtype": torch.float64}
PROCESS = {"kind": "variance_exploding", "sigma_min": 0.005, "sigma_max": 4.0}
TINY = {"layers": 2, "blocks": 2, "width": 32, "heads": 4, "radial_features": 16, "head_width": 16}


@pytest.fixture(scope="module")
def dipeptide():
    """Study, topology file content and descriptor of alanine dipeptide."""
    study = plain(load_study("config/systems/few_frames_pidp_score.yaml"))
    study["model"] = {"kind": "graphormer", **TINY}
    topology, arrays = molecule.build(study["targets"]["ala"], study["data"])
    return study, molecule.topology_pdb(topology, arrays["positions_angstrom"]), arrays


def form(arrays) -> MoleculeForm:
    return MoleculeForm(MolecularGraph.from_arrays(arrays, 1.6), diffusion_process(PROCESS))


def test_harmonic_targets_are_the_exact_score_of_a_blurred_gaussian(dipeptide):
    """exp(-x.H.x / 2) blurred by sigma is N(0, H^-1 + sigma^2), whatever structure it is expanded around."""
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(6, 6, generator=generator, **DOUBLE)
    stiffness = factor @ factor.T + 0.1 * torch.eye(6, **DOUBLE)
    around, shift = torch.randn(2, 5, 6, generator=generator, **DOUBLE)
    sigma = torch.tensor([0.01, 0.1, 0.5, 1.0, 3.0], **DOUBLE)
    curvatures, modes = torch.linalg.eigh(stiffness)
    loss = HarmonicForceLoss(
        around.unflatten(1, (2, 3)),
        -around @ stiffness,
        curvatures.expand(5, 6),
        modes.expand(5, 6, 6),
        form(dipeptide[2]),
        3.0,
    )
    found = loss.target(torch.arange(5), shift, sigma)
    for i in range(5):
        covariance = torch.linalg.inv(stiffness) + sigma[i] ** 2 * torch.eye(6, **DOUBLE)
        exact = -torch.linalg.solve(covariance, around[i] + shift[i])
        torch.testing.assert_close(found[i], exact, rtol=1e-8, atol=1e-8)


def test_hessian_is_that_of_springs():
    """Two atoms on a spring k: +-k along it, nothing across at rest."""
    system, bond = openmm.System(), openmm.HarmonicBondForce()
    for _ in range(2):
        system.addParticle(12.0)
    bond.addBond(0, 1, 0.1, 30_000.0)  # kJ/mol/nm^2
    system.addForce(bond)
    found = hessian(OpenMMEnergy(system), np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    expected = np.zeros((6, 6))
    expected[np.ix_([0, 3], [0, 3])] = 300.0 * np.array([[1, -1], [-1, 1]])  # kJ/mol/Angstrom^2
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_an_untrained_potential_is_a_gaussian_and_its_score_the_free_one(dipeptide):
    own = form(dipeptide[2])
    network = molecule.network({"kind": "graphormer", **TINY})
    state = {FIELD: mean_free(torch.randn(3, 22, 3))}
    time = torch.tensor([0.1, 0.5, 0.9])
    sigma = own.process[FIELD].sigma(time)
    values = own.potential(network)(state, time)
    torch.testing.assert_close(values, -0.5 * state[FIELD].flatten(1).square().sum(1) / (1 + sigma**2))
    slope = torch.func.grad(lambda x: own.potential(network)(x, time).sum())(state)[FIELD]
    torch.testing.assert_close(slope, own.score(network)(state, time)[FIELD], rtol=1e-3, atol=1e-5)


def test_structures_of_parallel_tempering_go_on_from_the_last_chunk(dipeptide, tmp_path):
    study, pdb, arrays = dipeptide
    topology = tmp_path / "topology.pdb"
    topology.write_text(pdb)
    structures = {
        "kind": "parallel_tempering", "higher_temperatures_K": [400.0], "exchange_interval_ps": 0.2, "duration_ns": 0.001,
        "frame_interval_ps": 0.1,
    }  # fmt: skip
    own = {**study["pretraining"], "loss": {"kind": "denoising"}, "structures": structures}
    asked = {**study, "pretraining": own, "control_variate": None}
    asked["data"] = {**study["data"], "checkpoint_interval_ps": 0.4}
    found = explore(topology, arrays, asked, tmp_path / "partial")
    chunks = sorted((tmp_path / "partial").iterdir())
    assert len(chunks) == 3 and len(found["positions_angstrom"]) == 10
    assert found["force_calls"] == 2 * (10_000 + 500)  # equilibration, five rounds of 0.2 ps
    chunks[2].unlink()
    again = explore(topology, arrays, asked, tmp_path / "partial")
    assert np.array_equal(again["positions_angstrom"], found["positions_angstrom"])


@pytest.mark.parametrize(
    "kind", [{"kind": "fokker_planck", "form": "score"}, {"kind": "fokker_planck", "form": "potential"}, {"kind": "forces"}],
    ids=lambda kind: kind.get("form", kind["kind"]),
)  # fmt: skip
def test_losses_are_finite_and_reach_every_weight(dipeptide, kind, tmp_path):
    study, pdb, arrays = dipeptide
    topology = tmp_path / "topology.pdb"
    topology.write_text(pdb)
    common = {"narrowest": 0.02, "residual": 0.17, "curriculum": 0.5, "largest_noise": 0.1}
    structures = {
        "kind": "hot_dynamics",
        "temperature_K": 700.0,
        "duration_ns": 0.002,
        "frame_interval_ps": 0.2,
    }
    pretraining = {**study["pretraining"], "loss": common | kind, "structures": structures}
    study = {**study, "pretraining": pretraining}
    study["data"] = {**study["data"], "checkpoint_interval_ps": 2.0}
    found = explore(topology, arrays, study, tmp_path / "partial")
    steps = 11_000  # 20 ps of equilibration and 2 ps
    assert found["force_calls"] == steps + 10 * (1 + (132 if kind["kind"] == "forces" else 0))
    energy = OpenMMEnergy(molecular_system(app.PDBFile(str(topology)).topology, force_field(tuple(study["data"]["force_field"])), 3.0))  # fmt: skip
    energies, forces = energy(found["positions_angstrom"].astype(float))
    np.testing.assert_allclose(found["potential_energy_kJ_per_mol"], energies)
    np.testing.assert_allclose(found["forces_kJ_per_mol_angstrom"], forces)
    dataset = {f"ala.{key}": x for key, x in found.items()}
    loss, probabilities, scale = pretraining_loss(dataset, {"ala": arrays}, study, "cpu")
    # The unit of length of a study that it starts from is kept.
    assert (
        pretraining_loss(dataset, {"ala": arrays}, study | {"scale_angstrom": 3.0}, "cpu")[2] == 3.0 != scale
    )
    assert probabilities["train"].sum() == pytest.approx(1.0) and 1.0 < scale < 2.5
    network = molecule.network(study["model"])
    with torch.no_grad():
        for weights in network.parameters():  # heads start at zero, which hides what is behind them
            weights += 0.02 * torch.randn_like(weights)
    batch = Batch(torch.arange(4), torch.Generator().manual_seed(0), 0.9)
    value = loss(network, batch).mean()
    value.backward()
    assert torch.isfinite(value)
    # In a loss without second derivatives of the boundary some biases have none; no matrix may be left out.
    silent = [n for n, w in network.named_parameters() if w.ndim > 1 and (w.grad is None or not w.grad.any())]
    assert not silent
