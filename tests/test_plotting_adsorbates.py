"""The figure of adsorbates shows the sites that hold most samples, and the first sample of each."""

import numpy as np
import pytest
from ase.build import fcc111

from dig_core.plotting_adsorbates import adsorbates_figure, first_samples

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
        "bridge, 50 %", "fcc, 30 %", "hcp, 10 %", "fcc, 100 %",
    ]  # fmt: skip
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["CO on Cu", "NO on Cu"]
    # Every panel that is drawn has all atoms.
    assert [len(axes.patches) for axes in figure.axes[:6]] == [14] * 6
    assert table.groupby("target").size().to_dict() == {"CO_on_Cu": 6, "NO_on_Cu": 2}
    assert table["atomic_number"].tolist() == [6, 8] * 4
