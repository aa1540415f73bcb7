"""Several targets in one training, and the pieces of a molecule study that meet in systems/molecule.py."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.losses import Batch
from dig_core.systems.molecule import build, denoising_loss, network, trained_model
from dig_core.systems.molecule_denoising import indices_of_one_target
from tests.molecules_for_tests import peptide, small_molecule

PROCESS = {"kind": "variance_exploding", "sigma_min": 0.01, "sigma_max": 5.0}
MODEL = {
    "kind": "graphormer",
    "layers": 2,
    "blocks": 2,
    "width": 16,
    "heads": 2,
    "radial_features": 8,
    "head_width": 8,
}
TRAINING = {
    "validation_fraction": 0.25,
    "draw_exponent": 1.0,
    "noise_log_mean": -1.0,
    "noise_log_std": 1.0,
    "weight_low": 0.03,
    "weight_high": 2.0,
    "control_variate": None,
}


def test_batches_of_several_targets_follow_the_weights_of_their_own_frames():
    """Two targets of four frames with all weight on the first of one and on the last of the other."""
    probabilities = torch.tensor([0.5, 0, 0, 0, 0, 0, 0, 0.5])
    generator = torch.Generator().manual_seed(0)
    seen = {0: set(), 1: set()}
    for _ in range(50):
        target, local = indices_of_one_target(
            torch.multinomial(probabilities, 8, replacement=True, generator=generator), [4, 4]
        )
        assert len(local) == 8
        seen[target] |= set(local.tolist())
    assert seen == {0: {0}, 1: {3}}


def test_loss_of_a_dataset_with_two_molecules_is_one_for_a_network_that_returns_nothing():
    molecules = {"ala": peptide()[1], "ethanol": small_molecule("CCO")}
    generator = np.random.default_rng(0)
    dataset = {}
    for name, molecule in molecules.items():
        noise = generator.normal(0.0, 0.05, (40, *molecule["positions_angstrom"].shape))
        dataset[f"{name}.positions_angstrom"] = (molecule["positions_angstrom"] + noise).astype(np.float32)
        dataset[f"{name}.weights"] = np.full(40, 1 / 40)
    loss, probabilities, scale = denoising_loss(
        dataset, molecules, {"process": PROCESS, "training": TRAINING}, "cpu"
    )
    assert 0.8 < scale < 2.5
    assert all(values.sum().item() == pytest.approx(1.0) for values in probabilities.values())
    assert (probabilities["train"] * probabilities["validation"]).sum() == 0
    model = network(MODEL)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    draws = torch.Generator().manual_seed(0)
    values = [
        loss(
            model,
            Batch(torch.multinomial(probabilities["train"], 64, replacement=True, generator=draws), draws),
        )
        for _ in range(40)
    ]
    # Mean-free noise leaves out 3 of 3 N directions; ethanol is smaller than the common scale.
    assert torch.cat(values).mean().item() == pytest.approx(0.9, abs=0.15)


def test_loss_of_frames_that_were_drawn_too_often_counts_less():
    molecule = peptide()[1]
    dataset = {
        "ala.positions_angstrom": np.stack([molecule["positions_angstrom"]] * 8),
        "ala.weights": np.array([0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.25, 0.25]),
    }
    losses = {}
    for exponent in (1.0, 0.5):
        settings = {"process": PROCESS, "training": TRAINING | {"draw_exponent": exponent}}
        loss, probabilities, _ = denoising_loss(dataset, {"ala": molecule}, settings, "cpu")
        twice = torch.arange(8).repeat(2)
        losses[exponent] = loss(network(MODEL), Batch(twice, torch.Generator().manual_seed(0))).detach()
        share = probabilities["train"] / probabilities["train"].sum()
        assert share[2] / share[0] == pytest.approx(2**exponent)
    expected = np.sqrt(dataset["ala.weights"]) * np.sqrt(dataset["ala.weights"]).sum()
    np.testing.assert_allclose(losses[0.5] / losses[1.0], np.tile(expected, 2), rtol=1e-4)


def test_structures_come_in_pairs_with_opposite_noise():
    molecule, seen = peptide()[1], []
    dataset = {
        "ala.positions_angstrom": np.stack(
            [(1 + 0.1 * k) * molecule["positions_angstrom"] for k in range(8)]
        ),
        "ala.weights": np.full(8, 1 / 8),
    }
    loss, _, _ = denoising_loss(dataset, {"ala": molecule}, {"process": PROCESS, "training": TRAINING}, "cpu")

    class Recorder(torch.nn.Module):
        conditions = network(MODEL).conditions

        def forward(self, positions, noise, conditions):
            seen.append((positions, noise))
            return torch.zeros_like(positions)

    assert len(loss(Recorder(), Batch(torch.arange(7), torch.Generator().manual_seed(0)))) == 8
    (positions, noise), clean = seen[0], loss.frames[0]
    assert torch.equal(noise[:4], noise[4:]) and len(set(noise[:4].tolist())) == 4
    torch.testing.assert_close((positions[:4] + positions[4:]) / 2, clean[:4])
    assert ((positions[:4] - clean[:4]).square().mean((1, 2)).sqrt() / noise[:4] - 1).abs().max() < 0.4


def test_score_of_a_checkpoint_is_mean_free_and_for_its_molecule_only():
    molecule = peptide()[1]
    from dig_core.data.features import descriptor_hash

    checkpoint = {
        "weights": network(MODEL).state_dict(), "settings": {"model": MODEL, "process": PROCESS},
        "molecules": {"ala": descriptor_hash(molecule)}, "scale_angstrom": 1.6,
    }  # fmt: skip
    model = trained_model(checkpoint, molecule)
    positions = torch.randn(2, *model.shape["positions"])
    score = model.score({"positions": positions - positions.mean(1, keepdim=True)}, torch.tensor([0.2, 0.8]))[
        "positions"
    ]
    assert score.mean(1).abs().max() < 1e-4 * score.abs().max()
    with pytest.raises(ValueError, match="got one trained on ala"):
        trained_model(checkpoint, peptide("ACE-SER-NME")[1])


def test_build_refuses_what_the_force_field_does_not_know_before_anything_runs():
    data = {"source": "simulate", "force_field": ["amber99sbildn.xml", "amber99_obc.xml"]}
    with pytest.raises(ValueError, match="expected a molecule that the force field has parameters for"):
        build({"smiles": "Oc1ccccc1"}, data)
    bias = {"torsions": ["phi", "psi"]}
    with pytest.raises(ValueError, match="expected a backbone with phi and psi to bias"):
        build({"smiles": "CCO"}, {"source": "simulate", "bias": bias})
    _, molecule = build({"smiles": "CC(=O)N[C@@H](C)C(=O)NC"}, data)
    assert len(molecule["backbone_torsions"]) == 1
