"""Energies with a known truth: their forces, symmetries, stationary points and normalisation."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize

from dig_core.energies.analytic import DoubleWell, GaussianMixture, LennardJones, MuellerBrown

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-2.0, 0.0], [1.0, 1.5], [2.0, -2.0]])
WIDTHS = np.array([0.3, 0.5, 0.8])
MINIMA = {(-0.558, 1.442): -146.70, (0.623, 0.028): -108.17, (-0.050, 0.467): -80.77}
SADDLES = {(-0.822, 0.624): -40.66, (0.212, 0.293): -72.25}
ICOSAHEDRON_ENERGY = -44.326801


def mixture():
    return GaussianMixture(WEIGHTS, MEANS, WIDTHS)


def cluster(particles, space, batch=3, seed=0):
    """Particles on a loose grid, shaken: no pair is close enough for huge forces."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * space), axis=-1).reshape(-1, space)[:particles]
    return 1.2 * grid + 0.1 * generator.normal(size=(batch, particles, space))


def icosahedron():
    """Centre and 12 vertices at distance 1 from it."""
    golden = (1 + 5**0.5) / 2
    plane = np.array([[0.0, a, b * golden] for a in (-1, 1) for b in (-1, 1)])
    vertices = np.concatenate([np.roll(plane, shift, axis=1) for shift in range(3)])
    return np.concatenate([np.zeros((1, 3)), vertices / np.linalg.norm(vertices[0])])


CASES = {
    "mixture": (mixture, np.random.default_rng(1).normal(size=(5, 2))),
    "one width": (lambda: GaussianMixture(WEIGHTS, MEANS, 0.7), np.random.default_rng(1).normal(size=(5, 2))),
    "mueller_brown": (MuellerBrown, np.random.default_rng(2).uniform(-1, 1, size=(5, 2))),
    "scaled": (lambda: MuellerBrown(scale=15.0), np.random.default_rng(2).uniform(-1, 1, size=(5, 2))),
    "double_well": (DoubleWell, 2 * cluster(4, 2)),
    "linear term": (lambda: DoubleWell(5, 3, (0.7, -4.0, 0.9), 3.5, 1.5), 2 * cluster(5, 3)),
    "lj13": (LennardJones, cluster(13, 3)),
    "lj7": (lambda: LennardJones(7, 2.0, 1.3, 0.4, 0.8), cluster(7, 3)),
}
PARTICLES = ["double_well", "linear term", "lj13", "lj7"]


@pytest.mark.parametrize("case", CASES)
def test_forces_are_minus_the_gradient(case):
    """Central differences of every coordinate."""
    build, positions = CASES[case]
    energy, step = build(), 1e-5
    values, forces = energy(positions)
    assert values.shape == positions.shape[:1] and forces.shape == positions.shape
    assert values.dtype == forces.dtype == np.float64
    for coordinate in np.ndindex(positions.shape[1:]):
        shift = np.zeros(positions.shape[1:])
        shift[coordinate] = step
        slope = (energy(positions + shift)[0] - energy(positions - shift)[0]) / (2 * step)
        np.testing.assert_allclose(-forces[(slice(None), *coordinate)], slope, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_the_loop_and_calls_are_counted(case):
    build, positions = CASES[case]
    energy = build()
    values, forces = energy(positions)
    assert energy.calls == len(positions)
    singles = [energy(structure[None]) for structure in positions]
    assert energy.calls == 2 * len(positions)
    np.testing.assert_allclose(values, [value[0] for value, _ in singles], rtol=1e-12)
    np.testing.assert_allclose(forces, [force[0] for _, force in singles], rtol=1e-12, atol=1e-12)
    assert build().calls == 0


@pytest.mark.parametrize("case", PARTICLES)
def test_particles_do_not_know_their_numbers_place_or_orientation(case):
    build, positions = CASES[case]
    energy, generator = build(), np.random.default_rng(4)
    values, forces = energy(positions)
    order = generator.permutation(positions.shape[1])
    rotation = np.linalg.qr(generator.normal(size=(positions.shape[2],) * 2))[0]
    moved_values, moved_forces = energy(positions[:, order] @ rotation + 7.0)
    np.testing.assert_allclose(moved_values, values, rtol=1e-9)
    np.testing.assert_allclose(moved_forces, forces[:, order] @ rotation, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-9)


def test_mixture_is_normalised():
    axis = np.arange(-8.0, 8.0, 0.05)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    energies, _ = mixture()(grid)
    assert np.log(np.exp(-energies).sum() * 0.05**2) == pytest.approx(GaussianMixture.log_z, abs=1e-6)


def test_one_gaussian_in_five_dimensions_has_its_closed_form():
    energy = GaussianMixture(np.ones(1), np.zeros((1, 5)), 2.0)
    (value,), forces = energy(np.full((1, 5), 3.0))
    assert value == pytest.approx(2.5 * np.log(2 * np.pi * 4.0) + 0.5 * 5 * 9.0 / 4.0)
    np.testing.assert_allclose(forces, -3.0 / 4.0)


def test_mixture_stays_finite_far_from_every_mode():
    values, forces = mixture()(np.array([[1e4, -1e4]]))
    assert np.isfinite(values).all() and np.isfinite(forces).all()


def test_draws_have_weights_means_and_widths_of_the_mixture():
    energy, count = mixture(), 20_000
    draws = energy.draw(count, np.random.default_rng(5))
    assert energy.calls == 0 and draws.shape == (count, 2)
    # The modes are more than 4 widths apart: the nearest in units of its width is the one drawn from.
    distances = np.linalg.norm(draws[:, None] - MEANS, axis=-1) / WIDTHS
    mode = distances.argmin(axis=1)
    np.testing.assert_allclose(np.bincount(mode) / count, WEIGHTS, atol=0.015)
    np.testing.assert_allclose(draws.mean(axis=0), WEIGHTS @ MEANS, atol=0.06)
    for index, width in enumerate(WIDTHS):
        np.testing.assert_allclose(draws[mode == index].std(axis=0), width, rtol=0.05)
    np.testing.assert_array_equal(draws, energy.draw(count, np.random.default_rng(5)))


@pytest.mark.parametrize(
    ("weights", "means", "widths", "told"),
    [
        ([0.5, 0.6], [[0.0], [1.0]], 1.0, "expected positive weights with sum 1"),
        ([1.5, -0.5], [[0.0], [1.0]], 1.0, "expected positive weights with sum 1"),
        ([0.5, 0.5], [[0.0], [1.0]], 0.0, "expected positive standard deviations"),
    ],
)
def test_impossible_mixture_is_refused(weights, means, widths, told):
    with pytest.raises(ValueError, match=told):
        GaussianMixture(np.array(weights), np.array(means), widths)


@pytest.mark.parametrize(("point", "published"), (MINIMA | SADDLES).items())
def test_mueller_brown_has_its_published_stationary_points(point, published):
    """The published coordinates are rounded to 0.001; Newton's method goes the rest."""
    energy, x, step = MuellerBrown(), np.array(point), 1e-5
    for _ in range(5):
        shifts = step * np.eye(2)
        hessian = -(energy(x + shifts)[1] - energy(x - shifts)[1]) / (2 * step)
        x = x + np.linalg.solve(hessian, energy(x[None])[1][0])
    (value,), forces = energy(x[None])
    np.testing.assert_allclose(forces, 0.0, atol=1e-6)
    np.testing.assert_allclose(x, point, atol=1e-3)
    assert value == pytest.approx(published, abs=0.01)
    curvatures = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    assert (curvatures < 0).sum() == (point in SADDLES)


def test_mueller_brown_is_divided_by_its_scale():
    positions = CASES["mueller_brown"][1]
    for whole, part in zip(MuellerBrown()(positions), MuellerBrown(scale=15.0)(positions), strict=True):
        np.testing.assert_allclose(part, whole / 15.0)


def test_one_pair_of_the_double_well_has_two_good_distances():
    """Minima -b^2 / 4c = -40/9 at 4 +- sqrt(20)/3, a maximum of 0 between them."""
    energy = DoubleWell(particles=2)
    distances = np.array([4 - 20**0.5 / 3, 4.0, 4 + 20**0.5 / 3])
    positions = np.zeros((3, 2, 2))
    positions[:, 1, 0] = distances
    values, forces = energy(positions)
    np.testing.assert_allclose(values, [-40 / 9, 0.0, -40 / 9], atol=1e-12)
    np.testing.assert_allclose(forces, 0.0, atol=1e-12)


def test_double_well_counts_each_of_its_six_pairs_once():
    """At the corners of a square: 4 sides of the offset, where a pair has energy 0, and 2 diagonals."""
    square = np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]])
    stretch = 4 * 2**0.5 - 4
    (value,), _ = DoubleWell()(square)
    assert value == pytest.approx(2 * (-4 * stretch**2 + 0.9 * stretch**4))


def test_lennard_jones_pair_has_its_well_at_the_minimum_distance():
    energy = LennardJones(2, well_depth=1.7, minimum_distance=1.3, tether=0.0)
    (value,), forces = energy(np.array([[[0.0, 0.0, 0.0], [0.0, 1.3, 0.0]]]))
    assert value == pytest.approx(-1.7)
    np.testing.assert_allclose(forces, 0.0, atol=1e-12)


def test_clash_has_infinite_energy_and_leaves_the_batch_alone():
    positions = cluster(13, 3)
    values, _ = LennardJones()(positions)
    positions[1, 4] = positions[1, 5]
    with np.errstate(divide="ignore", invalid="ignore"):
        clashed, forces = LennardJones()(positions)
    assert clashed[1] == np.inf
    np.testing.assert_array_equal(clashed[[0, 2]], values[[0, 2]])
    assert np.isfinite(forces[[0, 2]]).all()


def test_perturbed_icosahedron_relaxes_to_the_known_minimum():
    energy = LennardJones(tether=0.0)
    start = icosahedron() + 0.05 * np.random.default_rng(6).normal(size=(13, 3))
    assert energy(start[None])[0][0] > ICOSAHEDRON_ENERGY + 1

    def value_and_gradient(flat):
        (value,), (forces,) = energy(flat.reshape(1, 13, 3))
        return value, -forces.ravel()

    found = minimize(value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options={"ftol": 1e-14})
    assert found.fun == pytest.approx(ICOSAHEDRON_ENERGY, abs=1e-5)


def test_tether_holds_to_the_centre_of_the_cluster():
    loose, held = LennardJones(tether=0.0), LennardJones(tether=0.8)
    positions = cluster(13, 3) + 5.0
    from_centre = positions - positions.mean(axis=1, keepdims=True)
    energy_of_tether = held(positions)[0] - loose(positions)[0]
    np.testing.assert_allclose(energy_of_tether, 0.4 * (from_centre**2).sum(axis=(1, 2)))
    np.testing.assert_allclose(held(positions)[1] - loose(positions)[1], -0.8 * from_centre, atol=1e-9)


@pytest.mark.parametrize("build", [DoubleWell, LennardJones])
def test_temperature_divides_the_whole_energy(build):
    positions = 2 * cluster(*build().shape)
    for cold, hot in zip(build()(positions), build(temperature=2.5)(positions), strict=True):
        np.testing.assert_allclose(hot, cold / 2.5)


@pytest.mark.parametrize(
    ("energy", "shape", "told"),
    [
        (mixture(), (3, 4), r"expected positions of shape \[batch, 2\]; got \[3, 4\]"),
        (MuellerBrown(), (2,), r"expected positions of shape \[batch, 2\]; got \[2\]"),
        (DoubleWell(), (3, 8), r"expected positions of shape \[batch, 4, 2\]; got \[3, 8\]"),
        (LennardJones(), (3, 12, 3), r"expected positions of shape \[batch, 13, 3\]; got \[3, 12, 3\]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wrong_shape_is_refused_in_one_line_and_not_counted(energy, shape, told):
    with pytest.raises(ValueError, match=told) as error:
        energy(np.zeros(shape))
    assert "\n" not in str(error.value) and energy.calls == 0


def test_nan_is_refused_in_one_line_and_not_counted():
    energy, positions = DoubleWell(), cluster(4, 2)
    positions[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="got 1 structures with nan or inf, the first at index 1") as error:
        energy(positions)
    assert "\n" not in str(error.value) and energy.calls == 0


def test_single_precision_is_computed_in_double_and_positions_stay_as_they_were():
    positions = cluster(13, 3).astype(np.float32)
    before = positions.copy()
    values, forces = LennardJones()(positions)
    assert values.dtype == forces.dtype == np.float64
    np.testing.assert_array_equal(positions, before)
    np.testing.assert_array_equal(values, LennardJones()(positions.astype(np.float64))[0])


def test_parameters_of_a_known_truth_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MuellerBrown().scale = 2.0
