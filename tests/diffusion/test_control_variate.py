"""Forces take noise off the targets of denoising and leave their mean: held against harmonic and anharmonic truth."""

import math

import pytest
import torch
from torch import Tensor

from dig_core.diffusion.control_variate import CLASSES, Springs, SpringVariate, spring_hessian

DOUBLE = {"dtype": torch.float64}


def variate(factor: float, in_place: float) -> SpringVariate:
    """Factors that are the same for all classes and noise."""
    own = SpringVariate(0.005, 4.0).double()
    with torch.no_grad():
        own.tenths[:, :CLASSES] = math.log(factor) / 10.0
        own.tenths[:, CLASSES] = math.log(in_place) / 10.0
    return own


def test_hessian_is_that_of_springs_at_rest():
    generator = torch.Generator().manual_seed(0)
    structure = torch.randn(5, 3, generator=generator, **DOUBLE)
    stiffness = torch.rand(5, 5, generator=generator, **DOUBLE)
    stiffness = (stiffness + stiffness.mT) * (1 - torch.eye(5))
    first, second = torch.triu_indices(5, 5, offset=1)

    def energy(flat: Tensor) -> Tensor:
        x = flat.view(5, 3)
        stretch = (x[first] - x[second]).norm(dim=1) - (structure[first] - structure[second]).norm(dim=1)
        return 0.5 * (stiffness[first, second] * stretch.square()).sum()

    expected = torch.autograd.functional.hessian(energy, structure.flatten())
    torch.testing.assert_close(spring_hessian(structure[None], stiffness[None])[0], expected)


@pytest.mark.parametrize("noise_to_signal", [0.02, 0.3, 2.0])
def test_no_noise_is_left_where_the_energy_is_harmonic(noise_to_signal):
    """x_0 ~ N(s, H^-1): the mean of eps given y = x_0 + tau eps is tau (H^-1 + tau^2)^-1 (y - s), and the target is just that."""
    generator = torch.Generator().manual_seed(1)
    structure = torch.randn(1, 4, 3, generator=generator, **DOUBLE)
    springs = Springs(40.0 * (1 - torch.eye(4, **DOUBLE)), torch.ones(4, 4, dtype=torch.long))
    hessian = spring_hessian(structure, 1.5 * springs.stiffness[None])[0] + 3.0 * torch.eye(12, **DOUBLE)
    covariance = torch.linalg.inv(hessian)
    moved = torch.randn(50, 12, generator=generator, **DOUBLE) @ torch.linalg.cholesky(covariance).mT
    noise = torch.randn(50, 12, generator=generator, **DOUBLE)
    tau = torch.full((50,), noise_to_signal, **DOUBLE)
    gradient = (-moved @ hessian + noise / noise_to_signal).view(50, 4, 3)
    taken = variate(1.5, 3.0)(springs, structure.expand(50, -1, -1), gradient, tau).flatten(1)
    blurred = covariance + noise_to_signal**2 * torch.eye(12, **DOUBLE)
    mean = noise_to_signal * torch.linalg.solve(blurred, (moved + noise_to_signal * noise).mT).mT
    torch.testing.assert_close(noise - taken.detach(), mean, rtol=1e-6, atol=1e-8)


def dimers(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two atoms with E/kT = 2 (r^2 - 1)^2, drawn exactly (a grid of r, weight r^2), and the forces on them."""
    r = torch.linspace(1e-3, 3.0, 30_000, **DOUBLE)
    density = r**2 * torch.exp(-2.0 * (r**2 - 1) ** 2)
    length = r[torch.multinomial(density, count, replacement=True, generator=generator)]
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, **DOUBLE), dim=1)
    slope = 8.0 * length * (length**2 - 1)
    half = 0.5 * length[:, None] * direction
    return torch.stack([half, -half], dim=1), torch.stack(
        [-slope[:, None] * direction, slope[:, None] * direction], dim=1
    )


def products_with_noised(at: str, noise_to_signal: float) -> tuple[list[Tensor], float]:
    """What is taken off dimers' noise with K at their `noised` or `clean` structures, times functions of the noised ones; and the
    share of the mean square of the noise that is left."""
    generator = torch.Generator().manual_seed(2)
    clean, forces = dimers(100_000, generator)
    noise = torch.randn(clean.shape, generator=generator, **DOUBLE)
    noise = noise - noise.mean(dim=1, keepdim=True)
    structures = {"clean": clean, "noised": clean + noise_to_signal * noise}
    springs = Springs(8.0 * (1 - torch.eye(2, **DOUBLE)), torch.zeros(2, 2, dtype=torch.long))
    tau = torch.full((len(clean),), noise_to_signal, **DOUBLE)
    taken = variate(1.0, 5.0)(springs, structures[at], forces + noise / noise_to_signal, tau).detach()
    apart = structures["noised"][:, 0] - structures["noised"][:, 1]
    length = apart.norm(dim=1, keepdim=True)
    products = [(taken[:, 0] * probe).sum(dim=1) for probe in (apart, apart / length, apart * length**2)]
    return products, ((noise - taken).square().mean() / noise.square().mean()).item()


def in_standard_errors(products: Tensor) -> float:
    """Size of their mean."""
    return (products.mean().abs() / products.std() * len(products) ** 0.5).item()


@pytest.mark.parametrize("noise_to_signal", [0.05, 0.3])
def test_mean_stays_and_variance_falls_where_the_energy_is_not_harmonic(noise_to_signal):
    """Any function of the noised structure is uncorrelated with what is taken off."""
    products, left = products_with_noised("noised", noise_to_signal)
    assert all(in_standard_errors(own) < 4 for own in products)
    assert left < 0.8


def test_with_the_clean_structure_in_it_the_mean_does_not_stay():
    products, _ = products_with_noised("clean", 0.3)
    assert in_standard_errors(products[1]) > 4


def test_springs_are_as_stiff_as_distances_vary():
    generator = torch.Generator().manual_seed(3)
    frames = torch.zeros(5000, 3, 3, **DOUBLE)
    frames[:, 1, 0] = 1.0 + 0.1 * torch.randn(5000, generator=generator, **DOUBLE)
    frames[:, 2, 0] = 4.0
    bonds = torch.tensor([[0, 1, 7], [1, 0, 2], [7, 2, 0]])
    springs = Springs.of(frames, bonds)
    assert springs.stiffness[0, 1].item() == pytest.approx(100.0, rel=0.1)
    assert springs.stiffness.diagonal().abs().max() == 0 and torch.equal(springs.classes, springs.classes.mT)
    assert springs.classes[0, 1] == 0 and springs.classes[1, 2] == 1 and springs.classes[0, 2] == CLASSES - 1


def test_distances_that_never_change_are_as_stiff_as_single_precision_can_tell():
    frames = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(4)).expand(50, -1, -1)
    springs = Springs.of(frames, torch.ones(4, 4, dtype=torch.long) - torch.eye(4, dtype=torch.long))
    assert torch.isfinite(springs.stiffness).all()


def test_untrained_it_takes_nothing_off_where_it_would_add_noise():
    own = SpringVariate(0.005, 4.0)
    factors = own.factors(torch.tensor([0.02, 0.2, 2.0]))
    assert factors[:, CLASSES].tolist() == pytest.approx([300.0, 30_000.0, 3e6], rel=0.5)
    assert factors[0, :2].tolist() == pytest.approx([1.0, 1.0])
