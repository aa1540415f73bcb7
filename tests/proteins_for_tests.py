"""Small proteins as the tests of several modules use them."""

from functools import cache

import numpy as np

from dig_core.data import proteins
from dig_core.systems import protein
from tests.backbones_for_tests import HELIX, STRAND, built

FORCE_FIELD = {"force_field": ("amber99sbildn.xml", "amber99_obc.xml")}
MODEL = {
    "kind": "frame_graphormer", "layers": 2, "blocks": 2, "width": 16, "pair_width": 8, "heads": 2, "points": 2,
    "scale_angstrom": 2.0,
}  # fmt: skip
PROCESS = {
    "positions": {"kind": "variance_exploding", "sigma_min": 0.01, "sigma_max": 4.0},
    "rotations": {"kind": "brownian_rotations", "sigma_min": 0.02, "sigma_max": 2.4},
}
TRAINING = {
    "noise_log_mean": -1.1, "noise_log_std": 1.5, "weight_low": 0.008, "weight_high": 2.0, "validation_fraction": 0.25,
}  # fmt: skip
SETTINGS = {"model": MODEL, "process": PROCESS, "training": TRAINING}


@cache
def peptide(sequence: str):
    """Topology of the backbone and descriptor arrays of a peptide."""
    return protein.build({"sequence": sequence}, FORCE_FIELD)


@cache
def all_atoms(sequence: str):
    """Topology and positions of all atoms of a peptide."""
    return protein.all_atoms({"sequence": sequence}, FORCE_FIELD)


def shaken(arrays, count: int, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    """Backbones [count, atoms, 3] about the start structure."""
    moved = np.random.default_rng(seed).normal(0.0, noise, (count, *arrays["positions_angstrom"].shape))
    return (arrays["positions_angstrom"] + moved).astype(np.float32)


def dataset(frames: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What rule `prepare` makes of frames of targets."""
    found = {f"{name}.positions_angstrom": own for name, own in frames.items()}
    return found | {f"{name}.weights": np.full(len(own), 1.0 / len(own)) for name, own in frames.items()}


# Of config/structures: sequences, and torsions in degrees of all of their residues.
STRUCTURES = {"first": "ASGVEAKLTN", "second": "GTLAKESVNA"}
FOLDS = {"helix": HELIX, "strand": STRAND}


def structure_text(sequence: str, torsions_deg: tuple[float, float]) -> str:
    """A PDB file of an ideal backbone, all of whose residues have the same phi and psi."""
    glycines = tuple(i for i, code in enumerate(sequence) if code == "G")
    own = built([torsions_deg] * len(sequence), glycines)
    topology = proteins.backbone_topology(sequence, own.residue_indices, own.chain_indices)
    text = protein.topology_pdb(topology, own.positions[0])
    return text[text.index("ATOM") :]  # without the date
