"""A training that starts from the network of another study: the weights of that one, its averages, and no others."""

import json

import pytest
import torch

from dig_core.checkpoints import load_checkpoint, save_checkpoint
from dig_core.diffusion.losses import Batch
from dig_core.systems import SYSTEMS
from dig_core.training import Material, train_system
from tests import molecules_for_tests, proteins_for_tests
from tests.proteins_for_tests import dataset, shaken

SCHEDULE = {
    "steps": 4, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 0, "weight_decay": 0.0, "gradient_clip": 1.0,
    "ema_decay": 0.5, "checkpoint_interval_steps": 10, "seed": 1,
}  # fmt: skip
MOLECULE = {
    "model": {
        "kind": "graphormer", "layers": 2, "blocks": 2, "width": 16, "heads": 2, "radial_features": 8, "head_width": 8,
    },
    "process": {"kind": "variance_exploding", "sigma_min": 0.01, "sigma_max": 4.0},
    "training": proteins_for_tests.TRAINING | {"draw_exponent": 1.0, "control_variate": None},
}  # fmt: skip
# By kind: the study, and one target for each of the two trainings, of other molecules.
STUDIES = {
    "molecule": (MOLECULE, [molecules_for_tests.peptide(name)[1] for name in ("ACE-ALA-NME", "ACE-GLY-NME")]),
    "protein": (
        proteins_for_tests.SETTINGS,
        [proteins_for_tests.peptide(name)[1] for name in ("AGS", "VAAG")],
    ),
}


def material(kind: str, number: int, pretrained=None) -> Material:
    own = STUDIES[kind][1][number]
    return Material(dataset({"own": shaken(own, 8, number)}), {"own": own}, pretrained)


def settings(kind: str, **changed) -> dict:
    own = STUDIES[kind][0]
    return {"kind": kind, "temperature_K": 300.0, **own, "training": own["training"] | SCHEDULE | changed}


@pytest.fixture(params=list(STUDIES))
def first(request, tmp_path):
    """Kind, and the checkpoint of a first study, as rule `train` leaves it."""
    kind = request.param
    result = train_system(SYSTEMS[kind], material(kind, 0), settings(kind), tmp_path / "first.pt", "cpu")
    save_checkpoint(tmp_path / "checkpoint.pt", result.weights, result.description)
    return kind, load_checkpoint(tmp_path / "checkpoint.pt", kind)


def first_loss(kind: str, weights, scale_angstrom: float) -> float:
    """Loss of the first batch of the second study under these weights."""
    own, second = settings(kind, seed=5), material(kind, 1)
    known = {"scale_angstrom": scale_angstrom}
    loss, frames, _ = SYSTEMS[kind].denoising_loss(second.dataset, second.descriptors, own | known, "cpu")
    network = SYSTEMS[kind].network(own["model"])
    network.load_state_dict(weights)
    generator = torch.Generator().manual_seed(5)
    indices = torch.multinomial(
        frames["train"], SCHEDULE["batch_size"], replacement=True, generator=generator
    )
    with torch.no_grad():
        return loss(network, Batch(indices, generator)).mean().item()


def test_the_first_loss_is_that_of_the_averaged_weights_of_the_other_study(first, tmp_path):
    kind, checkpoint = first
    own = settings(kind, steps=1, seed=5)
    result = train_system(SYSTEMS[kind], material(kind, 1, checkpoint), own, tmp_path / "second.pt", "cpu")
    expected = first_loss(kind, checkpoint["weights"], checkpoint["scale_angstrom"])
    found = result.history[0]["training_loss"]
    assert found == pytest.approx(expected, rel=1e-6)
    torch.manual_seed(5)
    fresh = SYSTEMS[kind].network(own["model"]).state_dict()
    assert abs(first_loss(kind, fresh, checkpoint["scale_angstrom"]) - found) > 1e-4
    assert result.description["earlier_molecules"] == list(checkpoint["molecules"].values())
    # Positions stay in the unit in which the first network has seen them; the restart point is of both.
    assert result.description["scale_angstrom"] == checkpoint["scale_angstrom"]
    assert not any(
        torch.equal(result.weights[n], x) for n, x in fresh.items() if x.ndim > 1 and n in result.weights
    )


def test_a_network_of_other_sizes_is_refused_and_nothing_is_left(first, tmp_path):
    kind, checkpoint = first
    own = settings(kind)
    own["model"] = own["model"] | {"width": 32}
    with pytest.raises(
        ValueError, match="expected weights of the network under `model:`; got those of another"
    ) as told:
        train_system(SYSTEMS[kind], material(kind, 1, checkpoint), own, tmp_path / "second.pt", "cpu")
    assert "\n" not in str(told.value) and not (tmp_path / "second.pt").exists()


def test_without_anything_to_train_on_the_network_is_taken_as_it_is(first, tmp_path):
    """It names the molecules that trained it, and its own settings."""
    kind, checkpoint = first
    own = settings(kind, steps=0)
    result = train_system(SYSTEMS[kind], Material({}, {}, checkpoint), own, tmp_path / "second.pt", "cpu")
    assert result.weights.keys() == checkpoint["weights"].keys() and result.history == []
    assert all(torch.equal(x, checkpoint["weights"][name]) for name, x in result.weights.items())
    description = json.loads(json.dumps(result.description))
    assert (
        description["molecules"] == checkpoint["molecules"]
        and description["settings"]["training"]["steps"] == 0
    )
