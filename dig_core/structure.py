"""The descriptor of a molecule or a protein as arrays: what the network is told about a system besides its structure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class MolecularGraph:
    """Molecular graphs, padded to the same number of atoms. The leading dimension is 1 where all structures share a graph.

    Lengths are in units of the data's standard deviation, as the network's positions are.
    """

    atoms: Int[Tensor, "graphs atoms features"]  # see data/features.py: ATOM_FEATURES
    pairs: Int[Tensor, "graphs atoms atoms 2"]  # bonds on the shortest path, bond type
    bounds: Float[Tensor, "graphs atoms atoms 2"]  # shortest and longest distance by distance geometry
    mask: Bool[Tensor, "graphs atoms"]  # False for padding

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], scale_angstrom: float) -> "MolecularGraph":
        """One graph from the arrays of `molecular_features`, lengths divided by the data's standard deviation."""
        atoms = torch.as_tensor(arrays["atom_features"], dtype=torch.long)
        bounds = torch.as_tensor(
            arrays["distance_bounds_angstrom"] / scale_angstrom, dtype=torch.get_default_dtype()
        )
        pairs = torch.as_tensor(arrays["pair_features"], dtype=torch.long)
        return cls(atoms[None], pairs[None], bounds[None], torch.ones(1, len(atoms), dtype=torch.bool))

    def to(self, device: str | torch.device) -> "MolecularGraph":
        """The same graphs on another device."""
        return MolecularGraph(*(getattr(self, f.name).to(device) for f in fields(self)))


RESIDUES = "ARNDCQEGHILKMFPSTWYV"  # the order of AlphaFold
UNKNOWN_RESIDUE = len(RESIDUES)  # X


@dataclass(frozen=True)
class ResidueGraph:
    """Sequences of residues, padded to the same length. The leading dimension is 1 where all structures share a sequence."""

    residues: Int[Tensor, "graphs residues"]  # index into RESIDUES, 20 for any other
    indices: Int[
        Tensor, "graphs residues"
    ]  # places in the sequence, with gaps where residues are missing; distinct in a chain
    chains: Int[Tensor, "graphs residues"]
    single: (
        Float[Tensor, "graphs residues features"] | None
    )  # embeddings made elsewhere, AlphaFold's for instance
    pair: Float[Tensor, "graphs residues residues pair_features"] | None
    mask: Bool[Tensor, "graphs residues"]  # False for padding

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ResidueGraph":
        """One sequence from `residue_types`, `residue_indices`, `chain_indices`, and `single_embedding`, `pair_embedding` if there are any."""
        keys = ("residue_types", "residue_indices", "chain_indices")
        sequence = [torch.as_tensor(arrays[key], dtype=torch.long)[None] for key in keys]
        embeddings = [
            torch.as_tensor(arrays[key], dtype=torch.get_default_dtype())[None] if key in arrays else None
            for key in ("single_embedding", "pair_embedding")
        ]
        return cls(*sequence, *embeddings, torch.ones_like(sequence[0], dtype=torch.bool))

    def to(self, device: str | torch.device) -> "ResidueGraph":
        """The same sequences on another device."""
        values = (getattr(self, f.name) for f in fields(self))
        return ResidueGraph(*(value if value is None else value.to(device) for value in values))
