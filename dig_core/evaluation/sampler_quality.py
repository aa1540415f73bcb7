"""Quality of samples against the number of network evaluations, for several solvers."""

from collections.abc import Mapping

import numpy as np

from dig_core.evaluation import landscape as landscapes
from dig_core.evaluation import statistics
from dig_core.evaluation.energy_distributions import EnergyReference, energy_reference
from dig_core.evaluation.tica import SlowCoordinates
from dig_core.evaluation.torsions import torsion_angles

# Few structures per solver would leave most bins of the landscape's own grid empty.
BINS = 25
SEED = 0
NOISE_FLOOR = "noise_floor"
Arrays = Mapping[str, np.ndarray]
Row = dict[str, float | str]
ENERGY = "energy_wasserstein_kJ_per_mol"
DIVERGENCE = f"jensen_shannon_nats_{BINS}_bins"


def sampler_quality(comparison: Arrays, evaluation: Arrays, repeats: int) -> list[Row]:
    """One row per solver and number of steps, and one for the noise floor (as many training frames).

    Args:
        comparison: `{solver}_{steps}.positions_angstrom` [n, atoms, 3], `.evaluations`, `.seconds` (CPU) and,
            where known, `.potential_energy_kJ_per_mol`.
        evaluation: arrays of the evaluation (held-out reference, training frames, coordinates).
        repeats: bootstrap replicates of each standard error.

    Returns:
        Rows with `solver, steps, evaluations` (per structure), `seconds_per_1000_structures`, the
        Wasserstein distance of energies in kJ/mol and the Jensen-Shannon divergence in nats on 25 x 25 bins,
        each with `_standard_error`.
    """
    generator, ending = np.random.default_rng(SEED), ".positions_angstrom"
    names = [key.removesuffix(ending) for key in comparison if key.endswith(ending)]
    rows = [_solver_row(name, comparison, evaluation, repeats, generator) for name in names]
    rows.sort(key=lambda row: (row["solver"], row["steps"]))
    count = max(len(comparison[name + ending]) for name in names)
    return [*rows, _noise_floor_row(count, evaluation, repeats, generator)]


def plane_points(positions: np.ndarray, evaluation: Arrays) -> np.ndarray:
    """Points [frames, 2] of structures (Angstrom) in the plane of the evaluation's landscape."""
    torsions = torsion_angles(positions, evaluation["torsion_atoms"])
    if evaluation["is_torsion_plane"]:
        return torsions
    slow = (evaluation[f"tica_{name}"] for name in ("mean", "loadings", "timescales_frames"))
    return SlowCoordinates(*slow, int(evaluation["tica_lag_frames"])).project(torsions)


def _solver_row(
    name: str, comparison: Arrays, evaluation: Arrays, repeats: int, generator: np.random.Generator
) -> Row:
    own = {
        key.removeprefix(f"{name}."): value for key, value in comparison.items() if key.startswith(f"{name}.")
    }
    solver, steps = name.rsplit("_", 1)
    points, energies = (
        plane_points(own["positions_angstrom"], evaluation),
        own.get("potential_energy_kJ_per_mol"),
    )
    measure = _Measure(evaluation, len(points), energies is not None)

    def statistic(chosen: np.ndarray) -> dict[str, float]:
        """The numbers of the structures of these indices."""
        return measure(points[chosen], None if energies is None else energies[chosen])

    estimate = statistic(np.arange(len(points)))
    errors = statistics.bootstrap(statistic, len(points), repeats, generator)
    return {
        "solver": solver,
        "steps": float(steps),
        "evaluations": float(own["evaluations"]),
        "seconds_per_1000_structures": 1000.0 * float(own["seconds"]) / len(points),
        **estimate,
        **{f"{key}_standard_error": float(values.std(ddof=1)) for key, values in errors.items()},
    }


def _noise_floor_row(count: int, evaluation: Arrays, repeats: int, generator: np.random.Generator) -> Row:
    """Mean and spread over draws of as many frames from the training replica."""
    energies = evaluation.get("training.potential_energy_kJ_per_mol")
    measure = _Measure(evaluation, count, energies is not None)

    def draw() -> dict[str, float]:
        """The numbers of one draw of frames by weight."""
        chosen = statistics.draw_by_weight(evaluation["training.weights"], count, generator)
        return measure(evaluation["training.plane"][chosen], None if energies is None else energies[chosen])

    draws = [draw() for _ in range(max(2, min(repeats, 50)))]
    values: Row = {"solver": NOISE_FLOOR, "steps": np.nan, "evaluations": np.nan}
    for key in draws[0]:
        values[key] = float(np.mean([one[key] for one in draws]))
        values[f"{key}_standard_error"] = float(np.std([one[key] for one in draws], ddof=1))
    return values


class _Measure:
    """Distances of points and energies from the held-out reference."""

    def __init__(self, evaluation: Arrays, count: int, with_energies: bool):
        points, weights = evaluation["reference.plane"].astype(np.float64), evaluation["reference.weights"]
        temperature_K = float(evaluation["temperature_K"])
        periodic = bool(evaluation["is_torsion_plane"])
        edges = landscapes.torsion_edges(BINS) if periodic else landscapes.reference_edges(points, BINS)
        self.landscape = landscapes.landscape(points, edges, temperature_K, weights)
        self.energies: EnergyReference | None = None
        energies = evaluation.get("reference.potential_energy_kJ_per_mol")
        if with_energies and energies is not None:
            self.energies = energy_reference(energies, weights, count)

    def __call__(self, points: np.ndarray, energies: np.ndarray | None) -> dict[str, float]:
        reference = self.landscape
        edges = (reference.x_edges, reference.y_edges)
        own = landscapes.landscape(points, edges, reference.temperature_K)
        values = {DIVERGENCE: landscapes.jensen_shannon_nats(own, reference)}
        if self.energies is not None and energies is not None:
            values[ENERGY] = self.energies.scores(energies)[ENERGY]
        return values
