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
    heights = 1.2 + 0.1 * waves(first, second)
    return EnergyMap(CELL, energies - energies.min(), heights[..., None], stiffness[..., None, None])


def map_of_molecules() -> EnergyMap:
    """That of the atoms with another one, which leans and whose springs are coupled."""
    own = own_map()
    rest = np.concatenate([own.rest_angstrom, np.broadcast_to([0.1, -0.2, 1.1], (POINTS, POINTS, 3))], axis=2)
    coupled = np.array(
        [[0.0, 0.5, 0.0, 1.0], [0.5, 60.0, 2.0, 0.0], [0.0, 2.0, 90.0, 0.0], [1.0, 0.0, 0.0, 80.0]]
    )
    stiffness = np.zeros((POINTS, POINTS, 4, 4)) + coupled
    stiffness[..., 0, 0] = own.stiffness_eV_per_angstrom2[..., 0, 0]
    return EnergyMap(CELL, own.energies_eV, rest, stiffness)


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
    assert drawn.shape == (40_000, 1, 3)
    drawn = drawn[:, 0]
    fractional = drawn[:, :2] @ np.linalg.inv(CELL)
    assert fractional.min() >= 0.0 and fractional.max() < 1.0
    weights = np.exp(-own.energies_eV / KT) / np.sqrt(own.stiffness_eV_per_angstrom2[..., 0, 0])
    weights /= weights.sum()
    first, second = np.meshgrid(*[np.arange(4 * POINTS) / (4 * POINTS)] * 2, indexing="ij")
    for wave in ([1, 0], [0, 1], [1, 2]):
        expected = (weights * np.exp(2j * np.pi * (wave[0] * first + wave[1] * second))).sum()
        found = np.exp(2j * np.pi * fractional @ np.array(wave)).mean()
        assert abs(found - expected) < 4 / math.sqrt(40_000) + 2e-3
    assert drawn[:, 2].mean() == pytest.approx((weights * own.heights_angstrom).sum(), abs=4e-3)
    variance = (weights * (own.heights_angstrom**2 + KT / own.stiffness_eV_per_angstrom2[..., 0, 0])).sum()
    assert (drawn[:, 2] ** 2).mean() == pytest.approx(variance, abs=8e-3)


def test_the_density_over_the_cell_has_the_height_integrated_out():
    own, heights = own_map(), np.linspace(-1.0, 4.0, 4001)
    energies = (
        own.energies_eV[..., None]
        + 0.5 * own.stiffness_eV_per_angstrom2[..., 0] * (heights - own.heights_angstrom[..., None]) ** 2
    )
    integrals = np.log(np.trapezoid(np.exp(-energies / KT), heights, axis=-1))
    difference = own.log_weights(KT) - integrals
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-6)


def test_a_map_is_read_back_from_its_arrays():
    again = EnergyMap.of(vars(own_map()) | {"other": np.zeros(1)})
    np.testing.assert_array_equal(again.energies_eV, own_map().energies_eV)


def test_molecules_are_drawn_with_the_covariance_of_their_springs():
    own, kT = map_of_molecules().finer(2), 0.01
    drawn = own.drawn(60_000, kT, np.random.default_rng(1))
    assert drawn.shape == (60_000, 2, 3)
    bonds = drawn[:, 1] - drawn[:, 0]
    expected = kT * np.linalg.inv(map_of_molecules().stiffness_eV_per_angstrom2[0, 0])[1:, 1:]
    np.testing.assert_allclose(bonds.mean(axis=0), [0.1, -0.2, 1.1], atol=1e-3)
    np.testing.assert_allclose(np.cov(bonds.T), expected, atol=4e-6)
    np.testing.assert_allclose(
        own.bonds_angstrom(drawn[:5, 0, :2]), np.full((5, 1), np.sqrt(1.26)), rtol=1e-9
    )
    weights = own.log_weights(kT)
    plain = -own.energies_eV / kT - 0.5 * np.log(np.linalg.det(own.stiffness_eV_per_angstrom2))
    np.testing.assert_allclose(weights, plain, atol=1e-9)


def test_lengths_of_bonds_survive_where_they_lean_to_different_sides():
    """Bonds as long everywhere, whose directions go around: no point of a finer map has others."""
    own = map_of_molecules()
    first, second = np.meshgrid(*[2 * np.pi * np.arange(POINTS) / POINTS] * 2, indexing="ij")
    lean, around = 0.7 * np.sign(np.cos(2 * first)), 3 * second
    ends = 1.15 * np.stack(
        [np.sin(lean) * np.cos(around), np.sin(lean) * np.sin(around), np.cos(lean)], axis=-1
    )
    rest = np.concatenate([own.rest_angstrom[..., :1], ends], axis=-1)
    more = EnergyMap(CELL, own.energies_eV, rest, own.stiffness_eV_per_angstrom2).finer(4)
    np.testing.assert_allclose(np.linalg.norm(more.rest_angstrom[..., 1:], axis=-1), 1.15, atol=1e-9)


def test_warm_molecules_have_bonds_of_the_lengths_that_their_springs_say():
    """However far they lean: springs across them are soft."""
    own, kT = map_of_molecules(), 0.1
    rest = own.rest_angstrom.copy()
    rest[..., 1:] = [0.0, 0.0, 1.1]
    springs = np.zeros((POINTS, POINTS, 4, 4)) + np.diag([8.0, 1.0, 0.7, 80.0])
    drawn = EnergyMap(CELL, own.energies_eV, rest, springs).drawn(40_000, kT, np.random.default_rng(2))
    bonds = drawn[:, 1] - drawn[:, 0]
    lengths = np.linalg.norm(bonds, axis=1)
    assert lengths.mean() == pytest.approx(1.1, abs=1e-3)
    assert lengths.std() == pytest.approx(np.sqrt(kT / 80.0), rel=0.02)
    assert np.abs(bonds[:, 0] / bonds[:, 2]).mean() == pytest.approx(np.sqrt(2 * kT / np.pi) / 1.1, rel=0.1)


def test_energies_and_forces_of_structures_that_are_spread_are_those_of_the_map():
    """Against the functions that the map was made from, and their finite differences."""

    def energy(positions: np.ndarray) -> np.ndarray:
        first, second = (positions[:, :2] @ np.linalg.inv(CELL)).T
        stiffness = 8.0 * np.exp(0.3 * np.cos(2 * np.pi * second))
        above = positions[:, 2] - 1.2 - 0.1 * waves(first, second)
        return 0.2 * waves(first, second) + 0.5 * stiffness * above**2

    own = own_map().finer(8)
    positions, energies, forces = own.spread(2_000, KT, np.random.default_rng(0))
    whole = energy(positions[:, 0])
    np.testing.assert_allclose(energies - energies.min(), whole - whole.min(), atol=1e-6)
    for axis in range(3):
        step = 1e-5 * np.eye(3)[axis]
        slope = (energy(positions[:, 0] + step) - energy(positions[:, 0] - step)) / 2e-5
        np.testing.assert_allclose(forces[:, 0, axis], -slope, atol=5e-3)
    fractional = positions[:, 0, :2] @ np.linalg.inv(CELL)
    assert np.histogram2d(*fractional.T, bins=3, range=[[0, 1], [0, 1]])[0].min() > 150, "by no weight"
    with pytest.raises(ValueError, match="expected the map of an atom; got one of a molecule"):
        map_of_molecules().spread(5, KT, np.random.default_rng(0))
