"""The figure of a study of adsorption: samples over energy maps."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]
COLUMNS = 4
MOST = 12  # targets, of more the first ones
DOTS = 300
PANEL_IN, TITLE_IN = 0.85 * WIDTH_IN / COLUMNS, 0.4  # beside the colour bar; above each map
HIGHEST_EV = 1.0
ENERGY, LOG_DENSITY = "map.energies_eV", "density.minus_kT_log_p_eV"


def sites_figure(evaluations: Mapping[str, Arrays]) -> tuple[Figure, pandas.DataFrame]:
    """Energy in eV over the cell of each target, circles at the sites, dots where samples are; beside it -kT ln p, where there is a density.

    The table is of all targets, the figure of the first `MOST`.
    """
    with matplotlib.rc_context(STYLE):
        shown_maps = [
            (target if name == ENERGY else "", name, arrays)
            for target, arrays in list(evaluations.items())[:MOST]
            for name in (ENERGY, LOG_DENSITY)
            if name in arrays
        ]
        rows = -(-len(shown_maps) // COLUMNS)
        tallest = max(_aspect(own["map.cell_angstrom"]) for own in evaluations.values())
        height_in = rows * (PANEL_IN * tallest + TITLE_IN)
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        highest = min(HIGHEST_EV, max(own[ENERGY].max() for own in evaluations.values()))
        for axes, (target, name, arrays) in zip(panels, shown_maps, strict=False):
            shown = site_map(axes, arrays, name, highest)
            axes.set_title(target.replace("_", " ") or "$-kT$ ln $p$")
        for axes in panels[len(shown_maps) :]:
            axes.set_axis_off()
        figure.colorbar(shown, ax=panels, label="energy (eV)", shrink=0.6)
    return figure, pandas.concat([_sites(arrays).assign(target=name) for name, arrays in evaluations.items()])


def site_map(axes: Axes, arrays: Arrays, name: str, highest_eV: float):
    """Energies of that name over the cell, coloured from 0 to the highest, the sites, and over ENERGY the first samples."""
    cell, energies = arrays["map.cell_angstrom"], arrays[name]
    first, second = (np.arange(n + 1) / n for n in energies.shape)
    corners = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1) @ cell
    closed = np.pad(energies, (0, 1), mode="wrap")
    shown = axes.pcolormesh(
        *np.moveaxis(corners, -1, 0),
        closed,
        vmin=0.0,
        vmax=highest_eV,
        shading="gouraud",
        cmap="viridis",
        rasterized=True,
    )
    samples, sites = arrays["samples.positions_angstrom"][:DOTS, 0], arrays["sites.positions_angstrom"]
    if name == ENERGY:
        axes.plot(*samples[:, :2].T, ".", color=COLOURS["samples"], markersize=1)
    axes.plot(*sites[:, :2].T, "o", color="white", fillstyle="none", markersize=4)
    axes.set(aspect="equal")
    axes.set_axis_off()
    return shown


def _aspect(cell: Float[np.ndarray, "2 2"]) -> float:
    """Height over width of a cell."""
    width, height = np.abs(cell).sum(axis=0)
    return height / width


def _sites(arrays: Arrays) -> pandas.DataFrame:
    x, y, height = arrays["sites.positions_angstrom"].T
    return pandas.DataFrame(
        {
            "type": arrays["sites.types"], "energy_eV": arrays["sites.energies_eV"], "population": arrays["sites.populations"],
            "x_angstrom": x, "y_angstrom": y, "height_angstrom": height,
        }
    )  # fmt: skip
