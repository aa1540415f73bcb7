"""Log densities of poses against closed forms; the divergence on rotations against finite differences."""

import math
from dataclasses import replace

import pytest
import torch
from exact import FIELD, as_process, in_one_dimension, two_poses
from test_brownian_rotations import PROCESS, rotation_network, start

from dig_core import rotations
from dig_core.diffusion.body_flow import BodyFlow
from dig_core.diffusion.brownian_rotations import BrownianRotations
from dig_core.diffusion.density import log_density
from dig_core.diffusion.divergence import ExactDivergence, HutchinsonDivergence, curvatures, subspace_basis
from dig_core.diffusion.processes import VarianceExploding, mean_free
from dig_core.diffusion.rotation_density import log_density_of_bodies


def test_the_density_of_orientations_is_that_of_their_mixture():
    """Relative to the Haar measure, within a tenth of the tolerance; sigma ends where the mismatch of the prior is below 1e-5."""
    product, count = {"rotations": BrownianRotations(0.02, 3.8)}, 12
    # Both poses at one place, of one spread: it tells nothing of them.
    data = replace(two_poses(0.0), spreads=torch.ones(2, dtype=torch.float64))
    place = {"positions": torch.zeros(count, 1, 3, dtype=torch.float64)}
    whole = data.score({"positions": VarianceExploding(), **product})

    def score(state, time):
        return {"rotations": whole({**place, **state}, time)["rotations"]}

    drawn = {"rotations": data.draw(count, torch.Generator().manual_seed(0))["rotations"]}
    found = log_density_of_bodies(score, product, drawn, tolerance=0.05)
    noise = torch.full((count,), 0.02, dtype=torch.float64)
    expected = data.log_density({**place, **drawn}, 0 * noise, noise) + 1.5 * math.log(2 * math.pi)
    assert found.change.max().item() <= 0.05 and found.evaluations <= 600
    torch.testing.assert_close(found.log_density, expected, rtol=0, atol=0.005)
    assert found.standard_error.max().item() == 0.0


def poses_and_density(count: int):
    data, noise = two_poses(), torch.full((count,), 0.02, dtype=torch.float64)
    state = data.draw(count, torch.Generator().manual_seed(0))
    return data.score(PROCESS), state, data.log_density(state, noise, noise)


def test_the_density_of_poses_is_that_of_their_mixture():
    """Within the mismatch of the uniform prior at sigma 2.33, 0.03 nats a body at most (`prior_mismatch_nats` is its mean)."""
    score, state, expected = poses_and_density(12)
    found = log_density_of_bodies(score, PROCESS, state, tolerance=0.05)
    torch.testing.assert_close(found.log_density, expected, rtol=0, atol=0.04)
    assert found.change.max().item() <= 0.05
    assert {f: x.shape for f, x in found.latent.items()} == {f: x.shape for f, x in state.items()}


def test_random_probes_estimate_it_with_their_error():
    score, state, expected = poses_and_density(6)
    generators = [torch.Generator().manual_seed(i) for i in range(6)]
    found = log_density_of_bodies(score, PROCESS, state, HutchinsonDivergence(generators, 30), tolerance=0.3)
    assert found.standard_error.min().item() > 0.0 and found.standard_error.max().item() < 2.0
    assert ((found.log_density - expected).abs() < 4 * found.standard_error + 0.05).all()


def test_fields_without_rotations_have_the_density_they_have_elsewhere():
    data, product = in_one_dimension(), {FIELD: as_process("linear")}
    state = {FIELD: data.draw(5, torch.Generator().manual_seed(0))}
    expected = log_density(data.score(product[FIELD]), product, state, tolerance=1e-5).log_density
    found = log_density_of_bodies(data.score(product[FIELD]), product, state, tolerance=1e-2)
    torch.testing.assert_close(found.log_density, expected, rtol=0, atol=1e-3)


def test_the_divergence_is_that_of_finite_differences():
    """Of the velocity of many bodies: along each axis of each body, R Exp(h e_k), and each position."""
    state = start(2, torch.Generator().manual_seed(0), bodies=3)
    flow, u = BodyFlow(rotation_network, PROCESS, state), -0.5
    basis = subspace_basis(flow.projected, flow.still)
    directions = ExactDivergence().directions(basis, 2)
    velocity, along = curvatures(
        lambda v: flow.velocity(u, flow.displaced(state, v)), flow.still, directions, 64
    )
    assert basis.shape == (18, 18) and flow.dimensions(basis) == {"positions": 9, "rotations": 9}
    expected = 0.0
    for k, step in enumerate(1e-5 * torch.eye(18, dtype=torch.float64)):
        ends = [flow.velocity(u, flow.displaced(state, (sign * step).expand(2, 18))) for sign in (1, -1)]
        expected = expected + (ends[0] - ends[1])[:, k] / 2e-5
    torch.testing.assert_close(along.sum(dim=0), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(velocity, flow.velocity(u, state))


def test_the_density_does_not_change_when_all_is_turned():
    turn = rotations.exponential(torch.tensor([0.4, -1.0, 0.8], dtype=torch.float64))
    product = {
        "positions": VarianceExploding(0.1, 5.0, projection=mean_free),
        "rotations": PROCESS["rotations"],
    }
    generator = torch.Generator().manual_seed(0)
    state = {"positions": mean_free(torch.randn(2, 3, 3, generator=generator).double())}
    state["rotations"] = product["rotations"].prior(torch.zeros(2, 3, 3, 3).double(), generator)
    again = {"positions": state["positions"] @ turn.T, "rotations": turn @ state["rotations"]}
    one, two = (
        log_density_of_bodies(rotation_network, product, each, tolerance=5.0) for each in (state, again)
    )
    torch.testing.assert_close(one.log_density, two.log_density, rtol=1e-7, atol=1e-6)
    assert one.latent["positions"].mean(dim=1).abs().max().item() < 1e-10


def test_what_cannot_have_a_density_is_refused():
    score, state, _ = poses_and_density(2)
    with pytest.raises(ValueError, match="expected fields in which points are vectors; got rotations"):
        log_density(score, PROCESS, state)
    with pytest.raises(ValueError, match=r"expected a state of the fields \['positions', 'rotations'\]"):
        log_density_of_bodies(score, PROCESS, {"positions": state["positions"]})
    free = {"positions": VarianceExploding(0.1, 5.0, projection=mean_free)}
    with pytest.raises(ValueError, match="expected positions in the subspace of their process"):
        log_density_of_bodies(score, free, {"positions": torch.ones(2, 3, 3)})

    def flat(state, time):
        return {field: torch.zeros(2, 1, 3, dtype=torch.float64) for field in state}

    with pytest.raises(ValueError, match="expected a score that depends on the state with a gradient"):
        log_density_of_bodies(flat, PROCESS, state)

    def undefined(state, time):
        return {field: part * float("nan") for field, part in score(state, time).items()}

    with pytest.raises(ValueError, match="expected finite log densities"):
        log_density_of_bodies(undefined, PROCESS, state)
