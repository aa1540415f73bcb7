"""Energies over the cell of a slab: symmetry leaves few points, and a run that was stopped goes on."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from dig_core.data.surfaces import slab
from dig_core.energies.adatoms import Adatom
from dig_core.systems import adsorption_energies
from dig_core.systems.adsorption_energies import energy_map, grid

SURFACE = {
    "composition": {"Cu": 1},
    "structure": "fcc",
    "miller": [1, 1, 1],
    "lattice_angstrom": 3.6,
    "layers": 3,
}
SETTINGS, HYDROGEN = {"calculator": "emt", "points": 12}, np.array([1])


@pytest.fixture
def calls(monkeypatch) -> list:
    """Places of which the best height was searched for."""
    seen, original = [], Adatom.best_height

    def counted(self, plane, guess):
        seen.append(tuple(plane))
        return original(self, plane, guess)

    monkeypatch.setattr(adsorption_energies.Adatom, "best_height", counted)
    return seen


def test_symmetry_leaves_few_points_and_all_others_have_their_energies(calls, tmp_path):
    clean = slab(SURFACE)
    found = energy_map(clean, HYDROGEN, SETTINGS, tmp_path / "partial.npz")
    assert len(calls) < 144 / 12 and found.energies_eV.shape == (12, 12) and found.energies_eV.min() == 0.0
    # A point that was not computed itself, against the potential.
    other = Adatom(clean + slab(SURFACE)[:1], EMT())
    other.atoms.numbers[-1] = 1
    place = grid(12)[12 * 9 + 4] @ found.cell_angstrom
    assert tuple(place) not in calls
    own, lowest = (
        other.best_height(place, 1.0),
        other.best_height(grid(12)[np.argmin(found.energies_eV)] @ found.cell_angstrom, 1.0),
    )
    assert found.energies_eV[9, 4] == pytest.approx(own.energy_eV - lowest.energy_eV, abs=2e-3)
    assert found.heights_angstrom[9, 4] == pytest.approx(own.height_angstrom, abs=0.02)


def test_a_run_that_was_stopped_goes_on_and_one_of_another_slab_does_not(calls, tmp_path, monkeypatch):
    """Asked to end after three points, it keeps these; the map is that of a run that was not stopped."""
    partial, clean = tmp_path / "partial.npz", slab(SURFACE)
    whole, count = energy_map(clean, HYDROGEN, SETTINGS, tmp_path / "other.npz"), len(calls)

    def stopped(places, save):
        yield from places[:3]
        save()
        raise SystemExit

    with monkeypatch.context() as during, pytest.raises(SystemExit):
        during.setattr(adsorption_energies, "stoppable", stopped)
        energy_map(clean, HYDROGEN, SETTINGS, partial)
    calls.clear()
    again = energy_map(clean, HYDROGEN, SETTINGS, partial)
    assert len(calls) == count - 3
    np.testing.assert_array_equal(again.energies_eV, whole.energies_eV)
    calls.clear()
    energy_map(slab(SURFACE | {"lattice_angstrom": 3.7}), HYDROGEN, SETTINGS, partial)
    energy_map(clean, HYDROGEN, SETTINGS | {"points": 6}, partial)
    assert len(calls) > count
