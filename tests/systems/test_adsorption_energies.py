"""Energies over the cell of a slab: symmetry leaves few points, and a run that was stopped goes on."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from dig_core.data.slabs import cell_in_plane
from dig_core.data.surface_symmetry import distinct_points, symmetry_operations
from dig_core.data.surfaces import slab
from dig_core.energies.adsorbates import Adsorbate, AtRest
from dig_core.systems import adsorption_energies
from dig_core.systems.adsorption_energies import SAME, energy_map, grid, over_cell

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
    """Places over which something was brought to rest."""
    seen, original = [], Adsorbate.at_rest

    def counted(self, plane):
        seen.append(tuple(plane))
        return original(self, plane)

    monkeypatch.setattr(adsorption_energies.Adsorbate, "at_rest", counted)
    return seen


def test_symmetry_leaves_few_points_and_all_others_have_their_energies(calls, tmp_path):
    clean = slab(SURFACE)
    found = energy_map(clean, HYDROGEN, SETTINGS, tmp_path / "partial.npz")
    assert len(calls) < 144 / 12 and found.energies_eV.shape == (12, 12) and found.energies_eV.min() == 0.0
    # A point that was not computed itself, against the potential.
    other = Adsorbate(clean, HYDROGEN, EMT())
    place = grid(12)[12 * 9 + 4] @ found.cell_angstrom
    assert tuple(place) not in calls
    own = other.at_rest(place)
    lowest = other.at_rest(grid(12)[np.argmin(found.energies_eV)] @ found.cell_angstrom)
    assert found.energies_eV[9, 4] == pytest.approx(own.energy_eV - lowest.energy_eV, abs=2e-3)
    assert found.heights_angstrom[9, 4] == pytest.approx(own.rest_angstrom[0], abs=0.02)


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


def test_molecules_are_turned_to_all_points_that_symmetry_makes_the_same():
    """A field that has the symmetry of the slab comes back from the points that are computed; one that leans at random gets the symmetry."""
    clean, points = slab(SURFACE), 12
    cell, operations = cell_in_plane(clean), symmetry_operations(clean)
    places = grid(points)
    tops = np.stack(np.meshgrid(*[np.arange(-2, 3, 0.5)] * 2), axis=-1).reshape(-1, 2)

    def field(at):
        """Away from the tops."""
        apart = (at[:, None] - tops) @ cell
        return (apart * np.exp(-(apart**2).sum(-1, keepdims=True))).sum(1)

    def found_at(at):
        leans = np.column_stack([np.full(len(at), 1.5), field(at), np.full(len(at), 1.1)])
        springs = np.einsum("ni,nj->nij", leans, leans) + np.eye(4)
        return AtRest(field(at)[:, 0] ** 2 + field(at)[:, 1] ** 2, leans, springs)

    distinct = places[distinct_points(places, operations, SAME)[0]]
    whole, expected = over_cell(found_at(distinct), distinct, operations, cell, points), found_at(places)
    np.testing.assert_allclose(whole.rest_angstrom.reshape(-1, 4), expected.rest_angstrom, atol=1e-9)
    np.testing.assert_allclose(
        whole.stiffness_eV_per_angstrom2.reshape(-1, 4, 4), expected.stiffness_eV_per_angstrom2, atol=1e-9
    )
    np.testing.assert_allclose(
        whole.energies_eV.ravel(), expected.energy_eV - expected.energy_eV.min(), atol=1e-9
    )
    even = found_at(distinct)
    lone = even._replace(rest_angstrom=even.rest_angstrom + np.array([0.0, 0.3, 0.1, 0.0]))
    leaning = over_cell(lone, distinct, operations, cell, points)
    assert np.abs(leaning.rest_angstrom[0, 0, 1:3]).max() < 1e-9  # a top has a threefold axis
