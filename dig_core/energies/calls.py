"""What every energy does with the positions it is called with: check them and count the structures."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@runtime_checkable
class Energy(Protocol):
    """energy(positions [batch, *shape]) -> energies [batch], forces [batch, *shape] = -dE/dx."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one structure."""

    calls: int  # structures evaluated so far: the cost of a method is stated in these


def counted_positions(
    energy: Energy, positions: Float[np.ndarray, "batch *shape"]
) -> Float[np.ndarray, "batch *shape"]:
    """The positions in double precision, after adding their number to the calls of the energy.

    Raises:
        ValueError: positions of another shape than the energy's, or not finite. They are not counted.
    """
    if positions.shape[1:] != energy.shape:
        expected = ", ".join(["batch", *map(str, energy.shape)])
        raise ValueError(
            f"expected positions of shape [{expected}]; got {list(positions.shape)}. "
            "Reshape them, or correct the number of particles or dimensions of the energy"
        )
    if not np.isfinite(positions).all():
        bad = np.flatnonzero(~np.isfinite(positions).reshape(len(positions), -1).all(axis=1))
        raise ValueError(
            f"expected finite positions; got {len(bad)} structures with nan or inf, the first at index {bad[0]}. "
            "Drop them before asking for energies"
        )
    # Energies are frozen: their parameters are the known truth. The counter is the one thing that changes.
    object.__setattr__(energy, "calls", energy.calls + len(positions))
    return positions.astype(np.float64)
