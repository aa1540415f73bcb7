"""Small networks of points and of particles: an untrained one is 0, and symmetries of the particles."""

import pytest
import torch

from dig_core.energies.frames import centred_basis
from dig_core.models.potential import PairNetwork, PointNetwork

BASIS = torch.tensor(centred_basis(4, 2))


def awake(network: torch.nn.Module) -> torch.nn.Module:
    """With weights that are nowhere 0."""
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network.double()


def state_of(positions: torch.Tensor) -> torch.Tensor:
    return positions.flatten(start_dim=1) @ BASIS


@pytest.mark.parametrize("outputs", [1, 6])
def test_an_untrained_network_is_zero(outputs):
    points, noise = torch.randn(3, 6), torch.rand(3)
    for network in (PointNetwork(6, outputs), PairNetwork(BASIS, 2, outputs)):
        assert torch.equal(network(points, noise), torch.zeros(3, outputs))


def test_a_potential_of_particles_knows_no_orientation_and_a_score_turns_along():
    positions = torch.randn(5, 4, 2, dtype=torch.float64)
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([angle.sin(), -angle.cos()])])
    order, noise = torch.tensor([2, 0, 3, 1]), torch.rand(5, dtype=torch.float64)
    moved = positions[:, order] @ turn
    potential, score = (awake(PairNetwork(BASIS, 2, outputs)) for outputs in (1, 6))
    torch.testing.assert_close(
        potential(state_of(moved), noise), potential(state_of(positions), noise), rtol=1e-4, atol=1e-4
    )
    before = (score(state_of(positions), noise) @ BASIS.T).unflatten(1, (4, 2))
    after = (score(state_of(moved), noise) @ BASIS.T).unflatten(1, (4, 2))
    # The network keeps its basis in single precision.
    torch.testing.assert_close(after, before[:, order] @ turn, rtol=1e-4, atol=1e-4)
    assert before.abs().max() > 1e-3 and potential(state_of(positions), noise).std() > 1e-3
