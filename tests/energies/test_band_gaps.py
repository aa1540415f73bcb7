"""Gaps of levels, and meshes that hold the point where the bands of graphite touch."""

import numpy as np
import pytest

from dig_core.data.carbon_phases import cells_of_phases
from dig_core.energies.band_gaps import gap_eV, k_mesh


def test_a_gap_is_between_any_two_k_points_and_small_ones_are_none():
    levels = np.array([[-3.0, 0.5, 4.0, 6.0], [-2.0, 1.0, 5.0, 7.0], [-4.0, 0.0, 3.5, 9.0]])
    assert gap_eV(levels, 2, 0.3) == pytest.approx(2.5)
    assert gap_eV(levels, 2, 2.6) == 0.0
    assert gap_eV(levels - np.array([0, 0, 3, 3]), 2, 0.3) == 0.0  # bands that overlap


@pytest.mark.parametrize("spacing", [0.2, 0.25, 0.5])
def test_meshes_hold_the_k_point_of_graphite(spacing):
    """K is at (1/3, 1/3, 0) of the primitive cell, and at thirds of every cell whose lattice vectors are whole sums of the primitive ones."""
    cells = [own for name, own in cells_of_phases(6).items() if name.startswith("graphite_aa")]
    assert len(cells) > 5
    for cell in cells:
        divisions = np.array(k_mesh(cell, spacing))
        assert (divisions % 3 == 0).all()
        assert (np.array(cell.lattice.reciprocal_lattice.abc) / divisions).max() <= spacing + 1e-9
