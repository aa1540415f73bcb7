"""Calculators of ASE in the project's units, with periodic cells."""

import importlib.util

import ase
import ase.units
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from dig_core.energies.analytic import LennardJones
from dig_core.energies.ase import CALCULATORS, AseEnergy, Recipe
from dig_core.units import KJ_PER_MOL_PER_EV


@pytest.fixture(scope="module")
def copper():
    """The cubic cell of copper, 4 atoms."""
    return bulk("Cu", cubic=True)


def shaken(atoms, batch=3):
    generator = np.random.default_rng(0)
    return atoms.positions + 0.1 * generator.normal(size=(batch, *atoms.positions.shape))


def test_the_constant_is_ases():
    """ASE has CODATA 2014, before the constants were fixed."""
    assert pytest.approx(ase.units.mol / ase.units.kJ, rel=1e-7) == KJ_PER_MOL_PER_EV


def test_energy_is_the_calculators_in_kj_per_mol(copper):
    positions = shaken(copper)
    values, forces = AseEnergy("emt", copper)(positions)
    for value, force, structure in zip(values, forces, positions, strict=True):
        atoms = ase.Atoms("Cu4", structure, cell=copper.cell, pbc=True, calculator=EMT())
        assert value == pytest.approx(96.48533 * atoms.get_potential_energy(), rel=1e-7)
        np.testing.assert_allclose(force, 96.48533 * atoms.get_forces(), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings"), [("emt", None), ("lj", {"sigma": 2.3, "smooth": True, "rc": 6.0})]
)
def test_forces_are_minus_the_gradient_in_a_periodic_cell(name, settings, copper):
    """Central differences along random directions, Angstrom and kJ/mol."""
    energy, positions = AseEnergy(name, copper, settings), shaken(copper, batch=1)
    generator = np.random.default_rng(1)
    _, forces = energy(positions)
    for _ in range(5):
        direction = generator.normal(size=positions.shape)
        step = 1e-4 * direction / np.linalg.norm(direction)
        (after, before), _ = energy(np.concatenate([positions + step, positions - step]))
        assert -(forces * step).sum() == pytest.approx((after - before) / 2, rel=1e-5)


def test_an_atom_may_be_moved_by_a_lattice_vector_and_only_in_a_periodic_cell(copper):
    positions = shaken(copper, batch=2)
    positions[1] = positions[0]
    positions[1, 2] += copper.cell[0] - copper.cell[2]
    values, forces = AseEnergy("emt", copper)(positions)
    assert values[0] == pytest.approx(values[1], abs=1e-8)
    np.testing.assert_allclose(forces[0], forces[1], atol=1e-8)
    alone = AseEnergy("emt", ase.Atoms("Cu4", copper.positions))
    assert abs(np.diff(alone(positions)[0])) > 1.0


def test_lennard_jones_of_ase_is_the_closed_form():
    """One eV of depth and sigma of 1 Angstrom: energy and forces as in the analytic energy, times kJ/mol per eV."""
    grid = 1.1 * np.stack(np.meshgrid(*[np.arange(2.0)] * 3), axis=-1).reshape(-1, 3)
    positions = grid + 0.05 * np.random.default_rng(2).normal(size=(3, 8, 3))
    from_ase = AseEnergy("lj", ase.Atoms("Ar8"), {"rc": 1000.0})(positions)
    closed = LennardJones(8, minimum_distance=2 ** (1 / 6), tether=0.0)(positions)
    for here, there in zip(from_ase, closed, strict=True):
        np.testing.assert_allclose(here, KJ_PER_MOL_PER_EV * there, rtol=1e-9, atol=1e-9)


def test_calls_are_counted_and_the_template_stays_as_it_was(copper):
    template = copper.copy()
    template.set_constraint(FixAtoms([0, 1]))
    energy, before = AseEnergy("emt", template), template.positions.copy()
    _, forces = energy(shaken(copper))
    energy(shaken(copper)[:1])
    assert energy.calls == 4
    assert template.calc is None and template.constraints
    np.testing.assert_array_equal(template.positions, before)
    assert (abs(forces[:, :2]) > 1e-3).any(), "a fixed atom has a force, too"


def test_no_structures_are_no_energies(copper):
    energy = AseEnergy("emt", copper)
    values, forces = energy(np.zeros((0, 4, 3)))
    assert values.shape == (0,) and forces.shape == (0, 4, 3) and energy.calls == 0


def one_line(error) -> bool:
    return "\n" not in str(error.value)


def test_unknown_calculator_is_refused_with_the_known_ones(copper):
    with pytest.raises(
        ValueError, match=r"expected a calculator among chgnet, emt, lj.*got 'chgnett'"
    ) as error:
        AseEnergy("chgnett", copper)
    assert one_line(error)


def test_missing_package_is_named_in_one_line(copper, monkeypatch):
    monkeypatch.setitem(CALCULATORS, "new", Recipe("no_such_package.ase", "New", "no-such-package"))
    told = "expected the package no-such-package for the calculator 'new'.*pip install no-such-package"
    with pytest.raises(RuntimeError, match=told) as error:
        AseEnergy("new", copper)
    assert one_line(error)


@pytest.mark.parametrize("name", CALCULATORS)
def test_calculator_of_the_table_is_there_or_says_what_to_install(name, copper):
    recipe = CALCULATORS[name]
    if recipe.package == "ase":
        assert AseEnergy(name, copper).shape == (4, 3)
    elif importlib.util.find_spec(recipe.module.split(".")[0]):
        pytest.skip(f"{recipe.package} is installed and may fetch weights")
    else:
        with pytest.raises(RuntimeError, match=f"pip install {recipe.package}") as error:
            AseEnergy(name, copper)
        assert one_line(error)


def test_a_users_calculator_is_one_more_line(copper, monkeypatch):
    monkeypatch.setitem(
        CALCULATORS, "soft", Recipe("ase.calculators.lj", "LennardJones", "ase", {"sigma": 2.0})
    )
    positions = shaken(copper)
    np.testing.assert_array_equal(
        AseEnergy("soft", copper)(positions)[0], AseEnergy("lj", copper, {"sigma": 2.0})(positions)[0]
    )
    changed = AseEnergy("soft", copper, {"sigma": 1.0})(positions)[0]
    np.testing.assert_array_equal(changed, AseEnergy("lj", copper)(positions)[0])


def test_misspelt_setting_is_refused(copper):
    """ASE itself would take it without a word."""
    with pytest.raises(
        ValueError, match=r"expected settings of the calculator 'lj' among.*; got sigmaa"
    ) as error:
        AseEnergy("lj", copper, {"sigmaa": 2.0})
    assert one_line(error)


def test_element_that_the_calculator_does_not_know_is_named():
    with pytest.raises(ValueError, match=r"'emt' can compute; got Fe2 \(No EMT-potential for Fe\)") as error:
        AseEnergy("emt", ase.Atoms("Fe2"))(np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]]]))
    assert one_line(error)


def test_wrong_number_of_atoms_and_nan_are_refused(copper):
    energy = AseEnergy("emt", copper)
    with pytest.raises(ValueError, match=r"expected positions of shape \[batch, 4, 3\]; got \[2, 5, 3\]"):
        energy(np.zeros((2, 5, 3)))
    with pytest.raises(ValueError, match="expected finite positions"):
        energy(np.full((2, 4, 3), np.nan))
    assert energy.calls == 0
