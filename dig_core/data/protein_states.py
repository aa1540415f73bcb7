"""Several known structures of one protein: the residues that all of them have."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dig_core.data.proteins import Protein, read_protein


def common_residues(
    states: Mapping[str, Mapping[str, Any]],
) -> tuple[Protein, Float[np.ndarray, "states residues 3 3"]]:
    """The protein of the residues that all structures have, by their numbers, and N, CA and C of these in each structure (Angstrom).

    Args:
        states: by name `pdb` (path), `chain` and `residues`, as `read_protein` takes them.

    Raises:
        ValueError: a file that cannot be used, fewer than two residues in common, or different ones at the same number.
    """
    known = {name: read_protein(dict(state)) for name, state in states.items()}
    numbers = reduce(np.intersect1d, [own.residue_indices for own in known.values()])
    if len(numbers) < 2:
        ranges = ", ".join(
            f"{own.residue_indices[0]} to {own.residue_indices[-1]} in {name}" for name, own in known.items()
        )
        raise ValueError(
            f"expected two residues or more with the same numbers in all states; got {ranges}. Renumber a file, or correct `residues:`"
        )
    found = {name: _selected(own, numbers) for name, own in known.items()}
    _expect_one_sequence(found)
    corners = np.stack([own.backbone_angstrom for own in found.values()])
    return replace(next(iter(found.values())), backbone_angstrom=corners[0]), corners


def _selected(protein: Protein, numbers: Int[np.ndarray, " residues"]) -> Protein:
    """The residues with these numbers."""
    chosen = np.flatnonzero(np.isin(protein.residue_indices, numbers))
    return Protein(
        sequence="".join(protein.sequence[i] for i in chosen),
        residue_indices=protein.residue_indices[chosen],
        chain_indices=protein.chain_indices[chosen],
        backbone_angstrom=protein.backbone_angstrom[chosen],
    )


def _expect_one_sequence(states: Mapping[str, Protein]) -> None:
    (first, own), *others = states.items()
    for name, other in others:
        pairs = zip(own.sequence, other.sequence, own.residue_indices, strict=True)
        for letter, found, number in pairs:
            if letter != found:
                raise ValueError(
                    f"expected the same residues in all states; got {letter} at {number} in {first} and {found} in {name}."
                    " Use structures of one sequence, or leave residues out by `residues:`"
                )
