"""What a path between known structures is worth beside a known transition: how near they come to one another.

Distances are those of CA after superposition. Every number of the latent path stands beside that of the straight one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from dig_core.data.transitions import transition_alphas
from dig_core.evaluation.proteins import ca_rmsd
from dig_core.systems.protein_path import SERIES, path_metrics
from dig_core.systems.protein_states import Compared, alphas_of, known_alphas

Arrays = Mapping[str, np.ndarray]
Alphas = Float[np.ndarray, "frames residues 3"]


def evaluate_path(paths: Arrays, protein: Arrays, transition: Mapping[str, Any] | None) -> Compared:
    """Metrics of a path of `protein_path.interpolate_states`, with those of its comparison with a transition where one is known."""
    if transition is None:
        return Compared(path_metrics(paths), {})
    compared = along_transition(paths, protein, transition_alphas(transition, protein))
    biased = {"transition.biased": np.array(transition["biased"])}
    return Compared(path_metrics(paths) | compared.metrics, compared.arrays | biased)


def along_transition(paths: Arrays, protein: Arrays, frames: Alphas) -> Compared:
    """How near points of paths come to the frames of a transition (Angstrom).

    Returns:
        Metrics: mean and largest distance of a point from the frame nearest to it, for both paths; how near the frames come to both ends. Arrays: `transition.rmsd_to_ends_angstrom` [frames, 2].
    """
    names = [str(name) for name in paths["state_names"]]
    ends = np.stack([ca_rmsd(frames, known_alphas(protein)[name]) for name in names], axis=1)
    metrics = {"transition_frames": len(frames)}
    for name, away in zip(names, ends.T, strict=True):
        metrics[f"transition_best_rmsd_{name}_angstrom"] = float(away.min())
    for series, suffix in SERIES.items():
        points = alphas_of(paths[f"{series}_positions_angstrom"], protein)
        nearest = np.array([ca_rmsd(frames, point).min() for point in points])
        metrics[f"path_transition_rmsd_mean_angstrom{suffix}"] = float(nearest.mean())
        metrics[f"path_transition_rmsd_max_angstrom{suffix}"] = float(nearest.max())
    return Compared(metrics, {"transition.rmsd_to_ends_angstrom": ends})
