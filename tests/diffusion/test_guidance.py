"""Guidance against posteriors in closed form: one mode of a mixture, a noisy measurement, and fields that stay where they live."""

import pytest
import torch
from exact import FIELD, as_process, gaussian, two_states

from dig_core.diffusion.guidance import LONGEST, at_denoised, gradient, guided, limited
from dig_core.diffusion.processes import VarianceExploding
from dig_core.diffusion.samplers import SAMPLERS, sampling_times
from dig_core.diffusion.torus import WrappedNormal
from dig_core.systems.carbon_model import symmetric

COUNT = 4_000


def plain(strength: float):
    return lambda noise: torch.full_like(noise, strength)


def in_the_first_mode(data, process):
    """ln of the weight of the first mode at a noised point, exact."""

    def log_likelihood(state, time):
        alpha, sigma = process.alpha(time)[:, None, None], process.sigma(time)[:, None, None, None]
        covariances = alpha[..., None] ** 2 * data.covariances + sigma**2 * torch.eye(2, dtype=torch.float64)
        modes = torch.distributions.MultivariateNormal(alpha * data.means, covariances)
        joint = modes.log_prob(state[FIELD][:, None]) + data.weights.log()
        return torch.log_softmax(joint, dim=1)[:, 0]

    return log_likelihood


@pytest.mark.parametrize("name", ["cosine", "exploding"])
@pytest.mark.parametrize("kind", ["sde_dpm_solver", "probability_flow"])
def test_guided_to_a_mode_samples_are_those_of_the_mode(name, kind):
    data, process = two_states(), as_process(name)
    product, generator = {FIELD: process}, torch.Generator().manual_seed(1)
    score = guided(data.score(process), in_the_first_mode(data, process), product, plain(1.0))
    start = {FIELD: process.prior(torch.zeros(COUNT, 2, dtype=torch.float64), generator)}
    with torch.inference_mode():  # as when structures are drawn
        drawn = SAMPLERS[kind](score, product, start, sampling_times(product, 40), generator)[FIELD]
    deviation = data.covariances[0].diagonal().sqrt()
    error = 4 * deviation / COUNT**0.5 + 0.1 * deviation
    assert ((drawn.mean(dim=0) - data.means[0]).abs() < error).all()
    torch.testing.assert_close(drawn.std(dim=0), deviation, rtol=0.1, atol=0.0)


def test_a_measurement_gives_the_posterior_of_bayes():
    """x_0 ~ N(mean, C), c = first coordinate + noise of 0.5: ln q(c | x_t) is Gaussian at every level."""
    data, process, wanted, error = gaussian(), as_process("exploding"), 1.2, 0.5
    mean, covariance = data.means[0], data.covariances[0]
    product = {FIELD: process}

    def log_likelihood(state, time):
        sigma = process.sigma(time)
        gain = torch.linalg.solve(
            covariance + (sigma**2)[:, None, None] * torch.eye(2, dtype=torch.float64), covariance
        )
        expected = mean + ((state[FIELD] - mean)[:, None] @ gain)[:, 0]
        left = (covariance - covariance @ gain)[:, 0, 0] + error**2
        return -0.5 * (wanted - expected[:, 0]) ** 2 / left

    generator = torch.Generator().manual_seed(1)
    start = {FIELD: process.prior(torch.zeros(COUNT, 2, dtype=torch.float64), generator)}
    score = guided(data.score(process), log_likelihood, product, plain(1.0))
    drawn = SAMPLERS["sde_dpm_solver"](score, product, start, sampling_times(product, 60), generator)[FIELD]
    gain = covariance[:, 0] / (covariance[0, 0] + error**2)
    expected = mean + gain * (wanted - mean[0])
    spread = (covariance - torch.outer(gain, covariance[0])).diagonal().sqrt()
    assert ((drawn.mean(dim=0) - expected).abs() < 0.08 * spread + 4 * spread / COUNT**0.5).all()
    torch.testing.assert_close(drawn.std(dim=0), spread, rtol=0.06, atol=0.0)


def test_without_strength_the_score_is_the_score():
    data, process = two_states(), as_process("cosine")
    state = {FIELD: torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))}
    time = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    found = guided(data.score(process), in_the_first_mode(data, process), {FIELD: process}, plain(0.0))
    torch.testing.assert_close(found(state, time), data.score(process)(state, time))


def test_the_strength_may_change_with_the_noise():
    data, process = gaussian(), as_process("exploding")
    state = {FIELD: torch.ones(3, 2, dtype=torch.float64)}
    time = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    own = guided(
        data.score(process), lambda x, t: x[FIELD].sum(dim=1), {FIELD: process}, lambda noise: 1 / noise
    )
    push = own(state, time)[FIELD] - data.score(process)(state, time)[FIELD]
    torch.testing.assert_close(push, (1 / process.noise_to_signal(time))[:, None].expand(3, 2))


@pytest.mark.parametrize("name", ["exploding", "linear"])
def test_at_the_denoised_point_the_gradient_is_that_of_normal_data(name):
    """Of normal data with a variance v the denoised point is alpha v / (alpha^2 v + sigma^2) x_t, and so the gradient is exact."""
    process, variance = as_process(name), 0.7
    state = {FIELD: torch.tensor([[1.0, -2.0], [0.5, 0.3], [-1.0, 3.0]], dtype=torch.float64)}
    time = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)

    def score(state, time):
        total = process.alpha(time) ** 2 * variance + process.sigma(time) ** 2
        return {FIELD: -state[FIELD] / total[:, None]}

    def log_likelihood(clean, time):
        return -(clean[FIELD] ** 3).sum(dim=1) * time

    gain = process.alpha(time) * variance / (process.alpha(time) ** 2 * variance + process.sigma(time) ** 2)
    own = at_denoised(score, {FIELD: process}, log_likelihood, {FIELD: variance})
    clean = gain[:, None] * state[FIELD]
    torch.testing.assert_close(own(state, time), -(clean**3).sum(dim=1) * time)
    torch.testing.assert_close(gradient(own, state, time)[FIELD], -3 * clean**2 * (time * gain)[:, None])


def test_where_nothing_is_asked_for_nothing_is_asked():
    """A predictor that has no answer for pure noise is not called there."""
    data, process = two_states(), as_process("exploding")

    def no_answer(state, time):
        raise AssertionError("asked")

    state, time = {FIELD: torch.ones(3, 2, dtype=torch.float64)}, torch.full((3,), 0.9, dtype=torch.float64)
    own = guided(data.score(process), no_answer, {FIELD: process}, lambda noise: 0.0 * noise)
    torch.testing.assert_close(own(state, time), data.score(process)(state, time))


def test_what_a_value_does_not_depend_on_is_not_pushed():
    state = {FIELD: torch.ones(3, 2), "other": torch.ones(3, 2)}
    found = gradient(lambda state, time: state[FIELD].sum(dim=1), state, torch.ones(3))
    torch.testing.assert_close(found[FIELD], torch.ones(3, 2))
    torch.testing.assert_close(found["other"], torch.zeros(3, 2))


def test_fields_stay_in_their_space():
    """A crystal: the push on a symmetric lattice is symmetric, and whole cells change nothing."""
    process = {
        "fractional": WrappedNormal(sigma_min=0.01, sigma_max=0.3),
        "lattice": VarianceExploding(sigma_min=0.03, sigma_max=5.0, projection=symmetric),
    }
    generator = torch.Generator().manual_seed(1)
    state = {
        "fractional": torch.rand(2, 3, 3, generator=generator),
        "lattice": symmetric(torch.randn(2, 3, 3, generator=generator)),
    }
    nothing = {field: torch.zeros_like(x) for field, x in state.items()}

    def log_likelihood(x, time):
        return torch.cos(2 * torch.pi * x["fractional"]).sum(dim=(1, 2)) + x["lattice"][:, 0, 1] ** 2

    own = guided(lambda x, time: nothing, log_likelihood, process, plain(2.0))
    time = torch.tensor([0.3, 0.6])
    push = own(state, time)
    torch.testing.assert_close(push["lattice"], push["lattice"].mT)
    assert push["lattice"].abs().max() > 0.1
    moved = own(state | {"fractional": state["fractional"] + 3.0}, time)
    torch.testing.assert_close(moved["fractional"], push["fractional"], rtol=1e-3, atol=1e-3)


def test_a_push_is_limited_in_length_and_not_in_direction():
    """In units of the usual length of the score of noise, sqrt(d)/sigma; of every point by itself."""
    push = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.5, 1.0, 3.0, 20.0], dtype=torch.float64)
    usual = 12**0.5 / sigma
    found = limited(push, sigma)
    lengths, before = found.flatten(1).norm(dim=1), push.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.minimum(before, LONGEST * usual))
    assert (lengths[:2] == before[:2]).all() and lengths[-1] < before[-1]
    torch.testing.assert_close(found / lengths[:, None, None], push / before[:, None, None])
    assert (limited(torch.zeros_like(push), sigma) == 0).all()


def test_what_is_steeper_the_further_out_does_not_carry_samples_away():
    """ln q = |x|^4 / 4 beyond the data, as a network may say of what it has never seen: no sample goes to infinity."""
    data, process = two_states(), as_process("exploding")
    product, generator = {FIELD: process}, torch.Generator().manual_seed(2)
    steep = guided(
        data.score(process), lambda state, time: 0.25 * state[FIELD].norm(dim=1) ** 4, product, plain(1.0)
    )
    start = {FIELD: process.prior(torch.zeros(500, 2, dtype=torch.float64), generator)}
    drawn = SAMPLERS["predictor_corrector"](steep, product, start, sampling_times(product, 40), generator)[
        FIELD
    ]
    assert torch.isfinite(drawn).all() and drawn.norm(dim=1).max() < 10 * process.sigma_max
