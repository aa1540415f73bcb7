"""Rotations against scipy; IGSO(3) against its series, finite differences, moments and simulated Brownian motion."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import chi, ks_2samp, kstest

from dig_core import rotations

SIGMAS = torch.tensor([0.02, 0.1, 0.5, 1.0, 2.33, 4.0], dtype=torch.float64)


def random_vectors(count: int = 200) -> torch.Tensor:
    """Rotation vectors of all lengths from 0 to pi, with the hard cases at both ends."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    angle = torch.linspace(0, math.pi - 1e-9, count, dtype=torch.float64)
    angle[1], angle[2] = 1e-9, 1e-5
    return axis / axis.norm(dim=1, keepdim=True) * angle[:, None]


def test_exponential_and_logarithm_agree_with_scipy_and_undo_each_other():
    vectors = random_vectors()
    matrices = rotations.exponential(vectors)
    np.testing.assert_allclose(
        matrices.numpy(), Rotation.from_rotvec(vectors.numpy()).as_matrix(), atol=1e-12
    )
    torch.testing.assert_close(rotations.logarithm(matrices), vectors, atol=1e-6, rtol=1e-6)
    half_turns = torch.diag_embed(
        torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    )
    again = rotations.exponential(rotations.logarithm(half_turns))
    torch.testing.assert_close(again, half_turns, atol=1e-12, rtol=0)


def test_quaternions_agree_with_scipy():
    matrices = Rotation.random(500, rng=1)
    own, theirs = (
        rotations.quaternions(torch.tensor(matrices.as_matrix())).numpy(),
        matrices.as_quat(scalar_first=True),
    )
    np.testing.assert_allclose(own, theirs * np.sign(theirs[:, :1]), atol=1e-12)


def test_geodesics_are_as_long_as_they_should_be():
    first, second = (torch.tensor(Rotation.random(50, rng=seed).as_matrix()) for seed in (2, 3))
    whole = rotations.angle_between(first, second)
    expected = (Rotation.from_matrix(first.numpy()).inv() * Rotation.from_matrix(second.numpy())).magnitude()
    np.testing.assert_allclose(whole.numpy(), expected, atol=1e-10)
    part = rotations.interpolated(first, second, 0.3)
    torch.testing.assert_close(rotations.angle_between(first, part), 0.3 * whole)
    torch.testing.assert_close(rotations.angle_between(part, second), 0.7 * whole)


@pytest.mark.parametrize("sigma", SIGMAS.tolist())
def test_the_density_is_its_series_and_integrates_to_one(sigma):
    angle = torch.linspace(1e-4, math.pi, 20_001, dtype=torch.float64)
    width = torch.full_like(angle, sigma)
    density = rotations.angle_density(angle, width)
    assert torch.trapezoid(density, angle).item() == pytest.approx(1.0, abs=1e-6)
    degree = torch.arange(0, 2 + int(8 / sigma), dtype=torch.float64)[:, None]
    terms = (2 * degree + 1) * torch.exp(-degree * (degree + 1) * sigma**2 / 2)
    chosen = angle[::1000]
    series = (terms * torch.sin((degree + 0.5) * chosen) / torch.sin(chosen / 2)).sum(0)
    own = rotations.log_density(chosen, width[::1000]).exp()
    torch.testing.assert_close(own, series, atol=1e-9 * series.max().item(), rtol=1e-8)


@pytest.mark.parametrize("sigma", SIGMAS.tolist())
def test_the_score_is_the_slope_of_the_density(sigma):
    angle = torch.linspace(0.05, 3.1, 60, dtype=torch.float64)
    width, step = torch.full_like(angle, sigma), 1e-5
    slope = (rotations.log_density(angle + step, width) - rotations.log_density(angle - step, width)) / (
        2 * step
    )
    own = rotations.score_of_angle(angle, width)
    # At the largest sigma the density is flat: 1e-8 is rounding over the width of the difference.
    torch.testing.assert_close(own, slope, atol=max(1e-8, 1e-5 * slope.abs().max().item()), rtol=1e-5)


def test_the_score_of_small_noise_is_that_of_a_normal_distribution():
    vectors = 0.01 * torch.randn(100, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own = rotations.score(vectors, torch.full((100,), 0.01, dtype=torch.float64))
    torch.testing.assert_close(own, -vectors / 0.01**2, rtol=2e-4, atol=0.0)
    assert torch.equal(rotations.score(torch.zeros(1, 3), torch.ones(1)), torch.zeros(1, 3))
    assert rotations.score(vectors.float(), torch.full((100,), 0.01)).dtype == torch.float32


def test_the_score_turns_with_both_rotations():
    """In the frame of the body: nothing changes when start and end are turned together, and the gradient is that of the density."""
    turn, start = (torch.tensor(Rotation.random(rng=seed).as_matrix()) for seed in (4, 5))
    noise, sigma = torch.tensor([0.4, -0.3, 0.9], dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    end = start @ rotations.exponential(noise)
    again = rotations.logarithm((turn @ start).mT @ (turn @ end))
    torch.testing.assert_close(again, noise)

    def density(shift: torch.Tensor) -> torch.Tensor:
        return rotations.log_density(
            rotations.angle_between(start, end @ rotations.exponential(shift)), sigma
        )

    steps = 1e-5 * torch.eye(3, dtype=torch.float64)
    slope = torch.stack([(density(step) - density(-step)) / 2e-5 for step in steps])
    torch.testing.assert_close(rotations.score(noise, sigma), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.5])
def test_draws_are_brownian_motion(sigma):
    """Against a walk of many small steps, each of variance sigma^2 / steps per axis, and the exact mean of the character."""
    count, steps = 5_000, 50
    generator = torch.Generator().manual_seed(7)
    drawn = rotations.brownian(torch.full((count,), sigma, dtype=torch.float64), generator)
    walked = torch.eye(3, dtype=torch.float64).expand(count, 3, 3)
    for _ in range(steps):
        step = sigma / steps**0.5 * torch.randn(count, 3, generator=generator, dtype=torch.float64)
        walked = walked @ rotations.exponential(step)
    for vectors in (drawn, rotations.logarithm(walked)):
        character = 1 + 2 * torch.cos(vectors.norm(dim=1))
        error = character.std().item() / count**0.5
        assert character.mean().item() == pytest.approx(3 * math.exp(-(sigma**2)), abs=4 * error)
        assert vectors.mean(0).abs().max() < 5 * vectors.std().item() / count**0.5
    own, theirs = (vectors.norm(dim=1).numpy() for vectors in (drawn, rotations.logarithm(walked)))
    assert ks_2samp(own, theirs).pvalue > 1e-3


def shares_below(sigma: float):
    """The distribution function of the angle, by quadrature: angles to shares, both as arrays."""
    grid = torch.linspace(0, min(math.pi, 9 * sigma), 50_001, dtype=torch.float64)
    density = rotations.angle_density(grid, torch.full_like(grid, sigma))
    shares = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(density, grid)]).numpy()
    return lambda angle: np.interp(angle, grid.numpy(), shares)


@pytest.mark.parametrize("sigma", [5e-4, 2e-3, *SIGMAS.tolist()])
def test_drawn_angles_follow_the_distribution(sigma):
    """20,000 draws, at both ends of the table as well; the map itself to 5e-5."""
    width = torch.full((20_000,), sigma, dtype=torch.float64)
    drawn = rotations.brownian(width, torch.Generator().manual_seed(3))
    assert kstest(drawn.norm(dim=1).numpy(), shares_below(sigma)).pvalue > 1e-3
    radius = torch.linspace(0.01, 7.0, 500, dtype=torch.float64)
    angle = rotations.from_normal(radius[:, None] * torch.eye(3)[0], width[:500])[:, 0]
    np.testing.assert_allclose(shares_below(sigma)(angle.numpy()), chi(3).cdf(radius.numpy()), atol=5e-5)


def test_the_map_from_a_normal_distribution_keeps_axes_and_types():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(50, 4, 3, generator=generator)
    normal[0, 0] = 0.0
    sigma = 0.02 + 2.3 * torch.rand(50, 4, generator=generator)
    vectors = rotations.from_normal(normal, sigma)
    assert vectors.dtype == torch.float32 and vectors.norm(dim=-1).max() <= math.pi + 1e-6
    assert torch.equal(rotations.from_normal(-normal, sigma), -vectors)
    assert torch.linalg.cross(vectors, normal).abs().max().item() < 1e-5
    small = rotations.from_normal(normal, torch.full((50, 4), 1e-2))
    torch.testing.assert_close(small, 1e-2 * normal, rtol=1e-4, atol=0)


@pytest.mark.parametrize("sigma", [5e-4, *SIGMAS.tolist()])
def test_the_scale_of_the_score_is_its_root_mean_square(sigma):
    angle = torch.linspace(1e-5, min(math.pi, 9 * sigma), 20_001, dtype=torch.float64)
    width = torch.full_like(angle, sigma)
    squares = (sigma * rotations.score_of_angle(angle, width)) ** 2 / 3
    expected = torch.trapezoid(rotations.angle_density(angle, width) * squares, angle).sqrt().item()
    assert rotations.score_scale(width[0]).item() == pytest.approx(expected, rel=5e-4)
    assert rotations.score_scale(width[:6].float().reshape(2, 3)).shape == (2, 3)


def test_normal_quaternions_are_those_of_scipy():
    numbers = torch.randn(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Rotation.from_quat(numbers.numpy(), scalar_first=True).as_matrix()
    np.testing.assert_allclose(rotations.from_quaternions(numbers).numpy(), expected, atol=1e-12)


def test_a_sigma_out_of_range_is_told():
    for sigma in (0.0, 4.5, float("nan")):
        width = torch.full((1,), sigma)
        for refused in (
            lambda width: rotations.log_density(torch.ones(1), width),
            lambda width: rotations.from_normal(torch.ones(1, 3), width),
            rotations.score_scale,
        ):
            with pytest.raises(ValueError, match=r"expected 0 < sigma <= 4\.0; got"):
                refused(width)
