"""PIDP of an adsorbed atom: a loss of nothing for the exact score, and a training that finds forces and sites from energies."""

import numpy as np
import pytest
import torch

from dig_core.diffusion.losses import Batch
from dig_core.systems.adsorption_model import HEIGHT, PLANE, network
from dig_core.systems.adsorption_pretraining import AdsorptionForm, pretraining_loss
from dig_core.units import thermal_energy_eV
from tests.systems.test_adsorption import MODEL, PROCESS, arrays, energies

STIFFNESS = 10.0  # of `energies`, in eV per square Angstrom
TEMPERATURE_K = 1500.0


def settings(structures: int = 200) -> dict:
    loss = {"narrowest": 0.15, "residual": 0.17, "curriculum": 0.5}
    return {
        "model": MODEL, "process": PROCESS, "temperature_K": TEMPERATURE_K, "training": {"validation_fraction": 0.1},
        "pretraining": {"structures": structures, "loss": loss, "seed": 1},
    }  # fmt: skip


def dataset(corrugation: float) -> dict[str, np.ndarray]:
    own = energies()
    own["energies_eV"] = corrugation * own["energies_eV"]
    own["rest_angstrom"] = 1.0 + corrugation * (own["rest_angstrom"] - 1.0)
    return {f"one.{name}": values for name, values in own.items()}


def batch(seed: int = 0) -> Batch:
    return Batch(torch.arange(64), torch.Generator().manual_seed(seed), progress=1.0)


def test_the_loss_of_the_exact_score_is_nothing_and_that_of_another_is_not(monkeypatch):
    """Over a flat surface: uniform in the plane, and a normal distribution of the height."""
    variance = thermal_energy_eV(TEMPERATURE_K) / STIFFNESS / MODEL["height_spread_angstrom"] ** 2
    factor = [1.0]

    def exact(form, model):
        def score(state, time):
            total = variance + form.process[HEIGHT].sigma(time) ** 2
            slope = -factor[0] * state[HEIGHT] / total[:, None, None]
            return {PLANE: torch.zeros_like(state[PLANE]), HEIGHT: slope}

        return score

    monkeypatch.setattr(AdsorptionForm, "score", exact)
    loss, _, scale = pretraining_loss(dataset(0.0), {"one": arrays()}, settings(), "cpu")
    assert scale == 1.0 and abs(loss(torch.nn.Identity(), batch()).mean().item()) < 2e-3
    factor[0] = 1.5
    assert loss(torch.nn.Identity(), batch()).mean().item() > 0.02


def test_forces_are_those_of_the_energies_as_the_state_has_them():
    """Per Angstrom in the plane, per spread in height, over kT: finite differences of the functions that the map was made from."""
    own = settings(500)
    loss, _, _ = pretraining_loss(dataset(1.0), {"one": arrays()}, own, "cpu")
    relevant, form = loss.losses[0].relevant, loss.losses[0].form
    cell, kT = form.surface.lattice[:2, :2].double(), thermal_energy_eV(TEMPERATURE_K)

    def energy(plane, height):
        a, b = 2 * 2 * np.pi * (plane @ torch.linalg.inv(cell)).T
        waves, sines = a.cos() + b.cos() + (a + b).cos(), a.sin() + b.sin() - (a + b).sin()
        above = 1.0 + 0.3 * height - 1.0 - 0.1 * waves
        return (0.3 * waves + 0.03 * sines + 0.5 * STIFFNESS * above**2) / kT

    state = {field: x[:, 0].double() for field, x in relevant.state.items()}
    plane = (state[PLANE] @ cell).requires_grad_()
    height = state[HEIGHT][:, 0].requires_grad_()
    total = energy(plane, height)
    slopes = torch.autograd.grad(total.sum(), [plane, height])
    energies_found = relevant.energies_per_kT.double()
    torch.testing.assert_close(
        energies_found - energies_found.min(), (total - total.min()).detach(), atol=2e-2, rtol=1e-3
    )
    for field, slope in zip((PLANE, HEIGHT), slopes, strict=True):
        found = relevant.forces_per_kT[field][:, 0].double()
        torch.testing.assert_close(
            found, -slope.reshape(found.shape), atol=0.02 * found.abs().max().item(), rtol=0.02
        )


def test_forces_are_learned_from_energies():
    """A hundred steps."""
    torch.manual_seed(0)
    own, (loss, _, _) = network(MODEL), pretraining_loss(dataset(1.0), {"one": arrays()}, settings(), "cpu")
    optimizer = torch.optim.Adam(own.parameters(), lr=1e-2)
    values = []
    for step in range(100):
        value = loss(own, batch(step)).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert np.mean(values[-10:]) < 0.5 * np.mean(values[:5])
    form = loss.losses[0].form
    relevant = loss.losses[0].relevant.at(torch.arange(100))
    start = torch.full((100,), form.process[PLANE].minimal_time)
    with torch.no_grad():
        found = form.score(own)(relevant.state, start)
    for field in (PLANE, HEIGHT):
        pairs = torch.stack([found[field].flatten(), relevant.forces_per_kT[field].flatten()])
        assert torch.corrcoef(pairs)[0, 1] > 0.7, field


def test_of_several_targets_a_batch_is_of_one(monkeypatch):
    both = dataset(1.0) | {name.replace("one", "two"): x for name, x in dataset(0.5).items()}
    loss, probabilities, _ = pretraining_loss(both, {"one": arrays(), "two": arrays()}, settings(), "cpu")
    assert probabilities["train"].sum().item() == pytest.approx(1.0) and len(loss.losses) == 2
    asked = []
    monkeypatch.setattr(
        type(loss.losses[0]),
        "__call__",
        lambda own, model, part: asked.append((own, part)) or torch.zeros(len(part.indices)),
    )
    first = torch.cat([torch.tensor([loss.sizes[0] + 3]), torch.arange(20)])
    loss(torch.nn.Identity(), Batch(first, torch.Generator().manual_seed(0), progress=0.4))
    ((own, part),) = asked
    assert own is loss.losses[1] and part.progress == 0.4 and len(set(part.indices.tolist())) > 10
    assert part.indices.max() < loss.sizes[1]
