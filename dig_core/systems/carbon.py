"""Kind `carbon`: crystals of any elements; fractional coordinates on the torus, and a symmetric lattice.

Here the parts meet: files and reduced cells, process and network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from dig_core.crystals import Crystals
from dig_core.data.crystal_files import read_crystals
from dig_core.evaluation.matching import matcher, prototypes, split_by_prototype
from dig_core.systems.carbon_denoising import denoising_loss
from dig_core.systems.carbon_model import network, trained_model

# What a kind of system offers to the jobs; see dig_core.systems.
__all__ = ["accelerated", "denoising_loss", "network", "prepared", "trained_model"]


def accelerated(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The network as it is: small crystals gain nothing from lower precision."""
    return model


def prepared(files: Sequence[str | Path], data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All crystals of the files in reduced cells, with their prototypes, and which of them are held out.

    Returns:
        `counts` [crystals], `fractional` [atoms, 3], `atomic_numbers` [atoms], `lattices_angstrom` [crystals, 3, 3],
        `prototypes` [crystals], `held_out` [crystals] and `weights` [crystals], which are equal.

    Raises:
        ValueError: a crystal that is none, or of other elements; none with few enough atoms.
    """
    found = read_crystals(files, data["elements"])
    whole = [structure for structure in found if len(structure) <= data["largest_atoms"]]
    if not whole:
        raise ValueError(
            f"expected crystals of at most {data['largest_atoms']} atoms; got {len(found)} larger ones. Raise data.largest_atoms"
        )
    crystals, numbers = Crystals.of(whole), prototypes(whole, matcher())
    held_out = np.zeros(len(whole), dtype=bool)
    held_out[split_by_prototype(numbers, data["held_out_share"], data["seed"])["held_out"]] = True
    print(f"{len(whole)} crystals of {numbers.max() + 1} prototypes; {held_out.sum()} held out", flush=True)
    return vars(crystals) | {
        "prototypes": numbers,
        "held_out": held_out,
        "weights": np.ones(len(whole)),
    }
