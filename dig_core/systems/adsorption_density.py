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
        `log_density_nats` and `heights_angstrom` [points, points], the largest over heights and where it is (above the uppermost atom of the slab);
        `change_nats` (what the last doubling of the steps changed at most) and `seconds_density` (CPU).
    """
    started = time.process_time()
    first, orbit = distinct_points(grid(points), symmetry_operations(slab))
    places = torch.as_tensor(grid(points)[first] @ cell_in_plane(slab))
    own = _with_heights(places, likely_heights(model, places), settings)
    found, changes = [], []
    batches = own.split(settings["batch_size"])
    for batch in progress(batches, "log densities, batches", len(batches)):
        logs, change = log_densities(model, batch, settings["tolerance"])
        found.append(logs)
        changes.append(change)
    logs = torch.cat(found).reshape(len(places), -1)
    best = logs.argmax(dim=1)
    heights = (
        own[:, 0, 2].reshape(logs.shape).gather(1, best[:, None])[:, 0]
        - model.surface.top_angstrom.double().cpu()
    )
    return {
        "log_density_nats": logs.amax(dim=1).numpy()[orbit].reshape(points, points),
        "heights_angstrom": heights.numpy()[orbit].reshape(points, points),
        "change_nats": np.array(max(changes)),
        "seconds_density": np.array(time.process_time() - started),
    }


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


def _with_heights(
    places: Float[Tensor, "points 2"], centres: Float[Tensor, " points"], settings: Mapping[str, Any]
) -> Float[Tensor, "structures 1 3"]:
    """Above every point so many heights about its centre, side by side."""
    count = settings["heights"]
    steps = (torch.arange(count) - 0.5 * (count - 1)) * settings["height_step_angstrom"]
    heights = centres[:, None] + steps
    return torch.cat([places[:, None].expand(-1, count, -1), heights[..., None]], dim=-1).reshape(-1, 1, 3)
