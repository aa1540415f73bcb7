"""Molecules on a surface: their numbers by hand."""

import numpy as np
import pytest

from dig_core.evaluation.adsorbed_molecules import molecule_metrics, standing, whole

CELL = np.array([[5.0, 0.0], [2.5, 4.3]])


def test_upright_turned_and_broken_molecules_are_counted():
    first = np.array([[0.1, 0.1, 1.0]] * 4)
    apart = np.array([[0.0, 0.0, 1.15], [0.0, 0.0, -1.15], [-0.3, 0.0, 1.2], [0.0, 2.0, 0.5]])
    # The other atom of the third one is an image in the next cell.
    images = np.array([[0, 0], [0, 0], [1, 1], [0, 0]]) @ CELL
    positions = np.stack([first, first + apart + np.pad(images, ((0, 0), (0, 1)))], axis=1)
    found = molecule_metrics(positions, np.full((4, 1), 1.15), CELL)
    errors = np.abs(np.linalg.norm(apart, axis=1) - 1.15)
    assert standing(positions, np.full((4, 1), 1.15), CELL).tolist() == [True, False, True, False]
    assert found["right_end_down_fraction"] == 0.75 and found["dissociated_fraction"] == 0.25
    assert found["bond_error_median_angstrom"] == pytest.approx(np.median(errors))
    assert found["bond_error_p95_angstrom"] == pytest.approx(np.quantile(errors, 0.95))
    assert found["bond_within_0.1_angstrom_fraction"] == 0.75
    np.testing.assert_allclose(whole(positions, CELL)[:, 1] - first, apart, atol=1e-12)


def test_without_samples_there_is_nothing_to_measure():
    with pytest.raises(ValueError, match="at least one sample"):
        molecule_metrics(np.zeros((0, 2, 3)), np.zeros((0, 1)), CELL)
