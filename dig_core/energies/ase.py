"""Potential energies and forces from a calculator of the Atomic Simulation Environment, of periodic cells too.

Named like the package it adapts; absolute imports keep the two apart.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import ase
import numpy as np
from ase.calculators.calculator import BaseCalculator, CalculatorError
from jaxtyping import Float

from dig_core.energies.calls import counted_positions
from dig_core.units import KJ_PER_MOL_PER_EV


@dataclass(frozen=True)
class Recipe:
    """Where a calculator comes from: `builder` of `module`, called with `settings`; pip installs it as `package`."""

    module: str
    builder: str
    package: str
    settings: Mapping[str, object] = field(default_factory=dict)


# Your own calculator is one more line. Modules load when they are asked for: no package but ASE is required. Pretrained
# networks (chgnet, mace, sevennet) may fetch their weights at first use.
CALCULATORS = {
    "emt": Recipe("ase.calculators.emt", "EMT", "ase"),
    "lj": Recipe("ase.calculators.lj", "LennardJones", "ase"),
    "chgnet": Recipe("chgnet.model.dynamics", "CHGNetCalculator", "chgnet"),
    "mace": Recipe("mace.calculators", "mace_mp", "mace-torch", {"default_dtype": "float64"}),
    "sevennet": Recipe("sevenn.calculator", "SevenNetCalculator", "sevenn"),
    "tblite": Recipe("tblite.ase", "TBLite", "tblite", {"method": "GFN2-xTB"}),
}


def calculator(name: str, settings: Mapping[str, object]) -> BaseCalculator:
    """ASE's calculator of a name in CALCULATORS; `settings` are its own, in ASE's units (eV, Angstrom).

    Raises:
        ValueError: a name that is not in the table, or settings that the calculator does not know.
        RuntimeError: the package of the calculator is not installed.
    """
    if name not in CALCULATORS:
        known = ", ".join(sorted(CALCULATORS))
        raise ValueError(
            f"expected a calculator among {known}; got {name!r}. "
            "Choose one of these, or add a line to CALCULATORS in dig_core/energies/ase.py"
        )
    recipe = CALCULATORS[name]
    built = _builder(name, recipe)(**{**recipe.settings, **settings})
    # Calculators that list their parameters take any other without a word.
    if known := getattr(built, "default_parameters", {}):
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ValueError(
                f"expected settings of the calculator {name!r} among {', '.join(known)}; got {', '.join(unknown)}. "
                "Correct or remove them"
            )
    return built


def _builder(name: str, recipe: Recipe) -> Callable[..., BaseCalculator]:
    try:
        return getattr(importlib.import_module(recipe.module), recipe.builder)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"expected the package {recipe.package} for the calculator {name!r}; got: {_reason(error)}. "
            f"Install it with `pip install {recipe.package}`"
        ) from error


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


class AseEnergy:
    """energy(positions) -> energies, forces for batches of structures; one calculator, reused.

    The template gives all but the positions: elements, cell, which directions are periodic, charges and magnetic
    moments where the calculator reads them. Its constraints are dropped: forces are -dE/dx of every atom.
    """

    def __init__(self, name: str, template: ase.Atoms, settings: Mapping[str, object] | None = None):
        self.name = name
        self.atoms = template.copy()
        self.atoms.set_constraint()
        self.atoms.calc = calculator(name, settings or {})
        self.calls = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one structure: [atoms, 3]."""
        return (len(self.atoms), 3)

    def __call__(
        self, positions: Float[np.ndarray, "batch *shape"]
    ) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, "batch *shape"]]:
        """Energies in kJ/mol and forces in kJ/mol/Angstrom of positions [batch, atoms, 3] in Angstrom.

        Energies of periodic structures are those of one cell. Atoms may lie outside it.

        Raises:
            ValueError: positions of another shape, or a structure that the calculator cannot compute.
        """
        positions = counted_positions(self, positions)
        energies, forces = np.empty(len(positions)), np.empty_like(positions)
        for index, structure in enumerate(positions):
            energies[index], forces[index] = self._single(structure)
        return energies * KJ_PER_MOL_PER_EV, forces * KJ_PER_MOL_PER_EV

    def _single(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        self.atoms.positions = positions
        try:
            # Forces first: most calculators then have the energy at no further cost.
            forces = self.atoms.get_forces()
            return self.atoms.get_potential_energy(), forces
        except (NotImplementedError, CalculatorError) as error:
            raise ValueError(
                f"expected a structure that the calculator {self.name!r} can compute; "
                f"got {self.atoms.symbols} ({_reason(error)}). Choose another calculator or other structures"
            ) from error
