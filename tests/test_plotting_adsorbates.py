"""The figure of adsorbates shows the sites that hold most samples, and the first sample of each."""

import numpy as np
import pytest
from ase.build import fcc111

from dig_core.plotting_adsorbates import adsorbates_figure, first_samples, placed

SLAB = fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=True)


def arrays() -> dict[str, np.ndarray]:
    """Ten samples: one elsewhere, five at site 2, three at site 0, one at site 1."""
    positions = np.random.default_rng(0).random((10, 2, 3))
    return {
        "samples.positions_angstrom": positions, "samples.sites": np.array([-1, 2, 0, 2, 2, 0, 2, 0, 1, 2]),
        "sites.types": np.array(["fcc", "hcp", "bridge"]),
    }  # fmt: skip


def test_the_fullest_sites_come_first_with_the_first_of_their_samples():
    found = first_samples(arrays())
    assert [(own["site"], own["type"]) for own in found] == [(2, "bridge"), (0, "fcc"), (1, "hcp")]
    assert [own["share"] for own in found] == pytest.approx([0.5, 0.3, 0.1])
    for own, first in zip(found, (1, 2, 8), strict=True):
        np.testing.assert_array_equal(
            own["positions_angstrom"], arrays()["samples.positions_angstrom"][first]
        )


def test_every_target_has_a_row_and_its_atoms_are_in_the_table():
    lone = arrays() | {"samples.sites": np.array([0] * 10)}
    names = ["CO_on_Cu", "NO_on_Cu"]
    figure, table = adsorbates_figure(
        dict.fromkeys(names, SLAB),
        dict.fromkeys(names, np.array([6, 8])),
        dict(zip(names, (arrays(), lone), strict=True)),
    )
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "CO on Cu\nbridge, 50 %", "fcc, 30 %", "hcp, 10 %", "NO on Cu\nfcc, 100 %",
    ]  # fmt: skip
    # Every panel that is drawn has all atoms of four cells.
    assert [len(axes.patches) for axes in figure.axes[:6]] == [50] * 6
    assert table.groupby("target").size().to_dict() == {"CO_on_Cu": 6, "NO_on_Cu": 2}
    assert table["atomic_number"].tolist() == [6, 8] * 4


@pytest.mark.parametrize("fractional", [[0.02, 0.03], [0.9, 0.1], [0.4, 0.6]])
def test_adsorbates_are_moved_by_lattice_vectors_to_the_middle_of_four_cells(fractional):
    cell = np.array(SLAB.cell)[:2, :2]
    positions = np.array([[*np.array(fractional) @ cell, 1.0], [*np.array(fractional) @ cell, 2.2]])
    moved = placed(SLAB, np.array([6, 8]), positions)
    steps = (moved.positions[-2:, :2] - positions[:, :2]) @ np.linalg.inv(cell)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert np.abs(moved.positions[-1, :2] @ np.linalg.inv(cell) - 1.0).max() <= 0.5
    np.testing.assert_allclose(moved.positions[-2:, 2] - SLAB.positions[:, 2].max(), [1.0, 2.2])


def test_a_target_without_a_sample_at_a_site_has_its_name_alone():
    nowhere = arrays() | {"samples.sites": np.full(10, -1)}
    figure, table = adsorbates_figure(
        {"CO_on_Cu": SLAB}, {"CO_on_Cu": np.array([6, 8])}, {"CO_on_Cu": nowhere}
    )
    assert [axes.get_title().strip() for axes in figure.axes if axes.get_title()] == [
        "CO on Cu"
    ] and table.empty
