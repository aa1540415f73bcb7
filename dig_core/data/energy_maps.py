"""The energy of an adsorbate above a surface as a map over the surface cell, and structures that are drawn from it.

At every point of the cell where the binding atom is held the energy is that of the other coordinates q at rest, and rises about it as of springs:
E(x, y, q) = E(x, y) + (q - q0)^T K (q - q0) / 2, with q0 and K of the point. Then exp(-E/kT) is a density over the cell, exp(-E(x, y)/kT) / sqrt(det K),
times a normal distribution of q of covariance kT K^-1. q is the height of the binding atom, and how far each other atom is from where it rests, along
and across its bond: what is across turns the bond and leaves its length (`bonds.turned`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import resample

from dig_core.bonds import turned, with_lengths


@dataclass(frozen=True)
class EnergyMap:
    """On a grid of points at fractional coordinates (i/n1, j/n2) of the surface cell.

    Args:
        cell_angstrom: the lattice vectors of the surface as rows.
        energies_eV: of the adsorbate at rest, from the lowest of the map.
        rest_angstrom: the height of its binding atom above the uppermost atom of the slab, then x, y and z of each other atom from it.
        stiffness_eV_per_angstrom2: second derivatives of the energy there.
    """

    cell_angstrom: Float[np.ndarray, "2 2"]
    energies_eV: Float[np.ndarray, "first second"]
    rest_angstrom: Float[np.ndarray, "first second free"]
    stiffness_eV_per_angstrom2: Float[np.ndarray, "first second free free"]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "EnergyMap":
        """Of the arrays of a file."""
        return cls(**{name: arrays[name] for name in MAP})

    @property
    def heights_angstrom(self) -> Float[np.ndarray, "first second"]:
        """Of the binding atom at rest."""
        return self.rest_angstrom[..., 0]

    def bonds_angstrom(self, plane: Float[np.ndarray, "count 2"]) -> Float[np.ndarray, "count bonds"]:
        """How long they are at rest at the nearest points of the map."""
        steps = np.rint(plane @ np.linalg.inv(self.cell_angstrom) * self.energies_eV.shape).astype(int)
        first, second = (steps % self.energies_eV.shape).T
        return np.linalg.norm(self.rest_angstrom[first, second, 1:].reshape(len(plane), -1, 3), axis=-1)

    def finer(self, times: int) -> "EnergyMap":
        """With `times` as many points along each axis, by Fourier series: smooth and periodic, and unchanged where there were points."""
        # The series of a stiffness may lose a minimum where that of its logarithm does not.
        stiffness = _of_eigenvalues(np.log, self.stiffness_eV_per_angstrom2)
        return EnergyMap(
            self.cell_angstrom,
            finer(self.energies_eV, times),
            _finer_rest(self.rest_angstrom, times),
            _of_eigenvalues(np.exp, finer(stiffness, times)),
        )

    def log_weights(self, kT_eV: float) -> Float[np.ndarray, "first second"]:
        """ln of the density over the cell, up to a constant: -F/kT, all other coordinates integrated out."""
        return -self.energies_eV / kT_eV - 0.5 * np.linalg.slogdet(self.stiffness_eV_per_angstrom2)[1]

    def drawn(
        self, count: int, kT_eV: float, generator: np.random.Generator
    ) -> Float[np.ndarray, "count atoms 3"]:
        """Positions in Angstrom, heights above the uppermost atom of the slab: grid points by weight, the binding atom anywhere in the cell around them."""
        logs = self.log_weights(kT_eV)
        weights = np.exp(logs - logs.max()).ravel()
        chosen = generator.choice(weights.size, size=count, p=weights / weights.sum())
        first, second = np.unravel_index(chosen, logs.shape)
        places = np.stack([first, second], axis=1) + generator.random((count, 2)) - 0.5
        plane = places / np.array(logs.shape) % 1.0 @ self.cell_angstrom
        rest, stiffness = self.rest_angstrom[first, second], self.stiffness_eV_per_angstrom2[first, second]
        shape = _of_eigenvalues(lambda k: np.sqrt(kT_eV / k), stiffness)
        moved = np.einsum("nij,nj->ni", shape, generator.standard_normal(rest.shape))
        binding = np.column_stack([plane, rest[:, 0] + moved[:, 0]])[:, None]
        bonds, stretched = rest[:, 1:].reshape(count, -1, 3), moved[:, 1:].reshape(count, -1, 3)
        return np.concatenate([binding, binding + turned(bonds, stretched)], axis=1)

    def spread(
        self, count: int, kT_eV: float, generator: np.random.Generator
    ) -> tuple[Float[np.ndarray, "count 1 3"], Float[np.ndarray, " count"], Float[np.ndarray, "count 1 3"]]:
        """Atoms over the points of the map, any of them, with heights as at kT: positions as of `drawn`, energies in eV, and forces in eV per Angstrom.

        Raises:
            ValueError: the map is one of molecules.
        """
        if self.rest_angstrom.shape[-1] > 1:
            raise ValueError("expected the map of an atom; got one of a molecule. Leave `pretraining` out")
        shape = self.energies_eV.shape
        first, second = at = tuple(generator.integers(n, size=count) for n in shape)
        stiffness, rest = self.stiffness_eV_per_angstrom2[..., 0, 0], self.rest_angstrom[..., 0]
        k, above = stiffness[at], np.sqrt(kT_eV / stiffness[at]) * generator.standard_normal(count)
        energies = self.energies_eV[at] + 0.5 * k * above**2
        slopes = [self._slope(values)[at] for values in (self.energies_eV, stiffness, rest)]
        along = -slopes[0] - 0.5 * above[:, None] ** 2 * slopes[1] + (k * above)[:, None] * slopes[2]
        plane = np.stack([first / shape[0], second / shape[1]], axis=1) @ self.cell_angstrom
        positions = np.column_stack([plane, rest[at] + above])
        return positions[:, None], energies, np.column_stack([along, -k * above])[:, None]

    def _slope(self, values: Float[np.ndarray, "first second"]) -> Float[np.ndarray, "first second 2"]:
        """Gradient per Angstrom, by differences between neighbours."""
        steps = [(np.roll(values, -1, axis) - np.roll(values, 1, axis)) / 2 for axis in (0, 1)]
        return np.stack(steps, axis=-1) * values.shape @ np.linalg.inv(self.cell_angstrom).T


MAP = tuple(EnergyMap.__dataclass_fields__)  # arrays of a file
FINER = 4  # times as many points, where structures are drawn from a map and sites are found on it


def _finer_rest(
    rest: Float[np.ndarray, "first second free"], times: int
) -> Float[np.ndarray, "more_first more_second free"]:
    """Heights, and bonds whose lengths are interpolated by themselves: between bonds that lean in different ways there is none that is shorter."""
    bonds = rest[..., 1:].reshape(*rest.shape[:2], -1, 3)
    lengths = finer(np.linalg.norm(bonds, axis=-1, keepdims=True), times)
    ends = with_lengths(finer(bonds, times), lengths)
    return np.concatenate([finer(rest[..., :1], times), ends.reshape(*ends.shape[:2], -1)], axis=-1)


def _of_eigenvalues(function, matrices: Float[np.ndarray, "*shape n n"]) -> Float[np.ndarray, "*shape n n"]:
    """A function of symmetric matrices."""
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * function(values)[..., None, :]) @ vectors.swapaxes(-1, -2)


def finer(
    values: Float[np.ndarray, "first second *other"], times: int
) -> Float[np.ndarray, "more_first more_second *other"]:
    """A periodic function on `times` as many points along each axis: its Fourier series, evaluated there."""
    for axis in (0, 1):
        values = resample(values, times * values.shape[axis], axis=axis)
    return values
