"""Training from energies alone, on a density whose modes are far apart and whose weights are known."""

from functools import partial

import numpy as np
import pytest
import torch

from dig_core.diffusion.divergence import ExactDivergence
from dig_core.diffusion.fokker_planck import fokker_planck_residual, potential_residual
from dig_core.diffusion.losses import Batch
from dig_core.diffusion.processes import VariancePreserving
from dig_core.diffusion.samplers import SAMPLERS, sampling_times
from dig_core.energies.analytic import GaussianMixture
from dig_core.models.potential import PointNetwork
from dig_core.pretraining import (
    FIELD,
    Emphasis,
    EnergyLoss,
    PointForm,
    relevant_structures,
    value_errors,
    within_decades,
)
from dig_core.training import Schedule, train

PROCESS = {FIELD: VariancePreserving("linear")}
ENERGY = GaussianMixture(np.array([0.8, 0.2]), np.array([[-1.0], [1.2]]), 0.25)


def energy_loss(residual: float = 0.5, **changes) -> EnergyLoss:
    """As many structures near one mode as near the other: they know nothing of the weights."""
    structures = relevant_structures(ENERGY, (-2.5, 2.5), 4000, np.random.default_rng(0))
    emphasis = Emphasis(0.25, residual)
    own = potential_residual if changes.get("is_potential", True) else fokker_planck_residual
    residual_of = partial(own, divergence=ExactDivergence())
    return EnergyLoss(structures, PROCESS, residual_of, emphasis, PointForm(PROCESS, emphasis), **changes)


def trained(loss: EnergyLoss, tmp_path, steps: int) -> PointNetwork:
    torch.manual_seed(0)
    network = PointNetwork(1, 1)
    equal = torch.full((len(loss.relevant.energies_per_kT),), 1.0)
    schedule = Schedule(
        steps=steps, batch_size=64, learning_rate=1e-2, warmup_steps=50, weight_decay=0.0, gradient_clip=10.0,
        ema_decay=0.99, checkpoint_interval_steps=steps, seed=0,
    )  # fmt: skip
    parts = {"train": equal, "validation": equal}
    network.load_state_dict(train(network, loss, parts, schedule, tmp_path / "restart.pt").averaged)
    return network


def weight_of_the_right_mode(score) -> float:
    generator = torch.Generator().manual_seed(1)
    start = {FIELD: PROCESS[FIELD].prior(torch.zeros(4000, 1), generator)}
    drawn = SAMPLERS["sde_dpm_solver"](score, PROCESS, start, sampling_times(PROCESS, 40), generator)
    return (drawn[FIELD] > 0).float().mean().item()


def test_structures_know_nothing_of_the_weights_and_calls_are_counted():
    before = ENERGY.calls
    structures = relevant_structures(ENERGY, (-2.5, 2.5), 1000, np.random.default_rng(0))
    assert ENERGY.calls - before == 300 * 20 + 1000
    assert 0.35 < (structures.state[FIELD] > 0.1).float().mean() < 0.65
    energies, forces = ENERGY(structures.state[FIELD].double().numpy())
    np.testing.assert_allclose(structures.energies_per_kT, energies, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(structures.forces_per_kT[FIELD], forces, rtol=1e-3, atol=1e-3)


def test_a_potential_learns_the_weights_of_separated_modes_from_energies(tmp_path):
    loss = energy_loss()
    network = trained(loss, tmp_path, 3000)
    # Structures are half and half: too little training ends between that and the truth.
    assert weight_of_the_right_mode(loss.score(network)) == pytest.approx(0.2, abs=0.05)
    grid = torch.linspace(-3, 3, 600)[:, None]
    log_p = loss.form.potential(network)(
        {FIELD: grid}, torch.full((600,), PROCESS[FIELD].minimal_time)
    ).detach()
    assert torch.softmax(log_p, 0)[grid[:, 0] > 0].sum().item() == pytest.approx(0.2, abs=0.03)


def test_a_free_score_learns_the_modes(tmp_path):
    loss = energy_loss(residual=0.1, is_potential=False)
    score = loss.score(trained(loss, tmp_path, 1000))
    time = torch.full((2,), PROCESS[FIELD].minimal_time)
    at_modes = score({FIELD: torch.tensor([[-1.0], [1.2]])}, time)[FIELD]
    beside = score({FIELD: torch.tensor([[-1.25], [1.45]])}, time)[FIELD]
    assert at_modes.abs().max() < 1.5
    assert (beside / torch.tensor([[4.0], [-4.0]]) - 1).abs().max() < 0.4


def test_times_of_the_residual_grow_from_the_boundary():
    loss, latest = energy_loss(), []
    structures = loss.relevant.at(torch.arange(64)).state
    for progress in (0.1, 0.35, 1.0):
        batch = Batch(torch.arange(64), torch.Generator().manual_seed(0), progress)
        noised, time = loss._noised(structures, batch)
        latest.append(time.max().item())
        assert time.min() >= PROCESS[FIELD].minimal_time and noised[FIELD].shape == (64, 1)
    assert latest[0] < 0.01 and latest[1] == pytest.approx(0.25 + 0.25, abs=0.03) and latest[2] > 0.95


def test_values_count_up_to_a_constant():
    energies = torch.tensor([0.0, 1.0, 5.0])
    assert value_errors(7.0 - energies, energies).max() < 1e-10
    assert value_errors(torch.tensor([0.0, -1.0, 0.0]), energies)[2] > 0.1


@pytest.mark.parametrize("is_potential", [True, False])
def test_an_untrained_network_is_the_prior(is_potential):
    state = {FIELD: torch.randn(5, 1)}
    score = energy_loss(is_potential=is_potential).score(PointNetwork(1, 1))
    torch.testing.assert_close(score(state, torch.rand(5))[FIELD], -state[FIELD])


def test_structures_with_large_forces_are_left_out():
    structures = relevant_structures(ENERGY, (-2.5, 2.5), 1000, np.random.default_rng(0))
    sizes = structures.forces_per_kT[FIELD].norm(dim=1)
    kept = within_decades(structures, 1.0)
    own = kept.forces_per_kT[FIELD].norm(dim=1)
    assert 0 < len(own) < 1000 and own.max() <= 10 * sizes.min() * 1.0001
    assert len(own) == (sizes <= 10 * sizes.min()).sum()
    assert len(kept.energies_per_kT) == len(kept.state[FIELD]) == len(own)
