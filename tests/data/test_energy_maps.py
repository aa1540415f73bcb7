"""Energies over a surface cell: finer maps, and structures that are drawn from them, against closed forms."""

import math

import numpy as np
import pytest

from dig_core.data.energy_maps import EnergyMap, finer

CELL = np.array([[2.6, 0.0], [1.3, 1.3 * math.sqrt(3)]])
POINTS, KT = 24, 0.17


def waves(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.cos(2 * np.pi * first) + 0.3 * np.sin(2 * np.pi * (first + 2 * second))


def own_map(points: int = POINTS) -> EnergyMap:
    first, second = np.meshgrid(np.arange(points) / points, np.arange(points) / points, indexing="ij")
    energies = 0.2 * waves(first, second)
    stiffness = 8.0 * np.exp(0.3 * np.cos(2 * np.pi * second))
    return EnergyMap(CELL, energies - energies.min(), 1.2 + 0.1 * waves(first, second), stiffness)


@pytest.mark.parametrize("points", [8, 9])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_finer_map_of_waves_is_exact(points, times):
    coarse, fine = (
        np.meshgrid(np.arange(n) / n, np.arange(n) / n, indexing="ij") for n in (points, points * times)
    )
    np.testing.assert_allclose(finer(waves(*coarse), times), waves(*fine), atol=1e-12)


def test_what_is_drawn_has_the_means_and_the_widths_of_the_density():
    own, generator = own_map().finer(4), np.random.default_rng(0)
    drawn = own.drawn(40_000, KT, generator)
    fractional = drawn[:, :2] @ np.linalg.inv(CELL)
    assert fractional.min() >= 0.0 and fractional.max() < 1.0
    weights = np.exp(-own.energies_eV / KT) / np.sqrt(own.stiffness_eV_per_angstrom2)
    weights /= weights.sum()
    first, second = np.meshgrid(*[np.arange(4 * POINTS) / (4 * POINTS)] * 2, indexing="ij")
    for wave in ([1, 0], [0, 1], [1, 2]):
        expected = (weights * np.exp(2j * np.pi * (wave[0] * first + wave[1] * second))).sum()
        found = np.exp(2j * np.pi * fractional @ np.array(wave)).mean()
        assert abs(found - expected) < 4 / math.sqrt(40_000) + 2e-3
    assert drawn[:, 2].mean() == pytest.approx((weights * own.heights_angstrom).sum(), abs=4e-3)
    variance = (weights * (own.heights_angstrom**2 + KT / own.stiffness_eV_per_angstrom2)).sum()
    assert (drawn[:, 2] ** 2).mean() == pytest.approx(variance, abs=8e-3)


def test_the_density_over_the_cell_has_the_height_integrated_out():
    own, heights = own_map(), np.linspace(-1.0, 4.0, 4001)
    energies = (
        own.energies_eV[..., None]
        + 0.5 * own.stiffness_eV_per_angstrom2[..., None] * (heights - own.heights_angstrom[..., None]) ** 2
    )
    integrals = np.log(np.trapezoid(np.exp(-energies / KT), heights, axis=-1))
    difference = own.log_weights(KT) - integrals
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-6)


def test_a_map_is_read_back_from_its_arrays():
    again = EnergyMap.of(vars(own_map()) | {"other": np.zeros(1)})
    np.testing.assert_array_equal(again.energies_eV, own_map().energies_eV)
