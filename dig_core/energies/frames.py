"""An energy as a function of few free coordinates of unit size: what a diffusion model of it sees as its state."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dig_core.energies.calls import Energy

State = Float[np.ndarray, "batch free"]
Positions = Float[np.ndarray, "batch *shape"]


@dataclass(frozen=True, eq=False)
class Framed:
    """The energy of positions = centre + length * basis y as an energy of the state y [batch, free].

    Args:
        energy: in kT, of positions of its own shape.
        basis: orthonormal columns [coordinates, free]; the energy must not depend on what they leave out.
        centre: of the flattened positions, [coordinates].
        length: of one unit of the state in the unit of the positions.
    """

    energy: Energy
    basis: Float[np.ndarray, "coordinates free"]
    centre: Float[np.ndarray, " coordinates"]
    length: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state: [free]."""
        return self.basis.shape[1:]

    @property
    def calls(self) -> int:
        """Those of the energy itself."""
        return self.energy.calls

    def __call__(self, state: State) -> tuple[Float[np.ndarray, " batch"], State]:
        """Energies [batch] in kT, and forces [batch, free] in kT per unit of the state."""
        energies, forces = self.energy(self.positions(state))
        return energies, self.length * forces.reshape(len(state), -1) @ self.basis

    def positions(self, state: State) -> Positions:
        """The positions of states."""
        flat = self.centre + self.length * state.astype(np.float64) @ self.basis.T
        return flat.reshape(len(state), *self.energy.shape)


def centred_basis(particles: int, space: int) -> Float[np.ndarray, "coordinates free"]:
    """Orthonormal columns that span the configurations with their centre at rest (Helmert's, for every axis)."""
    rows = np.tril(np.ones((particles, particles)), -1)[1:] - np.diag(np.arange(particles))[1:]
    helmert = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.kron(helmert.T, np.eye(space))
