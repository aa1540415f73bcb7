"""The density over a surface: against one that is known, and against what every density integrates to."""

import math

import numpy as np
import pytest
import torch

from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.data.surfaces import slab
from dig_core.systems.adsorption_density import density_map, likely_heights, log_densities
from dig_core.systems.adsorption_energies import grid
from dig_core.systems.adsorption_model import (
    HEIGHT,
    PLANE,
    AdsorptionModel,
    Heights,
    Surface,
    network,
    trained_model,
)

MODEL = {
    "layers": 1, "slab_layers": 1, "width": 16, "functions": 8, "cutoff_angstrom": 5.0,
    "height_mean_angstrom": 1.0, "height_spread_angstrom": 0.3,
}  # fmt: skip
PROCESS = {"plane": {"sigma_min": 0.2, "sigma_max": 2.5}, "height": {"sigma_min": 0.3, "sigma_max": 20.0}}
DENSITY = {"heights": 5, "height_step_angstrom": 0.1, "tolerance": 0.02, "batch_size": 200}
COPPER = {"composition": {"Cu": 1}, "structure": "fcc", "miller": [1, 1, 1], "lattice_angstrom": 3.6}


def arrays(surface: dict = COPPER) -> dict[str, np.ndarray]:
    own = slab(surface)
    return {
        "slab_angstrom": own.positions, "slab_numbers": own.numbers, "layers": own.get_tags(),
        "lattice_angstrom": np.array(own.cell), "adsorbed_numbers": np.array([8]),
    }  # fmt: skip


def at_one_place(place_angstrom: list[float], height_angstrom: float, rise: float = 0.0) -> AdsorptionModel:
    """The exact score of an atom that is always at the same place; with `rise` one whose height depends on where it is, without noise of the plane."""
    surface, heights = Surface.from_arrays(arrays()), Heights(1.0, 0.3)
    process = surface.process(PROCESS)
    top = surface.top_angstrom.item()
    centre = surface.state(torch.tensor([[[*place_angstrom, top + height_angstrom]]]), heights)

    def score(state, time):
        plane, height = (process[field] for field in (PLANE, HEIGHT))
        sigma = plane.sigma(time)[:, None, None]
        apart = plane.cartesian(state[PLANE] - centre[PLANE])
        # Where noise is large the place in the plane says nothing of the height.
        own = centre[HEIGHT] + rise * state[PLANE][..., :1] * (sigma < 1.0)
        return {
            PLANE: plane.kernel_score(apart, sigma),
            HEIGHT: (own - state[HEIGHT]) / height.sigma(time)[:, None, None] ** 2,
        }

    return AdsorptionModel(score, process, surface, heights, {PLANE: (1, 2), HEIGHT: (1, 1)}, "cpu")


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_density_of_an_atom_at_one_place_is_its_smallest_noise(double):
    """The wrapped normal distribution in the plane, and the normal one of the height, per cubic Angstrom."""
    place, height = [0.3, 0.2], 1.0  # the mean, so that the process ends with its prior
    model = at_one_place(place, height)
    top = model.surface.top_angstrom.item()
    moves = 0.3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    positions = torch.tensor([*place, top + height]) + moves * torch.tensor([1.0, 1.0, 0.3])
    found, change = log_densities(model, positions[:, None], 0.01)
    plane, sigma = model.process[PLANE], 0.3 * 0.3  # of the height, in Angstrom
    apart = positions - torch.tensor([*place, top + height])
    known = plane.kernel_log_density(apart[:, :2], torch.full((20, 1), 0.2))
    known = known - 0.5 * (apart[:, 2] / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
    assert change <= 0.01
    torch.testing.assert_close(found, known, atol=0.03, rtol=0)


def test_heights_are_led_to_where_the_atom_is(double):
    """Which differs from place to place, as the score tells at small noise only."""
    model = at_one_place([0.3, 0.2], 1.45, rise=2.0)
    fractional = torch.rand(10, 2, generator=torch.Generator().manual_seed(2))
    places = model.process[PLANE].cartesian(fractional)
    expected = 1.45 + 0.3 * 2.0 * fractional[:, 0] + model.surface.top_angstrom
    torch.testing.assert_close(likely_heights(model, places), expected, atol=1e-3, rtol=0)


def shaken(surface: dict = COPPER, process: dict = PROCESS) -> AdsorptionModel:
    """A network with weights by lot."""
    torch.manual_seed(0)
    model = network(MODEL)
    with torch.no_grad():
        for own in model.parameters():
            own.add_(0.1 * torch.randn_like(own))
    return trained_model(
        {"settings": {"model": MODEL, "process": process}, "weights": model.state_dict()}, arrays(surface)
    )


def test_the_density_of_any_network_has_an_integral_of_one(double):
    """Over the cell and all heights, on a grid as fine as the smallest noise, 0.35 and 0.24 Angstrom."""
    process = {"plane": {"sigma_min": 0.35, "sigma_max": 1.5}, "height": {"sigma_min": 0.8, "sigma_max": 4.0}}
    surface, points, step = COPPER | {"repeat": (1, 1)}, 6, 0.4
    model, own = shaken(surface, process), slab(surface)
    cell = np.array(own.cell)[:2, :2]
    first, orbit = distinct_points(grid(points), symmetry_operations(own))
    places, weights = grid(points)[first] @ cell, np.bincount(orbit)
    heights = np.arange(-2.2, 4.2, step) + own.positions[:, 2].max()
    all_places = [[*place, height] for place in places for height in heights]
    logs, _ = log_densities(model, torch.tensor(all_places)[:, None], 0.05)
    densities = logs.exp().numpy().reshape(len(first), -1)
    volume = abs(np.linalg.det(cell)) / points**2 * step
    assert (weights @ densities).sum() * volume == pytest.approx(1.0, abs=0.01)
    assert densities.std() > 0.3 * densities.mean()  # and it is not flat


def test_a_map_has_the_symmetry_of_the_surface_and_the_densities_of_its_points(double):
    model, surface = shaken(), slab(COPPER)
    found = density_map(model, surface, 12, DENSITY)
    logs, heights = found["log_density_nats"], found["heights_angstrom"]
    assert np.ptp(logs) > 0.1
    for i, j in ((1, 2), (8, 11), (3, 0)):  # the second is the first, turned and in the next surface cell
        place = np.array([i, j]) / 12 @ np.array(surface.cell)[:2, :2]
        position = np.array([*place, heights[i, j] + surface.positions[:, 2].max()])
        own, _ = log_densities(model, torch.as_tensor(position)[None, None], 0.02)
        assert own.item() == pytest.approx(logs[i, j], abs=0.05)
