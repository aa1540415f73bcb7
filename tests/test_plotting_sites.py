"""The figure of adsorption sites shows every target, its sites and its samples."""

import numpy as np

from dig_core.plotting_sites import sites_figure


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "map.cell_angstrom": np.array([[2.5, 0.0], [1.2, 2.2]]), "map.energies_eV": generator.random((6, 8)),
        "sites.positions_angstrom": generator.random((3, 3)), "sites.energies_eV": np.array([0.0, 0.1, 0.2]),
        "sites.populations": np.array([0.7, 0.2, 0.1]), "sites.types": np.array(["fcc", "hcp", "bridge"]),
        "samples.positions_angstrom": generator.random((50, 1, 3)),
    }  # fmt: skip


def test_every_target_has_a_panel_with_its_sites_and_samples():
    figure, table = sites_figure(
        {f"O_on_{k}": arrays() | {"map.energies_eV": (k + 1) * arrays()["map.energies_eV"]} for k in range(5)}
    )
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"O on {k}" for k in range(5)]
    assert len({axes.collections[0].get_clim() for axes in panels}) == 1
    assert [len(line.get_xdata()) for line in panels[0].lines] == [50, 3]
    dense = arrays() | {"density.minus_kT_log_p_eV": arrays()["map.energies_eV"]}
    both, _ = sites_figure({"O_on_0": dense, "O_on_1": arrays()})
    assert [axes.get_title() for axes in both.axes[:3]] == ["O on 0", "$-kT$ ln $p$", "O on 1"]
    assert [len(axes.lines) for axes in both.axes[:3]] == [2, 1, 2]  # samples over energies alone
    assert len(table) == 15 and table["population"].groupby(table["target"]).sum().round(6).eq(1.0).all()
