"""Structures drawn along the probability flow of a molecule, and log densities of some of them and of held-out frames.

The law whose density is known is that of the flow: prior draws carried along the ODE to the minimal noise. The
samplers of `sampling` draw from another law: they are stochastic, and end with a denoised mean, hence sharper. What is
said of densities is therefore said of draws of its own.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from dig_core.diffusion.density_quadrature import log_density_by_quadrature
from dig_core.diffusion.divergence import Divergence, ExactDivergence, HutchinsonDivergence
from dig_core.diffusion.interpolation import decode
from dig_core.evaluation.statistics import draw_by_weight
from dig_core.runtime import progress
from dig_core.sampling import generators
from dig_core.systems.molecule import physical_filter
from dig_core.systems.molecule_density import flow_states
from dig_core.systems.molecule_model import FIELD

Arrays = dict[str, np.ndarray]
# Of a step, in units of the smallest noise: no more than the law itself is blurred by.
DRAW_TOLERANCE = 1e-2


def estimate_density(
    model: Any,
    molecule: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    energy: Callable | None,
    settings: Mapping[str, Any] | None,
) -> Arrays:
    """Draws of the flow, and log densities of the first ones in each state and of held-out frames.

    Densities are with respect to coordinates in Angstrom on the mean-free subspace of D = 3 atoms - 3 dimensions (`log p_A
    = log p_scaled - D ln(scale_angstrom)`), translations removed, all orientations counted.

    Args:
        energy: energy function in kJ/mol, or None: energies are left out.
        settings: `density` of a study.

    Returns:
        As described in results/README.md: `draws.*` for all draws, the rest for structures with a density.

    Raises:
        ValueError: the study has no `density`.
    """
    if settings is None:
        raise ValueError("expected density in the study; got null. Add it, or do not ask for log_density.npz")
    started = time.process_time()
    draws = flow_draws(model, settings)
    seconds_draws = time.process_time() - started
    states = flow_states(draws, molecule)
    chosen = first_of_each(states, settings["structures"])
    numbers = np.random.default_rng(settings["seed"])
    frames = draw_by_weight(reference["weights"], settings["reference_structures"], numbers)
    positions = np.concatenate([draws[chosen], reference["positions_angstrom"][frames]])
    of_all = {"positions_angstrom": draws, "state": states, "valid": physical_filter(draws, molecule).valid}
    own = {
        "positions_angstrom": positions,
        "state": flow_states(positions, molecule),
        "valid": physical_filter(positions, molecule).valid,
        "source": np.repeat(["drawn", "reference"], [len(chosen), len(frames)]),
        "index": np.concatenate([chosen, frames]),
    }
    for arrays in (of_all, own) if energy is not None else ():
        arrays["potential_energy_kJ_per_mol"] = energy(arrays["positions_angstrom"])[0]
    own |= log_densities(model, positions, settings)
    costs = {"seconds_draws": np.array(seconds_draws), "scale_angstrom": np.array(model.scale_angstrom)}
    return {f"draws.{key}": values for key, values in of_all.items()} | own | costs


def flow_draws(model: Any, settings: Mapping[str, Any]) -> Float[np.ndarray, "draws atoms 3"]:
    """Structures in Angstrom: draws of the prior, decoded along the probability flow to the minimal noise.

    Draw i follows from the seed and i; the steps are chosen for a batch, so it depends on the batch size within
    `DRAW_TOLERANCE` of the smallest noise (more where paths part).
    """
    parts = []
    for indices in _batches(settings["draws"], settings["batch_size"], "draws along the flow"):
        streams = generators(settings["seed"], indices)
        start = {
            field: own.prior(torch.zeros(len(indices), *model.shape[field], device=model.device), streams)
            for field, own in model.process.items()
        }
        state = decode(model.score, model.process, start, DRAW_TOLERANCE)
        parts.append(model.positions_angstrom({field: values.cpu() for field, values in state.items()}))
    return np.concatenate(parts)


def log_densities(
    model: Any, positions: Float[np.ndarray, "structures atoms 3"], settings: Mapping[str, Any]
) -> Arrays:
    """Log densities of structures (Angstrom), with errors and costs, all [structures]."""
    parts = []
    for indices in _batches(len(positions), settings["batch_size"], "log densities"):
        started = time.process_time()
        scaled = torch.as_tensor(positions[indices.start : indices.stop] / model.scale_angstrom)
        state = {FIELD: model.process[FIELD].projection(scaled.float()).to(model.device)}
        divergence = _divergence(settings["divergence"], settings["seed"], indices)
        found = log_density_by_quadrature(
            model.score, model.process, state, divergence, settings["tolerance"]
        )
        seconds = time.process_time() - started
        share = found.evaluations / found.evaluations.sum()
        parts.append(
            {
                "log_density_nats": found.log_density - _dimension(positions) * np.log(model.scale_angstrom),
                "standard_error_nats": found.standard_error,
                "change_nats": found.change,
                "evaluations": found.evaluations,
                "seconds": seconds * share,
            }
        )
    return {key: np.concatenate([part[key].cpu().numpy() for part in parts]) for key in parts[0]}


def first_of_each(states: np.ndarray, count: int) -> Int[np.ndarray, " chosen"]:
    """Indices of `count` draws: the first ones of each state, in proportion, but a quarter at least while there are some.

    Within a state they are independent draws of it, whatever the others are.
    """
    names, sizes = np.unique(states, return_counts=True)
    least = np.minimum(sizes, count // 4 if len(names) < 4 else count // len(names))
    wanted = np.minimum(sizes, np.maximum(least, np.floor(count * sizes / sizes.sum()).astype(int)))
    # The largest state gives way, or fills up.
    largest = int(np.argmax(sizes))
    wanted[largest] = min(sizes[largest], count - (wanted.sum() - wanted[largest]))
    chosen = [np.flatnonzero(states == name)[:size] for name, size in zip(names, wanted, strict=True)]
    return np.sort(np.concatenate(chosen))


def _dimension(positions: np.ndarray) -> int:
    return 3 * (positions.shape[1] - 1)


def _divergence(settings: Mapping[str, Any], seed: int, indices: range) -> Divergence:
    if settings["kind"] == "exact":
        return ExactDivergence()
    # Other streams than those of the draws.
    return HutchinsonDivergence(generators(seed + 1, indices), settings["probes"])


def _batches(count: int, size: int, label: str):
    ranges = [range(first, min(first + size, count)) for first in range(0, count, size)]
    return progress(ranges, f"{label}, batches", len(ranges))
