"""Relaxation of crystals: potentials whose crystal at rest is known, and one whose compression is measured."""

import dataclasses

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.units import GPa
from pymatgen.core import Structure

from dig_core.data.carbon_phases import phase
from dig_core.energies import ase as calculators
from dig_core.energies.crystal_relaxation import relaxed
from dig_core.evaluation.matching import matcher

SETTINGS = {"calculator": "lj", "pressure_GPa": 0.0, "steps": 300, "force_eV_per_angstrom": 0.002}
ARGON = {"sigma": 2.6, "epsilon": 0.05, "rc": 7.8, "smooth": True}  # fcc
STRAINED = Structure(
    np.diag([4.3, 4.0, 4.1]), ["C"] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
)


@pytest.fixture(autouse=True)
def potential(monkeypatch):
    recipe = dataclasses.replace(calculators.CALCULATORS["lj"], settings=ARGON)
    monkeypatch.setitem(calculators.CALCULATORS, "lj", recipe)


def lattice_energy(volume: float) -> float:
    """Of fcc with so many cubic Angstrom per atom."""
    lattice = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * (volume / 2) ** (1 / 3)
    atoms = Structure(lattice, ["C"], [[0] * 3]).to_ase_atoms()
    atoms.calc = LennardJones(**ARGON)
    return atoms.get_potential_energy()


@pytest.mark.parametrize("pressure", [0.0, 0.2])
def test_a_strained_crystal_comes_to_rest_at_the_lowest_enthalpy(pressure):
    found = relaxed(STRAINED, SETTINGS | {"pressure_GPa": pressure})
    volumes = np.linspace(12.0, 20.0, 801)
    curve = [lattice_energy(v) + pressure * GPa * v for v in volumes]
    assert found.at_rest and found.released_eV_per_atom > 0.001
    assert found.enthalpy_eV_per_atom == pytest.approx(min(curve), abs=2e-4)
    assert found.crystal.volume / 4 == pytest.approx(volumes[np.argmin(curve)], rel=0.01)
    assert matcher().fit(found.crystal, Structure.from_spacegroup("Fm-3m", np.eye(3) * 4, ["C"], [[0, 0, 0]]))


def test_what_still_moves_says_so():
    assert not relaxed(STRAINED, SETTINGS | {"steps": 1}).at_rest


def test_diamond_under_pressure_with_a_trained_potential():
    """CHGNet: the measured density, compression as of the measured bulk modulus (443 GPa, McSkimin and Andreatch, J. Appl. Phys. 43, 2944 (1972)), and diamond below graphite at 10 GPa."""
    settings = SETTINGS | {"calculator": "chgnet", "force_eV_per_angstrom": 0.02}
    strained = phase("diamond").apply_strain([0.04, -0.02, 0.03], inplace=False)
    free = relaxed(strained, settings).crystal
    dense = relaxed(strained, settings | {"pressure_GPa": 10.0})
    assert free.volume == pytest.approx(phase("diamond").volume, rel=0.02)
    assert -10.0 / np.log(dense.crystal.volume / free.volume) == pytest.approx(443, rel=0.2)
    layered = relaxed(phase("graphite_ab"), settings | {"pressure_GPa": 10.0})
    assert dense.enthalpy_eV_per_atom < layered.enthalpy_eV_per_atom - 0.01
