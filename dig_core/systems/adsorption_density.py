"""The log density of an adsorbed atom over the cell of a slab: along the probability flow, at the most likely height above every point."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ase import Atoms
from jaxtyping import Float
from torch import Tensor

from dig_core.data.slabs import cell_in_plane
from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.diffusion.processes import denoised
from dig_core.diffusion.rotation_density import log_density_of_bodies
from dig_core.runtime import progress
from dig_core.systems.adsorption_energies import grid
from dig_core.systems.adsorption_model import HEIGHT, PLANE, AdsorptionModel

LEVELS = 60  # of noise, at which a height is led to where atoms are


def density_map(
    model: AdsorptionModel, slab: Atoms, points: int, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """At so many points along each axis of the surface cell, of which symmetry leaves some.

    The density is one of positions in Angstrom, blurred by the smallest noise of the process (`rotation_density.log_density_of_bodies`, exact divergence;
    3 dimensions for the given slab).

    Args:
        settings: `density` of a study.

    Returns:
        All [points, points]: `log_density_nats`, the largest over heights, `heights_angstrom`, where that is (above the uppermost atom of the slab), and
        `at_edge`, whether there is none above or below; `change_nats` (what the last doubling of the steps changed at most) and `seconds_density` (CPU).
    """
    started = time.process_time()
    first, orbit = distinct_points(grid(points), symmetry_operations(slab))
    places = torch.as_tensor(grid(points)[first] @ cell_in_plane(slab))
    heights = _around(likely_heights(model, places), settings)
    logs, change = _in_batches(model, places, heights, settings)
    best = logs.argmax(dim=1)
    found = {
        "log_density_nats": logs.amax(dim=1),
        "heights_angstrom": heights.gather(1, best[:, None])[:, 0] - slab.positions[:, 2].max(),
        "at_edge": (best == 0) | (best == heights.shape[1] - 1),
    }
    maps = {name: values.numpy()[orbit].reshape(points, points) for name, values in found.items()}
    seconds = time.process_time() - started
    return maps | {"change_nats": np.array(change), "seconds_density": np.array(seconds)}


def _in_batches(
    model: AdsorptionModel,
    places: Float[Tensor, "points 2"],
    heights: Float[Tensor, "points heights"],
    settings: Mapping[str, Any],
) -> tuple[Float[Tensor, "points heights"], float]:
    """Log densities, and the largest change of any."""
    above = places[:, None].expand(-1, heights.shape[1], -1)
    positions = torch.cat([above, heights[..., None]], dim=-1).reshape(-1, 1, 3)
    batches = positions.split(settings["batch_size"])
    found = [
        log_densities(model, own, settings["tolerance"])
        for own in progress(batches, "log densities, batches", len(batches))
    ]
    return torch.cat([logs for logs, _ in found]).reshape(heights.shape), max(change for _, change in found)


def log_densities(
    model: AdsorptionModel, positions: Float[Tensor, "batch 1 3"], tolerance: float
) -> tuple[Float[Tensor, " batch"], float]:
    """Of positions in Angstrom, per cubic Angstrom, in nats; and how far they may be from those of smaller steps."""
    state = _state(model, positions)
    found = log_density_of_bodies(model.score, model.process, state, tolerance=tolerance)
    logs = found.log_density.cpu() - np.log(model.heights.spread_angstrom)
    return logs, found.change.max().item()


@torch.no_grad()
def likely_heights(model: AdsorptionModel, places: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
    """In Angstrom along z: the mean height above these points (Angstrom), denoised at ever less noise while the point in the plane stays."""
    start = (
        torch.full_like(places[:, :1], model.heights.mean_angstrom)
        + model.surface.top_angstrom.double().cpu()
    )
    state = _state(model, torch.cat([places, start], dim=1)[:, None])
    leading = model.process[PLANE]
    for own in torch.linspace(leading.maximal_time, leading.minimal_time, LEVELS).tolist():
        times = torch.full((len(places),), own, device=model.device)
        state[HEIGHT] = denoised(model.score, model.process, state, times)[HEIGHT]
    return torch.as_tensor(model.positions_angstrom({f: x.cpu() for f, x in state.items()}))[:, 0, 2]


def _state(model: AdsorptionModel, positions: Float[Tensor, "batch 1 3"]) -> dict[str, Tensor]:
    return model.surface.state(positions.to(model.device), model.heights)


def _around(
    centres: Float[Tensor, " points"], settings: Mapping[str, Any]
) -> Float[Tensor, "points heights"]:
    """So many heights about each centre."""
    count = settings["heights"]
    steps = (torch.arange(count) - 0.5 * (count - 1)) * settings["height_step_angstrom"]
    return centres[:, None] + steps
