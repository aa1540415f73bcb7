"""Frames of the pre-training that stay in the mix while those of a study train, with what each set is worth."""

from collections.abc import Mapping

import numpy as np

from dig_core.evaluation.statistics import kish_effective_size

Arrays = Mapping[str, np.ndarray]
PER_FRAME = ("positions_angstrom", "forces_kJ_per_mol_angstrom")


def joined(first: Arrays, second: Arrays) -> dict[str, np.ndarray]:
    """Positions, weights and, where both have them, forces; each set with a share in proportion to its effective size (Kish)."""
    sizes = [kish_effective_size(frames["weights"]) for frames in (first, second)]
    weights = [
        frames["weights"] / frames["weights"].sum() * size / sum(sizes)
        for frames, size in zip((first, second), sizes, strict=True)
    ]
    names = [name for name in PER_FRAME if name in first and name in second]
    both = {name: np.concatenate([first[name], second[name]]) for name in names}
    return both | {"weights": np.concatenate(weights)}


def with_kept(dataset: Arrays, kept: Mapping[str, Arrays]) -> dict[str, np.ndarray]:
    """A dataset, `{target}.{array}`, whose targets are joined with the structures that are kept from the pre-training."""
    changed = {}
    for target, structures in kept.items():
        names = [name for name in (*PER_FRAME, "weights") if f"{target}.{name}" in dataset]
        own = {name: dataset[f"{target}.{name}"] for name in names}
        changed |= {f"{target}.{name}": x for name, x in joined(own, structures).items()}
    return {**dataset, **changed}
