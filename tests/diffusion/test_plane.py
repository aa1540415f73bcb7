"""Points in the cell of a surface as a field of the diffusion, fed the exact score of two sites: weights, widths, loss, symmetry."""

import math

import pytest
import torch

from dig_core.diffusion.losses import denoising_score_matching, unit_variance_residuals
from dig_core.diffusion.plane import WrappedPlane
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.samplers import SAMPLERS, sampling_times

HEXAGONAL = ((2.5, 0.0), (1.25, 1.25 * math.sqrt(3)))
SKEWED = ((5.0, 0.0), (1.6, 3.1))
PLANE = WrappedPlane(0.02, 2.0, lattice=SKEWED)
PROCESS = {"plane": PLANE}
WEIGHTS = torch.tensor([0.7, 0.3], dtype=torch.float64)
SITES = torch.tensor([[0.05, 0.9], [0.55, 0.4]], dtype=torch.float64)
WIDTH = 0.1


def points(count: int, generator: torch.Generator) -> torch.Tensor:
    which = torch.multinomial(WEIGHTS, count, replacement=True, generator=generator)
    noise = torch.randn(count, 1, 2, generator=generator, dtype=torch.float64)
    return PLANE.displaced(SITES[which][:, None], WIDTH * noise)


def from_sites(x: torch.Tensor) -> torch.Tensor:
    """Shortest vectors [batch, sites, 2] from both sites."""
    return PLANE.shortest(PLANE.cartesian(x - SITES))


def exact_score(state, time):
    """Of a mixture of two wrapped normal distributions, each as wide as the data and the noise together."""
    x = state["plane"]
    width = torch.hypot(torch.tensor(WIDTH, dtype=x.dtype), PLANE.sigma(time.to(x.dtype)))[:, None, None]
    away = from_sites(x)
    logs = PLANE.kernel_log_density(away, width) + WEIGHTS.log()
    slope = (torch.softmax(logs, dim=1)[..., None] * PLANE.kernel_score(away, width)).sum(1)
    return {"plane": slope[:, None]}


@pytest.mark.parametrize(
    ("sampler", "steps", "width"),
    [
        ("ancestral", 200, 0.03), ("probability_flow", 25, 0.03), ("dpm_solver", 30, 0.04),
        ("sde_dpm_solver", 50, 0.05), ("predictor_corrector", 40, 0.05),
    ],
)  # fmt: skip
def test_two_sites_keep_their_weights_and_widths(sampler, steps, width):
    count, generator = 2_000, torch.Generator().manual_seed(3)
    start = {"plane": PLANE.prior(torch.zeros(count, 1, 2, dtype=torch.float64), generator)}
    found = SAMPLERS[sampler](exact_score, PROCESS, start, sampling_times(PROCESS, steps), generator)["plane"]
    assert found.min() >= 0.0 and found.max() < 1.0
    away = from_sites(found)
    nearest = away.norm(dim=-1).argmin(dim=1)
    assert abs((nearest == 0).double().mean().item() - 0.7) < 3 * (0.21 / count) ** 0.5
    widths = [away[nearest == k, k].square().mean().sqrt().item() for k in range(2)]
    # The last denoised point is sharper than the data by the noise that is left.
    expected = WIDTH**2 / math.hypot(WIDTH, PLANE.sigma_min)
    assert widths == pytest.approx([expected] * 2, rel=width + 0.03)


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.1, 2.0])
def test_the_score_is_the_slope_of_the_density_which_is_normalised(sigma):
    axis = (torch.arange(250, dtype=torch.float64) + 0.5) / 250
    where = PLANE.cartesian(torch.cartesian_prod(axis, axis)).requires_grad_()
    wide = torch.tensor([sigma], dtype=torch.float64)
    logs = PLANE.kernel_log_density(where, wide)
    assert logs.exp().mean().item() * PLANE.area == pytest.approx(1.0, rel=1e-6)
    (slope,) = torch.autograd.grad(logs.sum(), where)
    score = PLANE.kernel_score(where.detach(), wide)
    torch.testing.assert_close(score, slope, rtol=1e-6, atol=1e-6)
    squares = (logs.exp() * score.square().sum(-1)).sum().item() / logs.exp().sum().item() / 2
    time = PLANE.time(torch.tensor([sigma], dtype=torch.float64))
    assert PLANE.score_scale(time.float()).item() == pytest.approx(PLANE.score_scale(time).item(), rel=1e-4)
    assert PLANE.score_scale(time).item() == pytest.approx(sigma * squares**0.5, rel=2e-2)


def test_where_the_kernel_is_uniform_scores_are_not_made_of_rounding():
    """A small cell with much noise: c is not divided by when there is nothing left of it."""
    small = WrappedPlane(0.02, 4.0, lattice=HEXAGONAL)
    last = torch.tensor([1.0])
    assert (
        small.score_scale(last).item() == pytest.approx(1e-3)
        and small.unit_variance_weight(last).item() < 2e6
    )


def test_shortest_vectors_are_those_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    for lattice in (HEXAGONAL, SKEWED):
        own = WrappedPlane(0.02, 2.0, lattice=lattice)
        vectors = 5 * torch.randn(500, 2, generator=generator, dtype=torch.float64)
        steps = torch.arange(-15, 16, dtype=torch.float64)
        images = torch.cartesian_prod(steps, steps) @ torch.tensor(lattice, dtype=torch.float64)
        brute = (vectors[:, None] + images).norm(dim=-1).amin(dim=1)
        torch.testing.assert_close(own.shortest(vectors).norm(dim=-1), brute)


@pytest.mark.parametrize("time", [0.2, 0.6, 1.0])
def test_the_loss_is_least_at_the_exact_score(time):
    """Loss(s + d) - loss(s) = sigma^2 mean |d|^2 for every change d."""
    generator, count = torch.Generator().manual_seed(0), 20_000
    clean, times = {"plane": points(count, generator)}, torch.full((count,), time, dtype=torch.float64)
    noise = {"plane": PLANE.noise(clean["plane"], generator)}
    least = denoising_score_matching(exact_score, PROCESS, clean, times, noise)
    change = 0.2 / PLANE.sigma(times[0]).item()

    def wrong(state, t):
        wave = torch.sin(2 * math.pi * state["plane"])
        return {"plane": exact_score(state, t)["plane"] + change * wave}

    worse = denoising_score_matching(wrong, PROCESS, clean, times, noise)
    noised = PLANE.perturb(clean["plane"], times, noise["plane"])
    expected = 0.04 * torch.sin(2 * math.pi * noised).square().mean(dim=(1, 2))
    excess = worse - least - expected
    assert abs(excess.mean().item()) < 4 * excess.std().item() / math.sqrt(count)


def test_a_network_that_returns_nothing_has_a_loss_of_one():
    generator = torch.Generator().manual_seed(0)
    clean = {"plane": torch.rand(20_000, 2, 2, generator=generator)}
    noise = {"plane": PLANE.noise(clean["plane"], generator)}
    times = torch.rand(20_000, generator=generator)
    nothing = preconditioned(lambda state, tau: {"plane": 0 * state["plane"]}, PROCESS)
    residual = unit_variance_residuals(nothing, PROCESS, clean, times, noise)["plane"]
    assert residual.square().mean().item() == pytest.approx(1.0, rel=0.03)


def test_noise_is_the_same_in_all_directions_and_a_turn_of_the_cell_turns_everything():
    """Sixty degrees turn a hexagonal lattice into itself: points, vectors and scores turn with it."""
    own = WrappedPlane(0.02, 2.0, lattice=HEXAGONAL)
    turn = torch.tensor([[0.5, math.sqrt(3) / 2], [-math.sqrt(3) / 2, 0.5]], dtype=torch.float64)
    vector = torch.tensor([[0.3, -0.8], [1.0, 0.2]], dtype=torch.float64)
    sigma = torch.tensor([[0.6], [1.5]], dtype=torch.float64)
    turned = own.kernel_score(vector @ turn, sigma)
    torch.testing.assert_close(turned, own.kernel_score(vector, sigma) @ turn)
    lattice = torch.tensor(HEXAGONAL, dtype=torch.float64)
    whole = lattice @ turn @ torch.linalg.inv(lattice)
    torch.testing.assert_close(whole, whole.round(), atol=1e-12, rtol=0)
    start = torch.tensor([[0.2, 0.7]], dtype=torch.float64)
    moved = own.displaced(start @ whole, vector[:1] @ turn)
    torch.testing.assert_close(
        own.displacement(moved, own.displaced(start, vector[:1]) @ whole).norm(),
        torch.tensor(0.0).double(),
        atol=1e-9,
        rtol=0,
    )


def test_the_start_is_uniform_and_the_end_of_the_noise_is_near_to_it():
    generators = [torch.Generator().manual_seed(k) for k in range(1000)]
    drawn = PLANE.prior(torch.zeros(1000, 2, 2), generators)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02) and drawn.std().item() == pytest.approx(
        12**-0.5, abs=0.01
    )
    torch.testing.assert_close(
        drawn[7:8], PLANE.prior(torch.zeros(1, 2, 2), [torch.Generator().manual_seed(7)])
    )
    assert (
        PLANE.prior_mismatch_nats(1.0, 2)
        < 0.01
        < WrappedPlane(0.02, 0.8, lattice=SKEWED).prior_mismatch_nats(1.0, 2)
    )
    logs = PLANE.prior_log_density(torch.rand(3, 2, 2), 4)
    torch.testing.assert_close(logs, torch.full((3,), -2 * math.log(15.5)))
