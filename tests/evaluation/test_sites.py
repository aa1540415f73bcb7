"""Adsorption sites against maps whose minima are known, and samples whose coverage is known."""

from itertools import product

import numpy as np
import pytest

from dig_core.evaluation.site_coverage import (
    anomalies,
    random_placement,
    site_coverage,
    site_coverage_relaxed,
    site_precision,
    site_rmsd_angstrom,
)
from dig_core.evaluation.sites import basins, minima, populations, site_type, visited
from dig_core.evaluation.surface_cells import distances, nearest_site, shortest

EDGE = 2.8  # Angstrom, as in platinum
HEXAGONAL = EDGE * np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
SKEWED = np.array([[3.0, 0.2], [7.3, 2.9]])
WAVES = np.array(
    [[1, 0], [0, 1], [-1, -1]]
)  # the shortest reciprocal vectors of a hexagonal cell: a three-fold star
ODD = 0.05  # eV: what tells the two hollows apart
APART = 3 * np.sqrt(3) * ODD  # eV between them


def grid(n1: int, n2: int) -> np.ndarray:
    """Fractional coordinates [n1, n2, 2] of the points of a map."""
    return np.stack(np.meshgrid(np.arange(n1) / n1, np.arange(n2) / n2, indexing="ij"), axis=-1)


def hexagonal(fractional: np.ndarray) -> np.ndarray:
    """eV: 0.2 cos + ODD sin, over WAVES. Highest at 0, minima at (2/3, 2/3) and, APART above, (1/3, 1/3)."""
    phases = 2 * np.pi * fractional @ WAVES.T
    return (0.2 * np.cos(phases) + ODD * np.sin(phases)).sum(axis=-1)


def height(fractional: np.ndarray) -> np.ndarray:
    """Angstrom: 1.5 in both hollows, 2 at 0."""
    return 5 / 3 + np.cos(2 * np.pi * fractional @ WAVES.T).sum(axis=-1) / 9


def hollows(shift=(0.0, 0.0)) -> np.ndarray:
    """Where the minima of the map are, lowest first."""
    plane = (np.array([[2 / 3, 2 / 3], [1 / 3, 1 / 3]]) + shift) @ HEXAGONAL
    return np.column_stack([plane, [1.5, 1.5]])


def mapped(shift=(0.0, 0.0), n1: int = 32, n2: int = 35) -> tuple[np.ndarray, np.ndarray]:
    """Energies and heights, moved by a shift in fractional coordinates."""
    places = grid(n1, n2) - shift
    return hexagonal(places), height(places)


def turned(values: np.ndarray, angle: float) -> np.ndarray:
    """Vectors [..., 2] or [..., 3] turned around z."""
    turn = np.eye(values.shape[-1])
    turn[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return values @ turn


def test_the_shortest_image_is_that_of_brute_force_however_skewed_the_cell_is():
    generator = np.random.default_rng(1)
    images = np.array(list(product(range(-60, 61), repeat=2)))
    for cell in (HEXAGONAL, SKEWED, SKEWED[::-1], np.array([[1.0, 0.0], [3.6, 1.1]]), 4 * np.eye(2)):
        vectors = generator.normal(scale=4.0, size=(40, 3))
        found = shortest(vectors, cell)
        every = np.linalg.norm(vectors[:, None, :2] + images @ cell, axis=-1).min(axis=1)
        np.testing.assert_allclose(np.linalg.norm(found[:, :2], axis=-1), every, atol=1e-9)
        whole = (found - vectors)[:, :2] @ np.linalg.inv(cell)
        np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
        np.testing.assert_array_equal(found[:, 2], vectors[:, 2])


def test_distances_take_height_and_period():
    points = np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.0]])
    others = np.array([[3.9, 8.0, 1.0], [0.0, 0.0, 4.0]])
    np.testing.assert_allclose(
        distances(points, others, 4 * np.eye(2)), [[0.1, 3.0], [np.hypot(0.6, 1.0), np.hypot(0.5, 4.0)]]
    )


# The hollows lie on a point of the map, beside one, and across the border of the cell.
@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (0.0123, 0.4321), (0.34, 0.33), (-0.9, 0.55)])
@pytest.mark.parametrize("shape", [(30, 30), (32, 35)])
def test_minima_are_the_hollows_wherever_the_map_begins(shift, shape):
    found = minima(*mapped(shift, *shape), HEXAGONAL)
    apart = distances(found.positions_angstrom, hollows(shift), HEXAGONAL)
    assert apart.shape == (2, 2)
    assert np.diag(apart).max() < 0.02
    np.testing.assert_allclose(found.energies_eV, [0.0, APART], atol=2e-4)
    assert found.energies_eV[0] == 0


def test_coarse_maps_are_refined():
    found = minima(*mapped((0.03, 0.06), 12, 12), HEXAGONAL)  # steps of 0.23 Angstrom
    assert np.diag(distances(found.positions_angstrom, hollows((0.03, 0.06)), HEXAGONAL)).max() < 0.04
    np.testing.assert_allclose(found.energies_eV, [0.0, APART], atol=2e-3)
    # A site between the points of a map still has its basin, however near minima must be to count as one.
    energies, _ = mapped((0.03, 0.06), 12, 12)
    assert set(np.unique(basins(energies, found.positions_angstrom, HEXAGONAL, 0.0))) == {0, 1}


def test_minima_and_basins_turn_with_the_cell():
    energies, heights = mapped((0.1, 0.2))
    found = minima(energies, heights, HEXAGONAL)
    cell = turned(HEXAGONAL, 0.7)
    other = minima(energies, heights, cell)
    np.testing.assert_allclose(other.positions_angstrom, turned(found.positions_angstrom, 0.7), atol=1e-9)
    np.testing.assert_allclose(other.energies_eV, found.energies_eV, atol=1e-12)
    np.testing.assert_array_equal(
        basins(energies, other.positions_angstrom, cell),
        basins(energies, found.positions_angstrom, HEXAGONAL),
    )


def test_a_window_leaves_out_high_minima_and_their_basins_are_elsewhere():
    energies, heights = mapped()
    found = minima(energies, heights, HEXAGONAL, window_eV=0.9 * APART)
    assert len(found.energies_eV) == 1
    assert len(minima(energies, heights, HEXAGONAL, window_eV=1.1 * APART).energies_eV) == 2
    number = basins(energies, found.positions_angstrom, HEXAGONAL)
    weights = np.exp(-energies / 0.1)
    share = populations(-energies / 0.1, number, 1)
    assert set(np.unique(number)) == {-1, 0}
    np.testing.assert_allclose(share, weights[number == 0].sum() / weights.sum())
    assert 0.5 < share[0] < 0.95


def test_minima_close_together_are_one_and_so_are_their_basins():
    cell, places = 6 * np.eye(2), grid(60, 60)
    x = 6 * places[..., 0]
    twins = 2 * (x - 2.8) ** 2 * (x - 3.2) ** 2 + 0.01 * (x - 3.0) - 0.1 * np.cos(2 * np.pi * places[..., 1])
    heights = np.ones_like(twins)
    near, far = minima(twins, heights, cell), minima(twins, heights, cell, apart_angstrom=0.2)
    assert (len(near.energies_eV), len(far.energies_eV)) == (1, 2)
    assert distances(near.positions_angstrom, np.array([[2.8, 0.0, 1.0]]), cell)[0, 0] < 0.02
    np.testing.assert_array_equal(np.unique(basins(twins, near.positions_angstrom, cell)), [0])
    np.testing.assert_array_equal(np.unique(basins(twins, far.positions_angstrom, cell, 0.2)), [0, 1])


def test_a_plateau_is_one_minimum_and_none_where_it_has_an_exit():
    energies, cell = np.full((12, 12), 0.4), 12 * np.eye(2)
    energies[2:5, 2:4] = 0.0  # a flat bottom; all around is flat, too, and not a minimum
    found = minima(energies, np.ones_like(energies), cell)
    assert len(found.energies_eV) == 1
    bottom = found.positions_angstrom[0]
    assert 2 <= bottom[0] <= 4 and 2 <= bottom[1] <= 3
    np.testing.assert_array_equal(basins(energies, found.positions_angstrom, cell), 0)
    constant = minima(np.zeros((4, 4)), np.ones((4, 4)), cell)
    np.testing.assert_array_equal(constant.positions_angstrom, [[0.0, 0.0, 1.0]])


def test_a_minimum_between_two_equal_points_lies_in_the_middle():
    places = grid(20, 20)
    energies = -np.cos(2 * np.pi * (places - [0.525, 0.5])).sum(axis=-1)
    energies[11, 10] = energies[10, 10]  # equal to the last digit
    found = minima(energies, places[..., 0], 4 * np.eye(2))
    np.testing.assert_allclose(found.positions_angstrom, [[2.1, 2.0, 0.525]], atol=0.002)


def test_steepest_descent_takes_the_distance_into_account():
    # From (5, 5) the diagonal neighbour is lower by 0.13, the straight one by 0.10: over 1.41 and 1 Angstrom.
    energies = np.full((10, 10), 1.0)
    energies[6, 6], energies[4, 5], energies[3, 5] = 0.87, 0.90, 0.80
    places = np.array([[6, 6, 1], [3, 5, 1]]) / [10, 10, 1]
    # The same diagonal is as short as an edge where that between the edges is 120 degrees.
    for cell, leads_to in ((10 * np.eye(2), 1), (np.array([[10.0, 0.0], [-5.0, np.sqrt(75)]]), 0)):
        sites = np.column_stack([places[:, :2] @ cell, places[:, 2]])
        assert basins(energies, sites, cell)[5, 5] == leads_to


@pytest.mark.parametrize("kT", [0.0257, 0.05])
def test_populations_of_equal_wells_are_those_of_boltzmann(kT):
    places, gap = grid(48, 24), 0.08
    energies = -0.5 * (np.cos(4 * np.pi * places[..., 0]) + np.cos(2 * np.pi * places[..., 1]))
    second = np.abs(places[..., 0] - 0.5) < 0.25
    energies = energies + gap * second
    cell = np.diag([6.0, 3.0])
    found = minima(energies, np.full_like(energies, 1.2), cell)
    np.testing.assert_allclose(found.energies_eV, [0.0, gap], atol=1e-12)
    shares = populations(-energies / kT, basins(energies, found.positions_angstrom, cell), 2)
    assert shares[1] / shares[0] == pytest.approx(np.exp(-gap / kT), rel=1e-4)
    assert shares.sum() == pytest.approx(1.0)
    moved = populations(1e4 - energies / kT, basins(energies, found.positions_angstrom, cell), 3)
    np.testing.assert_allclose(
        moved, [*shares, 0.0]
    )  # a constant does not count; a site without basin has nothing


def raised(plane: np.ndarray, z: float) -> np.ndarray:
    """A point or vector with a height."""
    return np.append(plane, z)


def layers(square: bool, repeats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cell and the two uppermost layers, z = 0 and below, of an ideal fcc crystal: (100) or (111)."""
    cell = EDGE * np.eye(2) if square else HEXAGONAL
    below = (0.5, 0.5, -EDGE * np.sqrt(0.5)) if square else (1 / 3, 1 / 3, -EDGE * np.sqrt(2 / 3))
    corners = np.array(list(product(range(repeats), repeat=2)), dtype=float)
    top = np.pad(corners @ cell, ((0, 0), (0, 1)))
    return repeats * cell, top, top + raised(np.array(below[:2]) @ cell, below[2])


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize(
    ("square", "place", "above", "named"),
    [
        (False, (0.0, 0.0), 2.0, "top"),
        (False, (0.5, 0.0), 1.7, "bridge"),
        (False, (0.5, 0.5), 1.7, "bridge"),
        (False, (1 / 3, 1 / 3), 1.5, "hcp"),
        (False, (2 / 3, 2 / 3), 1.5, "fcc"),
        (False, (0.68, 0.65), 1.5, "fcc"),
        (True, (1.0, 0.0), 2.0, "top"),
        (True, (0.0, 0.5), 1.7, "bridge"),
        (True, (0.5, 0.5), 1.2, "hollow"),
    ],
)
def test_sites_of_ideal_surfaces_have_their_names(repeats, square, place, above, named):
    cell, top, second = layers(square, repeats)
    point = raised(np.array(place) @ cell / repeats, above)
    shifts = np.array([[0, 0], [3, -2]]) @ cell
    names = [site_type(point + raised(shift, 0.0), top, cell, second) for shift in shifts]
    assert names == [named, named]
    assert site_type(turned(point, 0.4), turned(top, 0.4), turned(cell, 0.4), turned(second, 0.4)) == named
    assert site_type(point, top, cell) == {"hcp": "hollow", "fcc": "hollow"}.get(named, named)


def test_the_tolerance_counts_in_three_dimensions():
    cell, top, _ = layers(False, 2)
    high, low = np.array([[EDGE / 2 + 0.15, 0.0, 2.0], [EDGE / 2 + 0.15, 0.0, 0.1]])
    assert site_type(high, top, cell) == "bridge"  # 0.17 Angstrom farther from one of the two
    assert site_type(low, top, cell) == "top"  # 0.30
    assert site_type(low, top, cell, tolerance_angstrom=0.35) == "bridge"


def test_every_sample_has_a_nearest_site_across_the_border():
    sites = np.array([[0.1, 0.1, 1.0], [2.0, 2.0, 1.0]])
    samples = np.array([[3.9, 4.1, 1.0], [2.0, 2.0, 3.0], [-2.0, 6.3, 1.4]])
    number, distance = nearest_site(samples, sites, 4 * np.eye(2))
    np.testing.assert_array_equal(number, [0, 1, 1])
    np.testing.assert_allclose(distance, [0.2, 2.0, 0.5])
    cell = 4 * np.eye(2)
    assert site_precision(samples, sites, cell, within_angstrom=0.3) == pytest.approx(1 / 3)
    assert site_rmsd_angstrom(samples, sites, cell) == pytest.approx(np.sqrt((0.04 + 4.0 + 0.25) / 3))
    assert site_rmsd_angstrom(samples, sites, cell, 1.0) == pytest.approx(np.sqrt((0.04 + 0.25) / 2))
    assert np.isnan(site_rmsd_angstrom(samples, sites, cell, 0.1))


def test_a_sample_that_is_nan_is_near_nothing_and_shows():
    sites, cell = np.array([[0.0, 0.0, 1.0]]), 4 * np.eye(2)
    samples = np.array([[0.0, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    assert site_precision(samples, sites, cell) == 0.5
    assert np.isnan(site_rmsd_angstrom(samples, sites, cell))
    assert site_coverage(samples, sites, cell, 1) == 0.5


def test_sites_cover_themselves_group_by_group():
    sites = hollows()
    elsewhere = sites + np.array([0.0, 0.0, 0.6])
    samples = np.concatenate([sites, elsewhere, sites[[0, 0]], sites[::-1], sites[:1]])
    assert site_coverage(samples, sites, HEXAGONAL, 1) == np.mean([1.0, 0.0, 0.5, 1.0])
    assert site_coverage(samples, sites, HEXAGONAL, 2) == 1.0
    assert site_coverage(samples, sites, HEXAGONAL, 1, within_angstrom=0.7) == 0.875


def test_sites_are_covered_by_what_relaxes_to_them_group_by_group():
    visits = np.array([0, 1, 1, 1, -1, 0, -1, -1, 1])  # the last one fills no group
    assert site_coverage_relaxed(visits, 2, 1) == np.mean([1.0, 0.5, 0.5, 0.0])
    assert site_coverage_relaxed(visits, 2, 2) == np.mean([1.0, 0.5])
    with pytest.raises(ValueError, match="got 5 for each of 2 sites"):
        site_coverage_relaxed(visits, 2, 5)


@pytest.mark.parametrize(("cell", "per_site"), [(2 * HEXAGONAL, 1), (SKEWED * 1.5, 3), (5 * np.eye(2), 10)])
def test_random_placement_covers_what_chance_covers(cell, per_site):
    generator = np.random.default_rng(2)
    sites = random_placement(4, cell, (1.5, 1.5), generator)
    area = abs(np.linalg.det(cell))
    disc, ball = np.pi * 0.5**2 / area, 4 / 3 * np.pi * 0.5**3 / (2.0 * area)
    for heights, share in (((1.5, 1.5), disc), ((0.5, 2.5), ball)):
        drawn = random_placement(6000 * per_site, cell, heights, generator)
        expected = 1 - (1 - share) ** (4 * per_site)
        # 1,500 groups of four sites that are covered or not.
        error = np.sqrt(expected * (1 - expected) / 6000)
        assert site_coverage(drawn, sites, cell, per_site) == pytest.approx(expected, abs=5 * error)


def test_random_placement_fills_cell_and_heights():
    drawn = random_placement(4000, SKEWED, (1.0, 3.0), np.random.default_rng(3))
    whole = np.column_stack([drawn[:, :2] @ np.linalg.inv(SKEWED), (drawn[:, 2] - 1.0) / 2.0])
    assert whole.min() >= 0 and whole.max() <= 1
    np.testing.assert_allclose(whole.mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(np.cov(whole.T), np.eye(3) / 12, atol=0.01)
    np.testing.assert_array_equal(
        drawn[:10], random_placement(10, SKEWED, (1.0, 3.0), np.random.default_rng(3))
    )


def test_anomalies_count_from_the_uppermost_layer():
    found = anomalies(np.array([11.0, 13.6, 14.0, 9.6, 9.4]), 10.0)
    assert found == {"desorbed_fraction": 0.4, "buried_fraction": 0.2}
    assert anomalies(np.array([11.0, np.nan]), 10.0, 0.5, -1.0) == {
        "desorbed_fraction": 0.5,
        "buried_fraction": 0.0,
    }


NO_POINTS = np.zeros((0, 3))
POINT = np.zeros((1, 3))
SMALL, BROKEN, GOOD = np.zeros((3, 8)), np.full((8, 8), np.nan), np.zeros((8, 8))
GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: shortest(POINT, np.ones((2, 2))), "expected two in-plane lattice vectors that span an area"),
        (lambda: shortest(POINT, np.full((2, 2), np.nan)), "expected two in-plane lattice vectors"),
        (lambda: minima(SMALL, SMALL, HEXAGONAL), r"at least 4 points along both axes; got \(3, 8\)"),
        (lambda: minima(BROKEN, GOOD, HEXAGONAL), "finite map; got NaN or infinity at 64 points"),
        (lambda: minima(GOOD, BROKEN, HEXAGONAL), "finite map; got NaN or infinity at 64 points"),
        (lambda: minima(GOOD + np.inf, GOOD, HEXAGONAL), "finite map"),
        (lambda: basins(BROKEN, POINT, HEXAGONAL), "finite map"),
        (lambda: basins(GOOD, NO_POINTS, HEXAGONAL), "at least one site; got none"),
        (lambda: populations(BROKEN, np.zeros((8, 8), int), 1), "log weights below infinity.*got a maximum of nan"),
        (lambda: populations(GOOD + np.inf, np.zeros((8, 8), int), 1), "got a maximum of inf"),
        (lambda: populations(GOOD - np.inf, np.zeros((8, 8), int), 1), "got a maximum of -inf"),
        (lambda: site_type(POINT[0], NO_POINTS, HEXAGONAL), "at least one atom in the uppermost layer"),
        (lambda: nearest_site(NO_POINTS, POINT, HEXAGONAL), "at least one sample; got none"),
        (lambda: nearest_site(POINT, NO_POINTS, HEXAGONAL), "at least one site; got none"),
        (lambda: site_precision(NO_POINTS, POINT, HEXAGONAL), "at least one sample; got none"),
        (lambda: site_rmsd_angstrom(NO_POINTS, POINT, HEXAGONAL), "at least one sample; got none"),
        (lambda: site_coverage(POINT, POINT, HEXAGONAL, 2), "1 to 1 samples, .*got 2 for each of 1 sites"),
        (lambda: site_coverage(POINT, POINT, HEXAGONAL, 0), "got 0 for each of 1 sites"),
        (lambda: site_coverage(POINT, NO_POINTS, HEXAGONAL, 1), "got 1 for each of 0 sites"),
        (lambda: anomalies(np.zeros(0), 0.0), "at least one sample; got none"),
        (lambda: random_placement(1, HEXAGONAL, (2.0, 1.0), GENERATOR), r"heights \(low, high\); got \(2.0, 1.0\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_told_in_one_line(call, told):
    with pytest.raises(ValueError, match=told) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("points", [12, 24, 48])
def test_saddles_between_soft_hollows_are_no_sites_in_a_cell_of_60_degrees(points):
    """fcc and hcp hollows with bridges just above them: of these the way down runs between the neighbours of a grid point."""
    cell = 2.55 * np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    a, b = np.meshgrid(*[np.arange(points) / points] * 2, indexing="ij")
    waves = sum(np.cos(2 * np.pi * phase) for phase in (a, b, a + b))
    second = sum(np.cos(2 * np.pi * phase) for phase in (a - b, 2 * a + b, a + 2 * b))
    energies = (
        0.02 * waves + 0.0003 * sum(np.sin(2 * np.pi * phase) for phase in (a, b, -a - b)) + 0.0022 * second
    )
    found = minima(energies, np.ones_like(energies), cell)
    assert len(found.energies_eV) == 2


def test_samples_are_in_the_basin_above_whose_points_they_are():
    basins = np.array([[0, 0, 1, -1], [0, 0, 1, 1], [2, 2, 1, 1], [2, 2, 2, -1]])
    places = np.array([[0.0, 0.0], [0.12, 0.51], [0.49, -0.02], [0.99, 0.76], [-0.01, 1.74], [2.26, 3.26]])
    samples = np.column_stack([places @ SKEWED, [1.0, -3.0, 2.0, 0.0, 9.0, 1.0]])
    assert visited(samples, basins, SKEWED).tolist() == [0, 1, 2, -1, -1, 0]
