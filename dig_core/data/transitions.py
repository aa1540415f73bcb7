"""Known transitions of a protein between its structures, as others have simulated them."""

from collections.abc import Mapping
from typing import Any

import mdtraj
import numpy as np
from jaxtyping import Float

from dig_core.data.datasets import load, whole
from dig_core.data.protein_trajectories import corner_atoms
from dig_core.units import ANGSTROM_PER_NM


def transition_alphas(
    transition: Mapping[str, Any], protein: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "frames residues 3"]:
    """CA of the residues of a protein in every frame of a transition (Angstrom), by their numbers.

    Args:
        transition: `trajectory`, `topology` (paths), `selection` and `number_offset` of its residues.
        protein: `sequence` and `residue_indices` of its known structures.

    Raises:
        FileNotFoundError, ValueError: files that cannot be read, and residues that are not those of the protein.
    """
    trajectory = whole(load(mdtraj.load, transition["trajectory"], top=transition["topology"]))
    alphas = corner_atoms(trajectory.topology, transition, protein)[:, 1]
    return trajectory.xyz[:, alphas].astype(np.float64) * ANGSTROM_PER_NM
