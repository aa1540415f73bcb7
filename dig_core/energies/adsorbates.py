"""The energy of an adsorbate above a frozen slab: of one that its binding atom holds over a point of the plane, all else at rest.

The binding atom is the first one. What is free are its height above the uppermost atom of the slab, and where each other atom is from it: 3 n - 2
coordinates of n atoms, the height first.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixAtoms, FixedLine
from ase.data import covalent_radii
from ase.optimize import BFGS
from jaxtyping import Float, Int

from dig_core.bonds import forces_of_turning, turned

GUESS_ANGSTROM = 1.5  # height of the binding atom at which the search begins
ASKEW = (0.1, 0.05)  # Angstrom, of the other atoms at the start, as upright ones may stand on a saddle
FORCE_EV_PER_ANGSTROM = 0.02  # molecules lean over by small forces
STEPS, LONGEST_STEP = 200, 0.1  # of the search, and its longest step in Angstrom
STRETCH = 0.1  # Angstrom, over which the stiffness is measured: about as far as warm atoms move
SOFTEST = (
    0.25  # eV/Angstrom^2: softer springs, which steps of STRETCH cannot tell from none, count as this stiff
)
SADDLE = -1.0  # eV/Angstrom^2: a spring of less is no minimum; potentials are rough by a few meV over STRETCH
BROKEN = 1.3  # times as long as radii say
LOWEST, HIGHEST = -2.0, 4.0  # Angstrom above the uppermost atom of the slab


class AtRest(NamedTuple):
    """Where the forces on the free coordinates are zero: the energy there, the coordinates, and its second derivatives, at least SOFTEST."""

    energy_eV: float
    rest_angstrom: Float[np.ndarray, " free"]
    stiffness_eV_per_angstrom2: Float[np.ndarray, "free free"]


@dataclass(frozen=True)
class Adsorbate:
    """Atoms of these numbers, the binding one first, above a slab; energies by a calculator of ASE."""

    slab: Atoms
    numbers: Int[np.ndarray, " atoms"]
    calculator: BaseCalculator

    @property
    def usual_bonds(self) -> Float[np.ndarray, " bonds"]:
        """How long radii say they are, in Angstrom."""
        return covalent_radii[self.numbers[0]] + covalent_radii[self.numbers[1:]]

    @property
    def start(self) -> Float[np.ndarray, " free"]:
        """Upright but for a little, bonds as long as radii say."""
        others = np.column_stack([np.tile(ASKEW, (len(self.numbers) - 1, 1)), self.usual_bonds])
        return np.concatenate([[GUESS_ANGSTROM], others.ravel()])

    def placed(self, plane: Float[np.ndarray, "2"], free: Float[np.ndarray, " free"]) -> Atoms:
        """The slab with the adsorbate, its binding atom over a point of the plane (Angstrom)."""
        binding = np.array([*plane, self.slab.positions[:, 2].max() + free[0]])
        others = binding + free[1:].reshape(-1, 3)
        atoms = self.slab + Atoms(self.numbers, np.vstack([binding, others]))
        atoms.calc = self.calculator
        return atoms

    def energy_and_forces(
        self, plane: Float[np.ndarray, "2"], free: Float[np.ndarray, " free"]
    ) -> tuple[float, Float[np.ndarray, " free"]]:
        """In eV, and -dE/d of the free coordinates in eV/Angstrom: the height moves all atoms."""
        atoms = self.placed(plane, free)
        forces = atoms.get_forces()[len(self.slab) :]
        free_forces = np.concatenate([[forces[:, 2].sum()], forces[1:].ravel()]).astype(np.float64)
        return float(atoms.get_potential_energy()), free_forces

    def at_rest(self, plane: Float[np.ndarray, "2"]) -> AtRest:
        """Over a point of the plane.

        Springs softer than SOFTEST, down to SADDLE, count as SOFTEST: what leans to and fro over a rough bottom.

        Raises:
            ValueError: there is none between LOWEST and HIGHEST, the energy is no minimum there, or the molecule has turned over or come apart.
        """
        found = self._searched(plane)
        values, modes = np.linalg.eigh(self._stiffness(plane, found))
        if values[0] < SADDLE:
            raise self._refused(
                plane, "at a minimum of the energy", f"a saddle at a height of {found[0]:.2f}"
            )
        stiffness = (modes * values.clip(min=SOFTEST)) @ modes.T
        energy, left = self.energy_and_forces(plane, found)
        # What is left of the forces is taken off as by springs.
        last = np.linalg.solve(stiffness, left)
        ends = turned(found[1:].reshape(-1, 3), last[1:].reshape(-1, 3))
        rest = np.concatenate([found[:1] + last[:1], ends.ravel()])
        return AtRest(energy - 0.5 * left @ last, rest, stiffness)

    def _searched(self, plane: Float[np.ndarray, "2"]) -> Float[np.ndarray, " free"]:
        atoms, count = self.placed(plane, self.start), len(self.slab)
        atoms.set_constraint([FixAtoms(range(count)), FixedLine([count], [0, 0, 1])])
        search = BFGS(atoms, logfile=None, maxstep=LONGEST_STEP)
        top, at_rest = self.slab.positions[:, 2].max(), False
        for at_rest in search.irun(fmax=FORCE_EV_PER_ANGSTROM, steps=STEPS):  # noqa: B007
            height = atoms.positions[count, 2] - top
            if not LOWEST < height < HIGHEST:
                where = "falls into the slab" if height < HIGHEST else "is not bound"
                raise self._refused(plane, "at rest", f"none: it {where}")
        if not at_rest:
            raise self._refused(plane, f"at rest in {STEPS} steps", "larger forces")
        bonds = atoms.positions[count + 1 :] - atoms.positions[count]
        self._expect_standing(plane, bonds)
        return np.concatenate([[height], bonds.ravel()])

    def _expect_standing(self, plane: Float[np.ndarray, "2"], bonds: Float[np.ndarray, "bonds 3"]) -> None:
        if (np.linalg.norm(bonds, axis=1) > BROKEN * self.usual_bonds).any() or (bonds[:, 2] < 0).any():
            told = f"others at {np.round(bonds, 2).tolist()} from it"
            raise self._refused(plane, "whole and on its first atom", told)

    def _refused(self, plane: Float[np.ndarray, "2"], wanted: str, got: str) -> ValueError:
        where = f"{Atoms(self.numbers).symbols} {wanted} over {np.round(plane, 2).tolist()} Angstrom"
        return ValueError(f"expected {where}; got {got}. Choose another adsorbate or calculator")

    def _stiffness(
        self, plane: Float[np.ndarray, "2"], free: Float[np.ndarray, " free"]
    ) -> Float[np.ndarray, "free free"]:
        """By central differences of the forces, in eV/Angstrom^2; bonds turn, so that what is across them does not lengthen them."""
        rows = []
        for step in STRETCH * np.eye(len(free)):
            ahead, behind = (self._forces_on_steps(plane, free, sign * step) for sign in (1, -1))
            rows.append((behind - ahead) / (2 * STRETCH))
        return 0.5 * (np.array(rows) + np.array(rows).T)

    def _forces_on_steps(
        self,
        plane: Float[np.ndarray, "2"],
        free: Float[np.ndarray, " free"],
        step: Float[np.ndarray, " free"],
    ) -> Float[np.ndarray, " free"]:
        bonds, moved = free[1:].reshape(-1, 3), step[1:].reshape(-1, 3)
        ends = turned(bonds, moved)
        _, forces = self.energy_and_forces(plane, np.concatenate([free[:1] + step[:1], ends.ravel()]))
        own = forces_of_turning(bonds, moved, forces[1:].reshape(-1, 3))
        return np.concatenate([forces[:1], own.ravel()])
