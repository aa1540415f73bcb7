"""Clean slabs brought to rest with an interatomic potential."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixAtoms
from ase.optimize import FIRE


def slab_at_rest(
    slab: Atoms, calculator: BaseCalculator, fixed_layers: int, force_eV_per_angstrom: float, steps: int
) -> Atoms:
    """The slab after at most so many steps of FIRE in its cell; the lowest layers (by tag) stay where they are.

    Raises:
        ValueError: forces are still larger then, or layers have changed places.
    """
    moved, layers = slab.copy(), slab.get_tags()
    moved.set_constraint(FixAtoms(mask=layers > layers.max() - fixed_layers))
    moved.calc = calculator
    if not FIRE(moved, logfile=None).run(fmax=force_eV_per_angstrom, steps=steps):
        raise ValueError(
            f"expected the slab {slab.symbols} at rest in {steps} steps; got forces of {np.abs(moved.get_forces()).max():.2f} eV/Angstrom. Raise data.steps, or choose another surface"
        )
    heights = [moved.positions[layers == layer, 2].mean() for layer in range(1, layers.max() + 1)]
    if np.any(np.diff(heights) >= 0):
        raise ValueError(
            f"expected layers in their order; got others: the slab {slab.symbols} has melted. Choose another surface"
        )
    rest = Atoms(moved.numbers, moved.positions, cell=moved.cell, pbc=moved.pbc, tags=layers)
    rest.positions[:, 2] -= rest.positions[:, 2].min()
    return rest
