"""Adsorbates at rest above a slab: against a potential whose minimum is known, and by finite differences."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from dig_core.energies.adsorbates import SOFTEST, Adsorbate

STIFF, REST, BOND, LEAN = 7.0, 1.3, 1.2, 0.2
SLAB = Atoms("Pt", [[0, 0, 2.0]], cell=[5, 5, 20], pbc=True)
HERE = np.array([1.7, 0.4])


class Springs(Calculator):
    """Of the height of the first atom, with a wave over x, and of where a second one is from it; anharmonic."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012
    slope = 0.0  # eV/Angstrom along the normal

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        first = self.atoms.positions[1]
        away = first[2] - 2.0 - REST - 0.1 * np.sin(first[0])
        forces = np.zeros((len(self.atoms), 3))
        forces[1, 2] = -STIFF * away + 1.5 * away**2 - self.slope
        energy = 0.5 * STIFF * away**2 - 0.5 * away**3 + 0.2 * np.cos(first[0]) + self.slope * first[2]
        if len(self.atoms) == 3:
            apart = self.atoms.positions[2] - first - [LEAN, 0.0, BOND]
            forces[2] = -np.array([1.0, 2.0, 4.0]) * apart
            forces[1] -= forces[2]
            energy -= 0.5 * forces[2] @ apart
        self.results = {"energy": energy, "forces": forces}


def adsorbate(*numbers: int, slope: float = 0.0) -> Adsorbate:
    calculator = Springs()
    calculator.slope = slope
    return Adsorbate(SLAB, np.array(numbers), calculator)


@pytest.mark.parametrize("x", [0.0, 1.7])
def test_an_atom_is_where_the_potential_has_its_minimum(x):
    found = adsorbate(8).at_rest(np.array([x, 0.4]))
    assert found.rest_angstrom == pytest.approx([REST + 0.1 * np.sin(x)], abs=1e-3)
    assert found.energy_eV == pytest.approx(0.2 * np.cos(x), abs=1e-4)
    assert found.stiffness_eV_per_angstrom2[0] == pytest.approx([STIFF], rel=0.02)


def test_a_molecule_leans_and_is_stiff_as_the_potential_says():
    found = adsorbate(6, 8).at_rest(HERE)
    assert found.rest_angstrom == pytest.approx([REST + 0.1 * np.sin(HERE[0]), LEAN, 0.0, BOND], abs=2e-3)
    expected = np.diag([STIFF, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(found.stiffness_eV_per_angstrom2, expected, rtol=0.03, atol=0.05)
    assert found.energy_eV == pytest.approx(0.2 * np.cos(HERE[0]), abs=2e-4)


def test_on_a_metal_forces_vanish_and_second_differences_of_the_energy_are_the_stiffness():
    own = Adsorbate(fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=True), np.array([8]), EMT())
    plane = np.array([0.6, 0.9])
    found = own.at_rest(plane)
    energy, forces = own.energy_and_forces(plane, found.rest_angstrom)
    assert energy == pytest.approx(found.energy_eV, abs=1e-3) and np.abs(forces).max() < 0.02
    above, below = (own.energy_and_forces(plane, found.rest_angstrom + step)[0] for step in (0.02, -0.02))
    curvature = (above - 2 * energy + below) / 0.02**2
    assert found.stiffness_eV_per_angstrom2[0, 0] == pytest.approx(curvature, rel=0.1)


def test_what_is_not_bound_or_falls_in_or_stands_on_a_saddle_is_told():
    with pytest.raises(ValueError, match=r"C at rest over \[1.7, 0.4\] Angstrom; got none: it is not bound"):
        adsorbate(6, slope=-40.0).at_rest(HERE)
    with pytest.raises(ValueError, match=r"CO at rest .* it falls into the slab"):
        adsorbate(6, 8, slope=60.0).at_rest(HERE)
    saddle = adsorbate(6)
    saddle.calculator.__class__ = type("Dome", (Springs,), {"calculate": _dome})
    with pytest.raises(ValueError, match="got a saddle"):
        saddle.at_rest(HERE)


def _dome(self, atoms=None, properties=None, system_changes=all_changes):
    Calculator.calculate(self, atoms, properties, system_changes)
    away = self.atoms.positions[1, 2] - 3.5
    forces = np.zeros((2, 3))
    forces[1, 2] = 2.0 * away
    self.results = {"energy": -(away**2), "forces": forces}


class Stiff(Springs):
    """Of a bond as stiff as that of CO, and of a weak pull on its end towards the normal."""

    weak = 0.8

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        Springs.calculate(self, self_alone(atoms), properties, system_changes)
        self.atoms = atoms.copy()
        bond = atoms.positions[2] - atoms.positions[1]
        length, flat = np.linalg.norm(bond), bond * [1.0, 1.0, 0.0]
        pull = -180.0 * (length - 1.15) * bond / length - self.weak * flat
        forces = np.vstack([self.results["forces"], pull])
        forces[1] -= pull
        energy = 90.0 * (length - 1.15) ** 2 + 0.5 * self.weak * flat @ flat
        self.results = {"energy": self.results["energy"] + energy, "forces": forces}


def self_alone(atoms):
    """Without the second atom of the adsorbate."""
    return atoms[:2]


def test_a_stiff_bond_does_not_count_as_stiffness_against_leaning():
    found = Adsorbate(SLAB, np.array([6, 8]), Stiff()).at_rest(HERE)
    assert np.linalg.norm(found.rest_angstrom[1:]) == pytest.approx(1.15, abs=1e-3)
    assert np.diag(found.stiffness_eV_per_angstrom2) == pytest.approx([STIFF, 0.8, 0.8, 180.0], rel=0.02)


def test_molecules_that_come_apart_or_turn_over_are_told():
    class Apart(Stiff):
        """Whose bond is twice as long at rest, or which stands on its head."""

        to = np.array([0.0, 0.0, 2.4])

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            Springs.calculate(self, self_alone(atoms), properties, system_changes)
            self.atoms = atoms.copy()
            pull = -20.0 * (atoms.positions[2] - atoms.positions[1] - self.to)
            forces = np.vstack([self.results["forces"], pull])
            forces[1] -= pull
            self.results = {"energy": self.results["energy"] + pull @ pull / 40.0, "forces": forces}

    with pytest.raises(ValueError, match="expected CO whole and on its first atom"):
        Adsorbate(SLAB, np.array([6, 8]), Apart()).at_rest(HERE)
    over = Apart()
    over.to = np.array([0.5, 0.0, -1.0])
    with pytest.raises(ValueError, match="expected CO whole and on its first atom"):
        Adsorbate(SLAB, np.array([6, 8]), over).at_rest(HERE)


def test_springs_too_soft_to_be_measured_count_as_the_softest():
    class Loose(Springs):
        """Whose second atom may lean to the side of y at no cost."""

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            apart = self.atoms.positions[2, 1] - self.atoms.positions[1, 1]
            self.results["energy"] -= apart**2
            self.results["forces"][1:, 1] += [-2 * apart, 2 * apart]

    found = Adsorbate(SLAB, np.array([6, 8]), Loose()).at_rest(HERE)
    assert np.diag(found.stiffness_eV_per_angstrom2) == pytest.approx([STIFF, 1.0, SOFTEST, 4.0], rel=0.03)
