"""One structure laid over another: equivalent atoms numbered alike, then superposed."""

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int

from dig_core.geometry import rotation, superposed

# Superposition and numbering depend on one another; they settle after one or two rounds.
ROUNDS = 4


def equivalent_atoms(molecule: Mapping[str, np.ndarray]) -> list[tuple[int, list[int]]]:
    """Centres with the terminal atoms on them that the descriptor cannot tell apart, such as the hydrogens of a methyl group."""
    neighbours = _neighbours(molecule)
    groups: dict[tuple, list[int]] = {}
    for atom, around in enumerate(neighbours):
        if len(around) == 1:
            features = (*molecule["atom_features"][atom], *molecule["pair_features"][atom, around[0]])
            groups.setdefault((around[0], *map(int, features)), []).append(atom)
    return [(centre, atoms) for (centre, *_), atoms in groups.items() if len(atoms) > 1]


def aligned(
    mobile: Float[np.ndarray, "atoms 3"],
    reference: Float[np.ndarray, "atoms 3"],
    molecule: Mapping[str, np.ndarray],
) -> Float[np.ndarray, "atoms 3"]:
    """`mobile` superposed on the reference (Angstrom), its equivalent atoms numbered as those nearest to them there.

    Among the numberings of the atoms on a centre with four neighbours only those of the reference's handedness count: no path
    shall turn a centre inside out. The result does not depend on how `mobile` numbers them. Centres are looked at one by one in
    the superposition of all other atoms, so that the cost grows with the number of groups, not with that of their combinations.
    """
    groups, neighbours = equivalent_atoms(molecule), _neighbours(molecule)
    everything = np.arange(len(mobile))
    fixed = np.setdiff1d(everything, [atom for _, atoms in groups for atom in atoms])
    order, shown = everything, fixed if len(fixed) > 2 else everything
    for _ in range(ROUNDS):
        laid, better = _laid(mobile[order], reference, shown), order.copy()
        for centre, atoms in groups:
            better[atoms] = order[_nearest_numbering(laid, reference, atoms, [centre, *neighbours[centre]])]
        order, shown = better, everything
    return _laid(mobile[order], reference, everything)


def _nearest_numbering(
    laid: np.ndarray, reference: np.ndarray, atoms: list[int], centre: list[int]
) -> Int[np.ndarray, "group"]:
    """The order of the atoms in which they are nearest to the reference and have its handedness about the centre."""
    orders = [np.array(order) for order in itertools.permutations(atoms)]
    away = [np.square(laid[order] - reference[atoms]).sum() for order in orders]
    for number in np.argsort(away, kind="stable"):
        trial = laid.copy()
        trial[atoms] = laid[orders[number]]
        if _handedness(trial, centre) == _handedness(reference, centre):
            return orders[number]
    return np.array(atoms)


def _handedness(positions: np.ndarray, centre: list[int]) -> float:
    """Sign of the volume that four neighbours span; 0 for other numbers of neighbours, whose centre may be flat."""
    around = positions[centre[1:]]
    return float(np.sign(np.linalg.det(around[:3] - around[3]))) if len(around) == 4 else 0.0


def _laid(mobile: np.ndarray, reference: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """`mobile` moved so that the atoms `shown` lie over those of the reference."""
    ours, theirs = torch.as_tensor(mobile).double(), torch.as_tensor(reference).double()
    centre, goal = ours[shown].mean(dim=0), theirs[shown].mean(dim=0)
    turn = rotation(ours[shown] - centre, theirs[shown] - goal)
    return ((ours - centre) @ turn + goal).numpy()


def rmsd(
    mobile: Float[np.ndarray, "*batch atoms 3"], reference: Float[np.ndarray, "*batch atoms 3"]
) -> Float[np.ndarray, "*batch"]:
    """Root mean square distance of structures (Angstrom) after superposition."""
    ours, theirs = torch.as_tensor(mobile).double(), torch.as_tensor(reference).double()
    return (superposed(ours, theirs) - theirs).square().sum(dim=-1).mean(dim=-1).sqrt().numpy()


def _neighbours(molecule: Mapping[str, np.ndarray]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in molecule["atomic_numbers"]]
    for first, second in molecule["bonds"].tolist():
        found[first].append(second)
        found[second].append(first)
    return found
