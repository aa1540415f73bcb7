"""Small molecules as the tests of several modules use them."""

from functools import cache

import numpy as np
import torch

from dig_core.data.features import ATOM_FEATURES, PAIR_FEATURES, molecular_features
from dig_core.data.molecules import from_sequence, from_smiles, rdkit_molecule
from dig_core.energies.openmm import force_field
from dig_core.models.graphormer import Graphormer
from dig_core.structure import MolecularGraph

FORCE_FIELD = ("amber99sbildn.xml", "amber99_obc.xml")


@cache
def peptide(sequence: str = "ACE-ALA-NME"):
    """Topology and descriptor arrays of a peptide."""
    topology, positions = from_sequence(sequence, force_field(FORCE_FIELD))
    features = molecular_features(rdkit_molecule(topology, positions))
    return topology, features | {"positions_angstrom": positions.astype(np.float32)}


@cache
def small_molecule(smiles: str):
    """Descriptor arrays of a molecule given by its SMILES."""
    topology, positions = from_smiles(smiles)
    features = molecular_features(rdkit_molecule(topology, positions))
    return features | {"positions_angstrom": positions.astype(np.float32)}


def graph(molecule) -> MolecularGraph:
    """The descriptor in double precision, lengths over 1.6 Angstrom."""
    own = MolecularGraph.from_arrays(molecule, 1.6)
    return MolecularGraph(own.atoms, own.pairs, own.bounds.double(), own.mask)


def tiny_network(seed: int = 0, noise: float = 0.1) -> Graphormer:
    """A small network in double precision whose weights are all random, also those that start at zero (`noise` 0: as a new one has them)."""
    torch.manual_seed(seed)
    network = Graphormer(
        tuple(ATOM_FEATURES.values()), tuple(PAIR_FEATURES.values()), 2, 2, 16, 4, 8, 8
    ).double()
    with torch.no_grad():
        for weights in network.parameters():
            weights += noise * torch.randn_like(weights)
    return network


def noisy(molecule, count: int, noise: float, seed: int = 0) -> torch.Tensor:
    """Structures [count, atoms, 3] about the start structure, over 1.6 Angstrom."""
    positions = torch.as_tensor(molecule["positions_angstrom"] / 1.6).double()
    generator = torch.Generator().manual_seed(seed)
    return positions + noise * torch.randn(count, *positions.shape, generator=generator, dtype=torch.float64)
