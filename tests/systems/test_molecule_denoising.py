"""Training with forces on the frames: what it learns besides the network, and how it goes on after an interruption."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.control_variate import SpringVariate
from dig_core.diffusion.losses import Batch
from dig_core.energies.openmm import OpenMMEnergy, force_field, frame_forces, molecular_system
from dig_core.systems import molecule
from dig_core.training import Material, train_system
from tests.molecules_for_tests import FORCE_FIELD, peptide

MODEL = {"kind": "graphormer", "layers": 2, "blocks": 2, "width": 16, "heads": 2, "radial_features": 8, "head_width": 8}  # fmt: skip
TRAINING = {
    "steps": 6, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 2, "weight_decay": 0.0, "gradient_clip": 1.0,
    "ema_decay": 0.9, "draw_exponent": 1.0, "noise_log_mean": -1.0, "noise_log_std": 1.5, "weight_low": 0.01, "weight_high": 2.0,
    "control_variate": "forces", "validation_fraction": 0.25, "checkpoint_interval_steps": 4, "seed": 1,
}  # fmt: skip
SETTINGS = {
    "kind": "molecule",
    "model": MODEL,
    "process": {"kind": "variance_exploding", "sigma_min": 0.005, "sigma_max": 4.0},
    "training": TRAINING,
    "temperature_K": 300.0,
}


@pytest.fixture(scope="module")
def material() -> Material:
    """Twenty shaken structures of alanine dipeptide with the forces on them."""
    topology, arrays = peptide()
    noise = np.random.default_rng(0).normal(0.0, 0.03, (20, 22, 3))
    positions = (arrays["positions_angstrom"] + noise).astype(np.float32)
    energy = OpenMMEnergy(molecular_system(topology, force_field(FORCE_FIELD), 3.0))
    frames = {
        "positions_angstrom": positions,
        "weights": np.full(20, 0.05),
        **frame_forces(energy, positions),
    }
    assert int(frames["force_calls"]) == energy.calls == 20
    return Material({f"ala.{name}": x for name, x in frames.items()}, {"ala": arrays})


def test_the_loss_falls_with_forces_where_nearly_all_of_it_is_noise(material):
    """At a small noise the targets of denoising are noise that nobody can know; with forces little of it is left."""
    narrow = TRAINING | {"noise_log_mean": -5.0, "noise_log_std": 0.2}
    losses = {}
    for kind in (None, "forces"):
        settings = SETTINGS | {"training": narrow | {"control_variate": kind}}
        loss, probabilities, _ = molecule.denoising_loss(
            material.dataset, material.descriptors, settings, "cpu"
        )
        model = molecule.network(MODEL)
        for weights in model.parameters():
            torch.nn.init.zeros_(weights)
        draws = torch.Generator().manual_seed(0)
        indices = torch.multinomial(probabilities["train"], 128, replacement=True, generator=draws)
        losses[kind] = loss(model, Batch(indices, draws)).mean().item()
    assert losses["forces"] < 0.5 * losses[None]


def test_what_the_loss_learns_stays_out_of_the_checkpoint_and_in_the_restart_point(material, tmp_path):
    whole = train_system(molecule, material, SETTINGS, tmp_path / "whole.pt", "cpu")
    assert set(whole.weights) == set(molecule.network(MODEL).state_dict())
    restart = torch.load(tmp_path / "whole.pt", weights_only=True)
    learned = {name: x for name, x in restart["network"].items() if name.startswith("of_the_loss")}
    assert list(learned) == ["of_the_loss.tenths"]
    assert not torch.equal(learned["of_the_loss.tenths"], SpringVariate(0.005, 4.0).tenths)
    again = train_system(molecule, material, SETTINGS, tmp_path / "whole.pt", "cpu")  # from step 4
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)


def test_training_without_forces_says_nothing_of_them(material, tmp_path):
    plain = SETTINGS | {"training": TRAINING | {"control_variate": None}}
    bare = {name: x for name, x in material.dataset.items() if "force" not in name}
    result = train_system(molecule, Material(bare, material.descriptors), plain, tmp_path / "plain.pt", "cpu")
    assert set(result.weights) == set(molecule.network(MODEL).state_dict())
