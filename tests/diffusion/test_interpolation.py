"""Encoding against the closed form of a Gaussian's flow, round trips, and paths between latent states."""

import pytest
import torch
from exact import FIELD, PROCESSES, as_process, gaussian, in_ten_dimensions, two_states

from dig_core.diffusion.integration import integrate
from dig_core.diffusion.interpolation import (
    LatentPath,
    decode,
    decode_through,
    decoding_steps,
    encode,
    interpolate,
    linear,
    slerp,
)
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import VarianceExploding, mean_free
from tests.molecules_for_tests import graph, noisy, small_molecule, tiny_network

MIDDLE = torch.tensor([0.0, 0.5, 1.0])


def draws(data, count=50, seed=0):
    return data.draw(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PROCESSES)
def test_latent_states_of_a_gaussian_follow_its_closed_form(name):
    """Along each axis of the covariance, y - mean grows as sqrt(variance + tau^2)."""
    process, data, x = as_process(name), gaussian(), draws(gaussian())
    ends = torch.tensor([process.minimal_time, process.maximal_time]).double()
    first, last = process.noise_to_signal(ends).tolist()
    variances, axes = torch.linalg.eigh(data.covariance())
    growth = torch.sqrt((variances + last**2) / (variances + first**2))
    expected = process.alpha(ends[1]) * (data.mean() + ((x - data.mean()) @ axes * growth) @ axes.T)
    found = encode(data.score(process), {FIELD: process}, {FIELD: x}, 1e-6)[FIELD]
    torch.testing.assert_close(
        found / process.prior_scale(), expected / process.prior_scale(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("data", [two_states(), in_ten_dimensions()], ids=["2", "10"])
def test_decoding_returns_what_was_encoded(data, name):
    process, x = as_process(name), draws(data)
    score, product = data.score(process), {FIELD: process}
    latent = encode(score, product, {FIELD: x})
    back = decode(score, product, latent)[FIELD]
    assert (back - x).abs().max().item() < 1e-4
    assert (latent[FIELD] - x).abs().max().item() > 0.1


def test_decoding_with_the_steps_of_others_is_one_map():
    """Neighbours 1e-9 apart stay neighbours in whatever batch they are; with adaptive steps they need not."""
    process, data = as_process("exploding"), two_states()
    score, product = data.score(process), {FIELD: process}
    latent = encode(score, product, {FIELD: draws(data, 20)})
    steps = decoding_steps(score, product, latent, 1e-4)
    assert steps[0] > steps[-1] and list(steps) == sorted(steps, reverse=True)
    whole = decode_through(score, product, latent, steps)[FIELD]
    torch.testing.assert_close(whole, decode(score, product, latent, 1e-4)[FIELD], rtol=0, atol=1e-9)
    single = {FIELD: latent[FIELD][3:4] * (1.0 + 1e-9)}
    assert (decode_through(score, product, single, steps)[FIELD] - whole[3]).abs().max().item() < 1e-7
    with pytest.raises(ValueError, match="fields"):
        decode_through(score, product, {"other": latent[FIELD]}, steps)


def test_latent_states_of_two_states_are_normal():
    process, data = as_process("exploding"), two_states()
    z = encode(data.score(process), {FIELD: process}, {FIELD: draws(data, 4000)}, 1e-3)[FIELD] / 80.0
    assert z.mean(dim=0).abs().max().item() < 4 / 4000**0.5
    assert (torch.cov(z.T) - torch.eye(2)).abs().max().item() < 4 * (2 / 4000) ** 0.5
    assert z.pow(4).mean().item() == pytest.approx(3.0, abs=4 * (96 / 8000) ** 0.5)


def test_round_trip_of_a_molecule_stays_mean_free():
    process = {FIELD: VarianceExploding(0.01, 40.0, projection=mean_free)}
    molecule, network = small_molecule("CCO"), tiny_network(noise=0.02).requires_grad_(False)
    conditions = network.conditions(graph(molecule))
    score = preconditioned(lambda state, tau: {FIELD: network(state[FIELD], tau, conditions)}, process)
    x = mean_free(noisy(molecule, 2, 0.1))
    latent = encode(score, process, {FIELD: x})
    back = decode(score, process, latent)[FIELD]
    assert (back - x).abs().max().item() < 1e-3
    assert latent[FIELD].mean(dim=1).abs().max().item() < 1e-9


def test_slerp_keeps_the_norm_where_the_straight_line_shrinks_it():
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 20, 500, 3, generator=generator).double()
    typical = 1500**0.5
    straight, arc = (path(start, end, MIDDLE)[1].flatten(1).norm(dim=1) for path in (linear, slerp))
    assert straight.mean().item() / typical == pytest.approx(0.71, abs=0.01)
    assert arc.mean().item() / typical == pytest.approx(1.0, abs=0.01)
    equal = end / end.flatten(1).norm(dim=1)[:, None, None] * start.flatten(1).norm(dim=1)[:, None, None]
    norms = slerp(start, equal, torch.linspace(0, 1, 9)).flatten(2).norm(dim=2)
    torch.testing.assert_close(norms, norms[:1].expand(9, -1))


def test_slerp_between_opposite_states_of_unequal_norm_stays_between_them():
    start, end = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[-3.0, 0.01]]).double()
    norms = slerp(start, end, torch.linspace(0, 1, 9)).norm(dim=2)
    torch.testing.assert_close(norms[:, 0], torch.linspace(1, end.norm().item(), 9).double())
    # Exactly opposite: no arc is better than another, the straight line it is.
    torch.testing.assert_close(slerp(start, -start, MIDDLE), linear(start, -start, MIDDLE))


@pytest.mark.parametrize("path", [linear, slerp])
def test_paths_end_where_they_should_and_take_even_steps(path):
    start, end = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])
    points = path(start, end, torch.linspace(0, 1, 5))
    torch.testing.assert_close(points[0], start)
    torch.testing.assert_close(points[-1], end)
    steps = points.diff(dim=0).norm(dim=2)
    torch.testing.assert_close(steps, steps[:1].expand(4, -1))


@pytest.mark.parametrize("kind", ["linear", "slerp"])
def test_interpolation_starts_and_ends_at_the_structures(kind):
    process, data = as_process("cosine"), two_states()
    start, end = {FIELD: draws(data, 6, 1)}, {FIELD: draws(data, 6, 2)}
    found = interpolate(data.score(process), {FIELD: process}, start, end, LatentPath(5, kind))[FIELD]
    assert found.shape == (5, 6, 2)
    torch.testing.assert_close(found[0], start[FIELD], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[-1], end[FIELD], rtol=0, atol=1e-4)


def test_straight_latent_lines_of_a_gaussian_are_straight():
    """Its flow is linear."""
    process, data = as_process("exploding"), gaussian()
    start, end = {FIELD: draws(data, 4, 1)}, {FIELD: draws(data, 4, 2)}
    found = interpolate(data.score(process), {FIELD: process}, start, end, LatentPath(5, "linear"))[FIELD]
    torch.testing.assert_close(
        found, linear(start[FIELD], end[FIELD], torch.linspace(0, 1, 5)), rtol=0, atol=2e-4
    )


def test_path_between_two_states_stays_near_them():
    """It crosses the empty gap, 2.3 wide, within a few points."""
    process, states = as_process("exploding"), two_states()
    ends = ({FIELD: states.means[[k]]} for k in (0, 1))
    path = interpolate(states.score(process), {FIELD: process}, *ends, LatentPath(21))[FIELD][:, 0]
    distance = (path[:, None] - states.means).norm(dim=2).min(dim=1).values
    assert (distance < 0.6).double().mean().item() > 0.8


@pytest.mark.parametrize("forward", [True, False])
def test_integrator_solves_an_equation_with_a_closed_form(forward):
    """dv/du = v cos(u): v = exp(sin u), to the tolerance, with one new evaluation less per step than stages."""
    ends = (0.0, 3.0) if forward else (3.0, 0.0)
    start = torch.tensor([[ends[0]], [ends[0]]]).double().sin().exp()
    calls = []

    def slope(u, v):
        calls.append(u)
        return v * torch.tensor(u).double().cos()

    for tolerance in (1e-4, 1e-8):
        calls.clear()
        found, evaluations = integrate(
            slope, start, ends, lambda error, *_, t=tolerance: error.abs().max().item() / t
        )
        assert found[0].item() == pytest.approx(
            torch.tensor(ends[1]).double().sin().exp().item(), abs=10 * tolerance
        )
        assert evaluations == len(calls) and (evaluations - 1) % 6 == 0
        assert calls[-1] == pytest.approx(ends[1])


def test_impossible_calls_are_refused():
    process, data = as_process("linear"), gaussian()
    with pytest.raises(ValueError, match="expected one of linear, slerp"):
        LatentPath(5, "cubic")
    with pytest.raises(ValueError, match="expected as many ends as starts"):
        starts, ends = {FIELD: draws(data, 3)}, {FIELD: draws(data, 2)}
        interpolate(data.score(process), {FIELD: process}, starts, ends, LatentPath())
    with pytest.raises(ValueError, match="expected to reach"):
        integrate(lambda u, v: v, torch.ones(1, 1).double(), (0.0, 1.0), lambda *_: 2.0)
