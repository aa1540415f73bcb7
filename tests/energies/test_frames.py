"""Energies in few free coordinates, and chains that sample them: held against closed forms."""

import numpy as np
import pytest

from dig_core.energies.analytic import DoubleWell, GaussianMixture
from dig_core.energies.frames import Framed, centred_basis
from dig_core.energies.monte_carlo import langevin_monte_carlo


def framed_wells() -> Framed:
    return Framed(DoubleWell(), centred_basis(4, 2), np.zeros(8), 2.1)


def test_basis_is_orthonormal_and_leaves_the_centre_at_rest():
    basis = centred_basis(5, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(basis.reshape(5, 3, 12).sum(axis=0), 0.0, atol=1e-12)


def test_every_centred_configuration_has_a_state():
    positions = np.random.default_rng(0).normal(size=(3, 4, 2))
    centred = positions - positions.mean(axis=1, keepdims=True)
    energy = framed_wells()
    state = centred.reshape(3, 8) @ energy.basis / energy.length
    np.testing.assert_allclose(energy.positions(state), centred, atol=1e-12)
    np.testing.assert_allclose(energy(state)[0], DoubleWell()(positions)[0])


def test_forces_are_the_slope_of_the_energy_in_the_frame():
    energy, step = framed_wells(), 1e-5
    state = np.random.default_rng(1).uniform(-1.5, 1.5, size=(4, 6))
    for axis in range(6):
        shift = step * np.eye(6)[axis]
        slope = (energy(state + shift)[0] - energy(state - shift)[0]) / (2 * step)
        np.testing.assert_allclose(energy(state)[1][:, axis], -slope, rtol=1e-5, atol=1e-4)


def test_calls_are_those_of_the_energy():
    energy = framed_wells()
    energy(np.ones((7, 6)) * np.arange(6))
    assert energy.calls == energy.energy.calls == 7


def test_chains_have_the_moments_of_a_gaussian_whatever_their_start():
    energy = GaussianMixture(np.ones(1), np.array([[1.0, -2.0]]), 0.5)
    generator = np.random.default_rng(0)
    start = generator.uniform(-10, 10, (300, 2))
    stored, accepted = langevin_monte_carlo(energy, start, 0.4, (400, 600, 20), generator)
    assert stored.shape == (30, 300, 2) and 0.7 < accepted < 1.0
    points = stored.reshape(-1, 2)
    np.testing.assert_allclose(points.mean(axis=0), [1.0, -2.0], atol=0.03)
    np.testing.assert_allclose(points.std(axis=0), 0.5, atol=0.02)


def test_chains_find_the_weights_of_modes_that_overlap():
    energy = GaussianMixture(np.array([0.7, 0.3]), np.array([[-1.0], [1.0]]), 0.6)
    generator = np.random.default_rng(0)
    start = np.ones((400, 1))
    stored, _ = langevin_monte_carlo(energy, start, 0.6, (400, 800, 40), generator)
    grid = np.linspace(-5, 5, 4001)[:, None]
    density = np.exp(-energy(grid)[0])
    exact = density[grid[:, 0] > 0].sum() / density.sum()
    assert (stored > 0).mean() == pytest.approx(exact, abs=0.03)
