"""Denoising score matching against its closed form for Gaussian data; the law of the noise levels."""

import pytest
import torch
from exact import FIELD, PROCESSES, as_process, gaussian
from scipy.stats import kstest, truncnorm

from dig_core.diffusion.losses import (
    denoising_score_matching,
    emphasis,
    importance_sampling,
    noise_levels,
    unit_variance_weight,
)
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import VarianceExploding, VariancePreserving

COUNT = 20_000


def batch(process, time: float):
    generator = torch.Generator().manual_seed(0)
    clean = gaussian().draw(COUNT, generator)
    return {FIELD: clean}, torch.full((COUNT,), time).double(), {FIELD: process.noise(clean, generator)}


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("time", [0.05, 0.3, 0.9])
def test_exact_score_has_the_loss_of_the_closed_form(name, time):
    """E || sigma s + eps ||^2 / D = 1 - sigma^2 tr(C_t^-1) / D: what no score can go below."""
    process = as_process(name)
    clean, times, noise = batch(process, time)
    loss = denoising_score_matching(gaussian().score(process), {FIELD: process}, clean, times, noise)
    alpha, sigma = process.alpha(times[0]).item(), process.sigma(times[0]).item()
    inverse = torch.linalg.inv(gaussian().marginal(alpha, sigma).covariance())
    expected = 1 - sigma**2 * inverse.trace().item() / 2
    assert loss.shape == (COUNT,)
    assert loss.mean().item() == pytest.approx(expected, abs=4 * loss.std().item() / COUNT**0.5)


@pytest.mark.parametrize("name", PROCESSES)
def test_excess_loss_is_the_squared_error_of_the_score(name):
    """Loss(s + d) - loss(s) = sigma^2 E |d|^2 / D: the exact score is the minimum."""
    process, exact = as_process(name), gaussian().score(as_process(name))
    clean, times, noise = batch(process, 0.3)
    sigma = process.sigma(times[0]).item()

    def shifted(state, time):
        return {
            FIELD: exact(state, time)[FIELD] + 0.2 / sigma * torch.tensor([1.0, -1.0], dtype=torch.float64)
        }

    product = {FIELD: process}
    excess = denoising_score_matching(shifted, product, clean, times, noise) - denoising_score_matching(
        exact, product, clean, times, noise
    )
    assert excess.mean().item() == pytest.approx(0.04, abs=4 * excess.std().item() / COUNT**0.5)


def test_score_of_a_single_point_has_no_loss():
    process = VariancePreserving("cosine")
    point, times = torch.tensor([[0.4, -1.2]], dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)

    def score(state, time):
        return {
            FIELD: (process.alpha(time)[:, None] * point - state[FIELD]) / process.sigma(time)[:, None] ** 2
        }

    noise = {FIELD: torch.tensor([[1.0, 2.0]], dtype=torch.float64)}
    assert denoising_score_matching(score, {FIELD: process}, {FIELD: point}, times, noise).item() < 1e-24


def test_fields_weigh_by_their_number_of_elements():
    product = {"positions": VariancePreserving("linear"), "lattice": VarianceExploding()}
    clean = {"positions": torch.zeros(3, 5, 3), "lattice": torch.zeros(3, 6)}
    noise = {"positions": torch.full((3, 5, 3), 2.0), "lattice": torch.ones(3, 6)}

    def zero(state, time):
        return {field: torch.zeros_like(x) for field, x in state.items()}

    loss = denoising_score_matching(zero, product, clean, torch.full((3,), 0.5), noise)
    torch.testing.assert_close(loss, torch.full((3,), (15 * 4.0 + 6 * 1.0) / 21))


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("time", [0.01, 0.3, 0.99])
def test_weighted_loss_of_an_untrained_network_is_one(name, time):
    process, generator = as_process(name), torch.Generator().manual_seed(0)
    clean = {FIELD: torch.randn(COUNT, 2, generator=generator, dtype=torch.float64)}
    noise = {FIELD: process.noise(clean[FIELD], generator)}
    times, product = torch.full((COUNT,), time).double(), {FIELD: process}
    score = preconditioned(lambda y, tau: {FIELD: torch.zeros_like(y[FIELD])}, product)
    loss = unit_variance_weight(product, times) * denoising_score_matching(
        score, product, clean, times, noise
    )
    assert loss.mean().item() == pytest.approx(1.0, abs=4 / COUNT**0.5)


@pytest.mark.parametrize("name", PROCESSES)
def test_noise_levels_are_log_normal_within_the_process(name):
    process = as_process(name)
    mean, std = -1.2, 1.5
    time = noise_levels(COUNT, {FIELD: process}, mean, std, torch.Generator().manual_seed(0))
    assert time.dtype == torch.get_default_dtype()
    assert process.minimal_time <= time.double().min() + 1e-9 and time.max() <= process.maximal_time
    level = process.noise_to_signal(time.double()).log()
    ends = torch.tensor([process.minimal_time, process.maximal_time], dtype=torch.float64)
    low, high = ((process.noise_to_signal(ends).log() - mean) / std).tolist()
    assert kstest(level.numpy(), truncnorm(low, high, mean, std).cdf).pvalue > 1e-3
    assert torch.equal(
        time, noise_levels(COUNT, {FIELD: process}, mean, std, torch.Generator().manual_seed(0))
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 0.0, 1.0), "expected count >= 1"),
        ((5, 0.0, 0.0), "log_std > 0"),
        ((5, 60.0, 1.0), "Choose log_mean between -4.6"),
    ],
)
def test_impossible_noise_levels_are_refused(settings, message):
    count, mean, std = settings
    with pytest.raises(ValueError, match=message):
        noise_levels(count, {FIELD: VariancePreserving("linear")}, mean, std, torch.Generator())


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_importance_sampling_keeps_every_mean(exponent):
    weights = torch.tensor([0.0, 0.01, 0.09, 0.4, 1.5])
    values = torch.tensor([3.0, -2.0, 5.0, 1.0, 0.3])
    drawn, factors = importance_sampling(weights, exponent)
    assert drawn.sum().item() == pytest.approx(1.0)
    assert (drawn * factors * values).sum().item() == pytest.approx((weights * values).sum().item() / 2.0)
    assert (drawn[2] / drawn[1]).item() == pytest.approx(9.0**exponent)


def test_emphasis_is_one_between_its_ends_and_a_half_at_them():
    process = {"x": VarianceExploding(1e-4, 1e3)}
    tau = torch.tensor([3e-4, 3e-3, 0.3, 30.0, 3e3 / 4], dtype=torch.float64)
    weights = emphasis(process, process["x"].time(tau), 3e-3, 30.0)
    assert weights[1:4].tolist() == pytest.approx([0.5, 1.0, 0.5], rel=1e-3)
    assert weights[[0, 4]].tolist() == pytest.approx([1 / 101, 1 / 626], rel=1e-3)
