"""The Fokker-Planck equation as a loss, on densities whose scores are known at all times."""

import math

import pytest
import torch
from exact import FIELD, PROCESSES, Mixture, as_process, gaussian, two_states

from dig_core.diffusion.divergence import ExactDivergence, HutchinsonDivergence
from dig_core.diffusion.fokker_planck import (
    BOUNDARIES,
    ReverseStep,
    direction_boundary,
    energy_boundary,
    fokker_planck_residual,
    potential_residual,
    potential_score,
    product_of_estimates,
    reverse_step_residual,
)
from dig_core.diffusion.processes import VarianceExploding, mean_free

DOUBLE = {"dtype": torch.float64}


def wide(space: int) -> Mixture:
    """Two modes of unequal weight and shape in a number of dimensions."""
    generator = torch.Generator().manual_seed(space)
    factors = 0.3 * torch.randn(2, space, space, generator=generator, **DOUBLE)
    covariances = factors @ factors.mT + 0.05 * torch.eye(space, **DOUBLE)
    means = torch.stack([torch.full((space,), -0.6, **DOUBLE), torch.full((space,), 0.9, **DOUBLE)])
    return Mixture(torch.tensor([0.7, 0.3], **DOUBLE), means, covariances)


def noised(data: Mixture, process, count: int = 40, seed: int = 0):
    """Structures at times over the whole range."""
    generator = torch.Generator().manual_seed(seed)
    clean = data.draw(count, generator)
    time = 0.01 + 0.98 * torch.rand(count, generator=generator, **DOUBLE)
    return {FIELD: process.perturb(clean, time, process.noise(clean, generator))}, time


def log_density(data: Mixture, process):
    """log q_t + 3 of a mixture, as a potential."""

    def potential(state, time):
        alpha, sigma = process.alpha(time), process.sigma(time)
        variances, axes = torch.linalg.eigh(data.covariances)
        along = axes.mT @ (state[FIELD].T - alpha * data.means[:, :, None])
        scale = alpha**2 * variances[:, :, None] + sigma**2
        exponent = -0.5 * (along**2 / scale + (2 * math.pi * scale).log()).sum(1)
        return torch.logsumexp(data.weights.log()[:, None] + exponent, 0) + 3.0

    return potential


def rms(residual) -> float:
    return residual.square().mean().sqrt().item()


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("data", [wide(1), gaussian(), two_states(), wide(10)], ids=["1", "2g", "2", "10"])
def test_residual_is_zero_for_exact_scores_and_for_no_other(name, data):
    process, exact = as_process(name), data.score(as_process(name))
    state, time = noised(data, process)
    product = {FIELD: process}
    assert rms(fokker_planck_residual(exact, product, state, time, ExactDivergence())[FIELD]) < 1e-8

    def wrong(x, t):
        return {FIELD: 1.05 * exact(x, t)[FIELD]}

    assert rms(fokker_planck_residual(wrong, product, state, time, ExactDivergence())[FIELD]) > 1e-2
    potential = log_density(data, process)
    assert rms(potential_residual(potential, product, state, time, ExactDivergence())) < 1e-8
    stretched = potential_residual(
        lambda x, t: 1.05 * potential(x, t), product, state, time, ExactDivergence()
    )
    assert rms(stretched) > 1e-2


@pytest.mark.parametrize("name", ["linear", "exploding"])
def test_random_probes_are_unbiased_and_so_is_the_product_of_two(name):
    data = wide(10)
    process, exact = as_process(name), data.score(as_process(name))
    # Between the modes: within one the score is linear, and its Jacobian needs no probes.
    time = process.time(torch.tensor([1.0], **DOUBLE))
    middle, aside = torch.full((1, 10), 0.15, **DOUBLE), torch.full((1, 10), 0.1, **DOUBLE)
    state = {FIELD: process.perturb(middle, time, aside)}
    product = {FIELD: process}
    many = {FIELD: state[FIELD].repeat(4000, 1)}
    times = time.repeat(4000)

    def wrong(x, t):
        return {FIELD: 1.05 * exact(x, t)[FIELD]}

    truth = fokker_planck_residual(wrong, product, state, time, ExactDivergence())[FIELD][0]
    first, second = (
        fokker_planck_residual(
            wrong, product, many, times, HutchinsonDivergence(torch.Generator().manual_seed(seed), probes=1)
        )
        for seed in (1, 2)
    )
    error = first[FIELD].std(0) / math.sqrt(4000)
    assert ((first[FIELD].mean(0) - truth).abs() < 4.5 * error + 1e-10).all()
    estimates = product_of_estimates(first, second)
    assert abs(estimates.mean() - truth.square().mean()) < 4 * estimates.std() / math.sqrt(4000)
    # What the product avoids: the square of one estimate is far too large.
    assert first[FIELD].square().mean() > 1.5 * truth.square().mean()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_reverse_step_gives_the_residual_of_the_second_derivatives(name):
    """On a score 5 % too large (a gradient, but of no solution), and on the exact one, where it falls as size^2."""
    data, process = wide(2), as_process(name)
    exact, (state, time) = data.score(process), noised(wide(2), process, 6)
    # Away from the borders of time, where a step is cut off.
    time = 0.2 + 0.7 * time

    def wrong(x, t):
        return {FIELD: 1.05 * exact(x, t)[FIELD]}

    def estimate(score, size: float):
        many, times = {FIELD: state[FIELD].repeat(3000, 1)}, time.repeat(3000)
        step = ReverseStep(torch.Generator().manual_seed(0), size)
        found = reverse_step_residual(score, {FIELD: process}, many, times, step)[FIELD]
        return found.unflatten(0, (3000, -1)).mean(dim=0)

    truth = fokker_planck_residual(wrong, {FIELD: process}, state, time, ExactDivergence())[FIELD]
    assert rms(estimate(wrong, 0.03) - truth) < 0.1 * rms(truth)
    coarse, fine = rms(estimate(exact, 0.8)), rms(estimate(exact, 0.2))
    assert fine < 0.1 * coarse


def test_residual_on_a_subspace_counts_its_dimensions():
    """A Gaussian of mean-free structures: log q_t = -||x||^2 / 2 v - (D/2) log v with D = 3 N - 3."""
    process = VarianceExploding(0.01, 10.0, projection=mean_free)
    state = {FIELD: mean_free(torch.randn(6, 5, 3, **DOUBLE))}
    time = torch.linspace(0.1, 0.9, 6, **DOUBLE)

    def potential(x, t):
        variance = 1 + process.sigma(t) ** 2
        return -0.5 * x[FIELD].square().sum((1, 2)) / variance - 6 * variance.log()

    assert rms(potential_residual(potential, {FIELD: process}, state, time, ExactDivergence())) < 1e-10


@pytest.mark.parametrize("form", ["score", "potential"])
def test_gradient_of_the_loss_equals_finite_differences(form):
    data = two_states()
    process = as_process("linear")
    state, time = noised(data, process, 8)
    exact, exact_potential = data.score(process), log_density(data, process)

    def loss(weight):
        if form == "potential":
            inner = potential_residual(
                lambda x, t: weight * exact_potential(x, t), {FIELD: process}, state, time, ExactDivergence()
            )
            return inner.square().mean()
        scaled = lambda x, t: {FIELD: weight * exact(x, t)[FIELD]}  # noqa: E731
        residual = fokker_planck_residual(scaled, {FIELD: process}, state, time, ExactDivergence())
        return product_of_estimates(residual, residual).mean()

    weight = torch.tensor(0.9, requires_grad=True, **DOUBLE)
    loss(weight).backward()
    difference = (loss(torch.tensor(0.9 + 1e-5, **DOUBLE)) - loss(torch.tensor(0.9 - 1e-5, **DOUBLE))) / 2e-5
    assert weight.grad.item() == pytest.approx(difference.item(), rel=1e-6)


def test_boundary_is_zero_for_the_forces_and_damps_the_large_ones():
    process = as_process("exploding")
    data = two_states()
    state = {FIELD: data.draw(20, torch.Generator().manual_seed(0))}
    time = torch.zeros(20, **DOUBLE)
    exact = data.score(process)
    forces = exact(state, time)
    assert energy_boundary(exact, state, time, forces).max() < 1e-20
    strained = {FIELD: 1e6 * forces[FIELD]}
    assert energy_boundary(exact, state, time, strained).max() < 2.1


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
def test_boundary_takes_fields_by_name_not_by_order(boundary):
    slope = {"a": torch.tensor([[1.0, 2.0]], **DOUBLE), "b": torch.tensor([[[3.0], [4.0], [5.0]]], **DOUBLE)}
    forces = {field: slope[field].clone() for field in ("b", "a")}
    found = boundary(lambda x, t: slope, slope, torch.zeros(1, **DOUBLE), forces)
    torch.testing.assert_close(found, torch.zeros(1, **DOUBLE))


def test_boundaries_differ_in_what_they_forgive():
    """All are 0 for the forces; the absolute one grows with their square, and the direction knows nothing of sizes."""
    forces = {FIELD: torch.tensor([[3.0, 4.0], [30.0, 40.0]], **DOUBLE)}
    state, time = {FIELD: torch.zeros(2, 2, **DOUBLE)}, torch.zeros(2, **DOUBLE)
    for boundary in BOUNDARIES.values():
        torch.testing.assert_close(
            boundary(lambda x, t: forces, state, time, forces), torch.zeros(2, **DOUBLE)
        )

    def too_large(x, t):
        return {FIELD: 2.0 * forces[FIELD]}

    found = {name: boundary(too_large, state, time, forces) for name, boundary in BOUNDARIES.items()}
    torch.testing.assert_close(found["absolute"], torch.tensor([12.5, 1250.0], **DOUBLE))
    torch.testing.assert_close(found["direction"], torch.zeros(2, **DOUBLE))
    assert (found["relative"] < 1.0).all()

    def turned(x, t):
        return {FIELD: forces[FIELD].flip(1) * torch.tensor([1.0, -1.0], **DOUBLE)}

    torch.testing.assert_close(direction_boundary(turned, state, time, forces), torch.ones(2, **DOUBLE))


def test_score_of_a_potential_is_its_gradient():
    process, data = as_process("cosine"), two_states()
    state, time = noised(data, process)
    torch.testing.assert_close(
        potential_score(log_density(data, process))(state, time)[FIELD],
        data.score(process)(state, time)[FIELD],
    )
