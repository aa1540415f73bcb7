"""Processes against their differential equations, their closed forms and the paper's discrete schedule."""

import pytest
import torch
from exact import FIELD, PROCESSES, as_process, gaussian, two_states
from torch.distributions import Normal, kl_divergence

from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import (
    Process,
    VarianceExploding,
    VariancePreserving,
    denoised,
    leading,
    mean_free,
    standard_normal,
)
from dig_core.diffusion.schedules import Cosine, Linear, Sigmoid


def grid(process: Process, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.linspace(process.minimal_time, process.maximal_time, 201, dtype=dtype)


def slope(function, time: torch.Tensor) -> torch.Tensor:
    time = time.clone().requires_grad_()
    return torch.autograd.grad((function(time) + 0 * time).sum(), time)[0]


@pytest.mark.parametrize("name", PROCESSES)
def test_kernel_solves_the_stochastic_differential_equation(name):
    process = as_process(name)
    time = grid(process)
    rate = process.drift(torch.ones_like(time), time)
    torch.testing.assert_close(slope(lambda t: process.alpha(t).log(), time), rate)
    variance = process.sigma(time) ** 2
    growth = 2 * rate * variance + process.diffusion(time) ** 2
    torch.testing.assert_close(slope(lambda t: process.sigma(t) ** 2, time), growth, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_time_inverts_noise_to_signal(name, dtype):
    process = as_process(name)
    time = grid(process, dtype)
    tau = process.noise_to_signal(time)
    assert tau.dtype == dtype and bool((tau.diff() > 0).all())
    torch.testing.assert_close(tau, process.sigma(time) / process.alpha(time), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        process.time(tau), time, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12
    )


@pytest.mark.parametrize("name", PROCESSES)
def test_single_precision_keeps_small_noise(name):
    process = as_process(name)
    time = grid(process, torch.float32)
    exact = process.noise_to_signal(time.double())
    torch.testing.assert_close(process.noise_to_signal(time).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid"])
def test_variance_is_preserved(name):
    process = as_process(name)
    time = grid(process)
    torch.testing.assert_close(process.alpha(time) ** 2 + process.sigma(time) ** 2, torch.ones_like(time))
    assert process.prior_scale() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("steps", "beta_end"), [(500, 0.02), (5000, 2e-3)])
def test_sigmoid_is_the_discrete_schedule_of_the_paper(steps, beta_end):
    i = torch.arange(1, steps + 1, dtype=torch.float64)
    b = (beta_end - 1e-7) / (1 + torch.exp(12 * (0.5 - i / steps))) + 1e-7
    discrete = torch.cumprod(torch.sqrt(1 - b), dim=0)
    process = VariancePreserving(Sigmoid(1e-7, beta_end, steps))
    torch.testing.assert_close(process.alpha(i / steps), discrete, rtol=0.03, atol=0)
    assert process.alpha(torch.tensor(1.0)).item() == pytest.approx(0.08, abs=0.003)


def test_cosine_follows_nichol_and_dhariwal_and_keeps_some_signal():
    process = VariancePreserving("cosine")
    time = torch.linspace(0, 0.95, 50, dtype=torch.float64)
    angle = (time + 0.008) / 1.008 * torch.pi / 2
    expected = torch.cos(angle) / torch.cos(torch.tensor(0.008 / 1.008 * torch.pi / 2, dtype=torch.float64))
    torch.testing.assert_close(process.alpha(time), expected)
    assert 0.005 < process.alpha(torch.tensor(1.0)).item() < 0.02
    assert process.diffusion(torch.tensor(1.0)).item() ** 2 == pytest.approx(100.0, rel=1e-5)


def test_exploding_is_geometric():
    process = VarianceExploding(0.1, 35.0)
    time = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.1, (0.1 * 35.0) ** 0.5, 35.0], dtype=torch.float64)
    torch.testing.assert_close(process.sigma(time), expected)
    torch.testing.assert_close(process.alpha(time), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("name", PROCESSES)
def test_perturbed_data_has_the_moments_of_the_kernel(name):
    process, generator = as_process(name), torch.Generator().manual_seed(0)
    clean = torch.full((2, 50_000), 1.5, dtype=torch.float64)
    time = torch.tensor([0.2, 0.6], dtype=torch.float64)
    x = process.perturb(clean, time, process.noise(clean, generator))
    alpha, sigma = process.alpha(time), process.sigma(time)
    assert bool(((x.mean(dim=1) - 1.5 * alpha).abs() < 4 * sigma / 50_000**0.5).all())
    assert bool(((x.std(dim=1) / sigma - 1).abs() < 4 / 100_000**0.5).all())


@pytest.mark.parametrize("name", PROCESSES)
def test_prior_has_the_moments_of_noised_unit_data(name):
    process, generator = as_process(name), torch.Generator().manual_seed(0)
    like = torch.zeros(1000, 50, 2, dtype=torch.float64)
    expected = process.perturb(
        process.noise(like, generator), torch.ones(1000).double(), process.noise(like, generator)
    )
    ratio = process.prior(like, generator).std() / expected.std()
    assert ratio.item() == pytest.approx(1.0, abs=4 / 100_000**0.5)


@pytest.mark.parametrize("name", PROCESSES)
def test_prior_mismatch_is_the_mean_divergence_of_the_kernel(name):
    process, generator = as_process(name), torch.Generator().manual_seed(0)
    data = torch.randn(1000, 3, generator=generator, dtype=torch.float64) * 1.3
    one = torch.tensor(1.0, dtype=torch.float64)
    kernel = Normal(process.alpha(one) * data, process.sigma(one))
    divergence = kl_divergence(kernel, Normal(0.0, process.prior_scale())).sum(dim=1).mean().item()
    bound = process.prior_mismatch_nats(data.square().mean().item(), 3)
    assert bound == pytest.approx(divergence, rel=1e-6)


def test_prior_mismatch_of_the_sigmoid_schedule_is_reported_not_hidden():
    mismatch = {name: as_process(name).prior_mismatch_nats(1.0, 60) for name in PROCESSES}
    assert mismatch["sigmoid"] == pytest.approx(0.203, abs=0.002)
    assert max(mismatch[name] for name in ("linear", "cosine", "exploding")) < 0.01


def test_mean_free_noise_lives_on_the_subspace():
    process = VariancePreserving("linear", projection=mean_free)
    like, generator = torch.zeros(5000, 4, 3, dtype=torch.float64), torch.Generator().manual_seed(0)
    for drawn in (process.noise(like, generator), process.prior(like, generator)):
        assert drawn.mean(dim=-2).abs().max().item() < 1e-14
        # A projection, not a rescaling: 3 of 4 atoms' worth of variance is left.
        assert drawn.square().sum().item() / 5000 == pytest.approx(9.0, abs=4 * (2 * 9 / 5000) ** 0.5)
    torch.testing.assert_close(mean_free(drawn), drawn)


def test_one_generator_per_sample_does_not_know_the_batch():
    like = torch.zeros(7, 4, 3)
    each = standard_normal(like, [torch.Generator().manual_seed(100 + i) for i in range(7)])
    alone = standard_normal(like[:1], [torch.Generator().manual_seed(103)])
    assert torch.equal(each[3:4], alone)
    assert not torch.equal(each[2], each[3])
    with pytest.raises(ValueError, match="expected one generator per sample, 7; got 2"):
        standard_normal(like, [torch.Generator(), torch.Generator()])


@pytest.mark.parametrize("name", PROCESSES)
def test_denoised_is_the_posterior_mean_of_a_gaussian(name):
    process, data = as_process(name), gaussian()
    time = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    x = torch.tensor([[0.3, -1.0], [2.0, 0.1], [-0.4, 0.7]], dtype=torch.float64)
    clean = denoised(data.score(process), {FIELD: process}, {FIELD: x}, time)[FIELD]
    for row, t in enumerate(time):
        alpha, sigma = process.alpha(t).item(), process.sigma(t).item()
        gain = alpha * data.covariance() @ torch.linalg.inv(data.marginal(alpha, sigma).covariance())
        torch.testing.assert_close(
            clean[row], data.mean() + gain @ (x[row] - alpha * data.mean()), rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_preconditioned_optimum_is_the_exact_score(name, dtype):
    """F of the posterior mean of a mixture gives back the score of the mixture, at all times."""
    process, exact = as_process(name), two_states().score(as_process(name))
    product = {FIELD: process}

    def optimum(y, tau):
        time = process.time(tau.double())
        x = {FIELD: y[FIELD].double() * process.alpha(time)[:, None]}
        clean, tau = denoised(exact, product, x, time)[FIELD], tau.double()[:, None]
        total = 1 + tau**2
        return {FIELD: ((clean - y[FIELD] / total) * total.sqrt() / tau).to(dtype)}

    time = grid(process, dtype)
    generator = torch.Generator().manual_seed(0)
    clean = two_states().draw(len(time), generator).to(dtype)
    x = {FIELD: process.perturb(clean, time, process.noise(clean, generator))}
    found = preconditioned(optimum, product)(x, time)[FIELD]
    truth = exact({FIELD: x[FIELD].double()}, time.double())[FIELD]
    sigma = process.sigma(time.double())[:, None]
    assert found.dtype == dtype
    assert ((found - truth) * sigma).abs().max().item() < (1e-3 if dtype == torch.float32 else 1e-9)


def test_preconditioned_score_stays_on_the_subspace():
    product = {"positions": VariancePreserving("linear", projection=mean_free)}
    x = mean_free(torch.arange(24.0, dtype=torch.float64).reshape(2, 4, 3).sin())
    score = preconditioned(lambda y, tau: {"positions": y["positions"] ** 2 + 1}, product)
    found = score({"positions": x}, torch.tensor([0.1, 0.9], dtype=torch.float64))["positions"]
    assert found.mean(dim=-2).abs().max().item() < 1e-12 * found.abs().max().item()


def test_schedules_can_be_given_as_objects_and_processes_satisfy_the_protocol():
    assert VariancePreserving(Linear()) == VariancePreserving("linear") == VariancePreserving()
    assert isinstance(VariancePreserving("cosine"), Process) and isinstance(VarianceExploding(), Process)
    first = VarianceExploding()
    assert leading({"lattice": first, "positions": VariancePreserving()}) is first


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: VariancePreserving("quadratic"),
            "expected a schedule among linear, cosine, sigmoid; got quadratic",
        ),
        (lambda: VariancePreserving(minimal_time=0.0), "expected minimal_time > 0"),
        (
            lambda: VariancePreserving(minimal_time=0.5, maximal_time=0.4),
            "expected 0 <= minimal_time < maximal_time",
        ),
        (lambda: VarianceExploding(2.0, 1.0), "expected 0 < sigma_min < sigma_max"),
        (lambda: Linear(20.0, 0.1), "expected 0 < beta_start < beta_end"),
        (lambda: Sigmoid(steps=0), "expected steps >= 1"),
        (lambda: Cosine(offset=-1.0), "expected offset > 0"),
        (lambda: leading({}), "expected a process for at least one field"),
    ],
)
def test_impossible_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
