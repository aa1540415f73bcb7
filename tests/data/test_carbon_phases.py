"""Named phases of carbon: densities, bonds and stackings as measured, and as many cells as others have counted."""

import itertools

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from dig_core.data.carbon_phases import PHASES, SPACING, cells_of_phases, phase, supercells

BONDED = 1.85  # Angstrom
# Multiples 1, 2, ... of fcc and hexagonal cells: Hart and Forcade, Phys. Rev. B 77, 224115 (2008); 80, 014120 (2009).
DISTINCT_CELLS = {
    "diamond": [1, 2, 3, 7, 5, 10, 7, 20],
    "graphite_aa": [1, 3, 5, 11, 7, 19, 11, 34],
    "graphite_ab": [1, 3, 5, 11, 7, 19],
    "lonsdaleite": [1, 3, 5, 11, 7, 19],
}


@pytest.mark.parametrize(
    ("name", "atoms", "density", "neighbours", "bond"),
    [
        ("diamond", 2, 3.515, 4, 1.5446),
        ("lonsdaleite", 4, 3.52, 4, 1.5438),
        ("graphite_aa", 2, 2.267, 3, 1.4209),
        ("graphite_ab", 4, 2.267, 3, 1.4209),
        ("graphite_abc", 2, 2.267, 3, 1.4209),
    ],
)
def test_phases_have_measured_densities_and_bonds(name, atoms, density, neighbours, bond):
    crystal = phase(name)
    first, _, _, distances = crystal.get_neighbor_list(BONDED)
    assert len(crystal) == atoms and set(crystal.atomic_numbers) == {6}
    assert crystal.density == pytest.approx(density, abs=0.003)
    assert np.bincount(first).tolist() == [neighbours] * atoms
    assert distances.mean() == pytest.approx(bond, abs=1e-4) and np.ptp(distances) < 0.002


@pytest.mark.parametrize(
    ("name", "above_and_below"),
    [("graphite_aa", [2, 2]), ("graphite_ab", [0, 0, 2, 2]), ("graphite_abc", [1, 1])],
)
def test_layers_are_stacked_as_the_name_says(name, above_and_below):
    first, _, _, distances = phase(name).get_neighbor_list(SPACING + 0.01)
    touching = np.isclose(distances, SPACING, atol=1e-3)
    assert sorted(np.bincount(first[touching], minlength=len(phase(name)))) == above_and_below


def test_an_unknown_phase_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"expected one of diamond, .*; got chaoite") as caught:
        phase("chaoite")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DISTINCT_CELLS)
def test_there_are_as_many_cells_as_others_have_counted(name):
    own, wanted = phase(name), DISTINCT_CELLS[name]
    assert [len(supercells(own, len(own) * k)) for k in range(1, len(wanted) + 1)] == wanted


@pytest.mark.parametrize("name", PHASES)
def test_cells_hold_the_crystal_again_and_differ(name):
    own, exactly = phase(name), {"ltol": 1e-3, "stol": 1e-3, "angle_tol": 0.1}
    cells = supercells(own, 3 * len(own))
    for cell in cells:
        assert len(cell) == 3 * len(own) and cell.volume == pytest.approx(3 * own.volume)
        assert np.allclose(cell.lattice.abc, cell.get_reduced_structure("niggli").lattice.abc)
        assert StructureMatcher(scale=False, **exactly).fit(own, cell)
    as_they_are = StructureMatcher(primitive_cell=False, **exactly)
    assert len(cells) >= 3 and not any(as_they_are.fit(a, b) for a, b in itertools.combinations(cells, 2))


def test_there_is_no_cell_of_a_number_that_is_no_multiple():
    assert supercells(phase("graphite_ab"), 6) == [] and supercells(phase("diamond"), 1) == []


def test_cells_of_phases_are_all_and_named():
    cells = cells_of_phases(6)
    assert sorted(len(cell) for cell in cells.values()) == [2] * 3 + [4] * 10 + [6] * 13
    assert len(cells["diamond_6_3"]) == 6 and "diamond_6_4" not in cells
    assert cells["graphite_ab_4_1"].density == pytest.approx(2.267, abs=0.003)
    assert {name.rsplit("_", 2)[0] for name in cells} == set(PHASES)
    assert cells_of_phases(1) == {}
