"""Fractional coordinates as a field of the diffusion, fed the exact score of two crystals: weights, widths, loss, shifts."""

import math

import pytest
import torch

from dig_core.diffusion.losses import denoising_score_matching, unit_variance_residuals
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import denoised, mean_free
from dig_core.diffusion.samplers import SAMPLERS, sampling_times
from dig_core.diffusion.torus import (
    WrappedNormal,
    score_scale,
    wrapped,
    wrapped_normal_density,
    wrapped_normal_score,
)

TORUS = WrappedNormal(0.005, 0.5)
PROCESS = {"fractional": TORUS}
WEIGHTS = torch.tensor([0.7, 0.3], dtype=torch.float64)
APART = torch.tensor([[0.1, 0.05, 0.9], [0.45, 0.6, 0.3]], dtype=torch.float64)  # second atom less first
WIDTH = 0.02  # of each atom


def crystals(count: int, generator: torch.Generator) -> torch.Tensor:
    """Two atoms, one of two differences between them, shifted as a whole by anything."""
    which = torch.multinomial(WEIGHTS, count, replacement=True, generator=generator)
    first = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    atoms = torch.stack([first, first + APART[which]], dim=1)
    return torch.remainder(
        atoms + WIDTH * torch.randn(atoms.shape, generator=generator, dtype=torch.float64), 1
    )


def exact_score(state, time):
    """The difference of the atoms is a mixture of wrapped normals of twice their variance; its score acts on both, in opposite ways."""
    x = state["fractional"]
    width = torch.hypot(torch.tensor(WIDTH, dtype=x.dtype), TORUS.sigma(time.to(x.dtype)))[:, None, None]
    vectors = x[:, None, 1] - x[:, None, 0] - APART  # [batch, crystals, 3]
    sigma = (math.sqrt(2) * width).expand_as(vectors)
    images = wrapped(vectors)[..., None] + torch.arange(-4, 5, dtype=x.dtype)
    logs = torch.logsumexp(-0.5 * images**2 / sigma[..., None] ** 2, dim=-1).sum(-1) + WEIGHTS.log()
    slope = (torch.softmax(logs, dim=1)[..., None] * wrapped_normal_score(vectors, sigma)).sum(1)
    return {"fractional": torch.stack([-slope, slope], dim=1)}


def drawn(sampler: str, steps: int, count: int, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = {"fractional": TORUS.prior(torch.zeros(count, 2, 3, dtype=torch.float64), generator)}
    return SAMPLERS[sampler](exact_score, PROCESS, start, sampling_times(PROCESS, steps), generator)[
        "fractional"
    ]


def shares_and_widths(x: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Share of the first crystal, and the standard deviation of the difference around each."""
    away = wrapped(x[:, 1] - x[:, 0] - APART[:, None])
    nearest = away.norm(dim=-1).argmin(dim=0)
    widths = [away[k, nearest == k].square().mean().sqrt() for k in range(2)]
    return (nearest == 0).double().mean().item(), torch.stack(widths)


@pytest.mark.parametrize(
    ("sampler", "steps", "width"),
    [
        ("ancestral", 200, 0.03),
        ("probability_flow", 25, 0.03),
        ("dpm_solver", 30, 0.04),
        ("sde_dpm_solver", 50, 0.05),
        ("predictor_corrector", 40, 0.05),
    ],
)
def test_two_crystals_keep_their_weights_and_widths(sampler, steps, width):
    count = 4_000
    share, widths = shares_and_widths(drawn(sampler, steps, count))
    assert abs(share - 0.7) < 3 * (0.21 / count) ** 0.5
    # The last denoised point is sharper than the data by the noise that is left.
    expected = math.sqrt(2) * WIDTH**2 / math.hypot(WIDTH, TORUS.sigma_min)
    assert widths.tolist() == pytest.approx([expected] * 2, rel=width + 0.03)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.3, 0.7])
def test_the_score_is_the_slope_of_the_wrapped_density_and_its_scale_its_size(sigma):
    points = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)
    images = points[:, None] + torch.arange(-20, 21, dtype=torch.float64)
    density = torch.exp(-0.5 * images**2 / sigma**2).sum(1) / (sigma * math.sqrt(2 * math.pi))
    found = wrapped_normal_density(points, torch.tensor([sigma], dtype=torch.float64))
    torch.testing.assert_close(found, density, rtol=1e-9, atol=1e-12)
    assert torch.trapezoid(density, points).item() == pytest.approx(1.0, abs=1e-9)
    score = wrapped_normal_score(points, torch.tensor([sigma], dtype=torch.float64))
    slope = torch.gradient(density.log(), spacing=(points,))[0]
    # Where the density is least it is beyond what differences resolve.
    inner = points.abs() < min(0.45, 6 * sigma)
    assert (score - slope)[inner].abs().max().item() < 1e-3 / sigma**2
    squared = torch.trapezoid(density * score**2, points).item()
    assert score_scale(torch.tensor([sigma]).double()).item() == pytest.approx(sigma * squared**0.5, rel=1e-3)


@pytest.mark.parametrize("time", [0.1, 0.5, 0.8, 1.0])
def test_the_loss_is_least_at_the_exact_score(time):
    """Loss(s + d) - loss(s) = sigma^2 mean |d|^2 for every change d without a mean over atoms."""
    generator = torch.Generator().manual_seed(0)
    clean = {"fractional": crystals(40_000, generator)}
    times = torch.full((40_000,), time, dtype=torch.float64)
    noise = {"fractional": TORUS.noise(clean["fractional"], generator)}
    sigma = TORUS.sigma(times[0]).item()
    least = denoising_score_matching(exact_score, PROCESS, clean, times, noise)
    for wrong in (
        lambda s, x: 1.3 * s,
        lambda s, x: s + 0.2 / sigma * mean_free(torch.sin(2 * math.pi * x * torch.tensor([[1.0], [2.0]]))),
    ):

        def score(state, t, wrong=wrong):
            return {"fractional": wrong(exact_score(state, t)["fractional"], state["fractional"])}

        worse = denoising_score_matching(score, PROCESS, clean, times, noise)
        change = score({"fractional": TORUS.perturb(clean["fractional"], times, noise["fractional"])}, times)
        right = exact_score(
            {"fractional": TORUS.perturb(clean["fractional"], times, noise["fractional"])}, times
        )
        expected = (sigma * (change["fractional"] - right["fractional"])).square().mean(dim=(1, 2))
        excess, error = (worse - least - expected).mean(), (worse - least - expected).std() / 200
        assert abs(excess.item()) < 4 * error.item()


def test_a_network_that_returns_nothing_has_a_loss_of_one_less_what_the_mean_over_atoms_takes():
    generator = torch.Generator().manual_seed(0)
    clean = {"fractional": torch.rand(20_000, 4, 3, generator=generator)}
    noise = {"fractional": TORUS.noise(clean["fractional"], generator)}
    times = torch.rand(20_000, generator=generator)
    nothing = preconditioned(lambda state, tau: {"fractional": 0 * state["fractional"]}, PROCESS)
    residual = unit_variance_residuals(nothing, PROCESS, clean, times, noise)["fractional"]
    assert residual.square().mean().item() == pytest.approx(3 / 4, rel=0.02)


def test_the_start_is_uniform_and_shifts_and_seeds_are_free():
    generators = [torch.Generator().manual_seed(k) for k in range(1000)]
    like = torch.zeros(1000, 2, 3)
    x = TORUS.prior(like, generators)
    assert x.min() >= 0 and x.max() < 1 and x.mean().item() == pytest.approx(0.5, abs=0.02)
    again = TORUS.prior(like[:10], [torch.Generator().manual_seed(k) for k in range(10)])
    assert torch.equal(again, x[:10])
    assert x.std().item() == pytest.approx(TORUS.prior_scale(), rel=0.02)
    # exp(-4 pi^2 sigma^2) a coordinate, for large sigma.
    assert TORUS.prior_mismatch_nats(1.0, 30) == pytest.approx(30 * math.exp(-(math.pi**2)), rel=0.01)
    moved = denoised(
        exact_score, PROCESS, {"fractional": torch.remainder(x.double() + 0.3, 1)}, torch.full((1000,), 0.3)
    )
    still = denoised(exact_score, PROCESS, {"fractional": x.double()}, torch.full((1000,), 0.3))
    assert wrapped(moved["fractional"] - still["fractional"] - 0.3).abs().max() < 1e-9


def test_noise_of_more_than_the_period_is_refused():
    with pytest.raises(ValueError, match="expected sigma_max <= 1"):
        WrappedNormal(0.01, 5.0)
