"""The figure of what sits on surfaces: samples at the sites that are filled most, from above and from the side."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from ase import Atoms
from ase.visualize.plot import plot_atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]
SITES = 3  # of each target
MOST = 6  # targets, of more the first ones
VIEWS = ("0x,0y,0z", "-90x,0y,0z")  # from above, from the side


def adsorbates_figure(
    slabs: Mapping[str, Atoms], adsorbed: Mapping[str, np.ndarray], evaluations: Mapping[str, Arrays]
) -> tuple[Figure, pandas.DataFrame]:
    """A row per target: the first sample at each of the sites that hold most samples, with their share.

    Args:
        slabs, adsorbed: of each target, and the atomic numbers of what sits on it.
        evaluations: what `systems.adsorption_evaluation.evaluate` returns, by target.

    Returns:
        The figure, and a table of the atoms that are drawn (heights above the uppermost atom of the slab).
    """
    shown, tables = list(evaluations)[:MOST], []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.5 * len(shown) + 0.2), layout="constrained")
        panels = figure.subplots(len(shown), SITES * len(VIEWS), squeeze=False)
        for axes in panels.ravel():
            axes.set_axis_off()
        for row, target in zip(panels, shown, strict=True):
            row[0].text(0.0, 1.2, target.replace("_", " "), transform=row[0].transAxes, weight="bold")
            for place, own in enumerate(first_samples(evaluations[target])):
                _draw(row[2 * place : 2 * place + 2], slabs[target], adsorbed[target], own)
                tables.append(_atoms(own, adsorbed[target]).assign(target=target))
    return figure, pandas.concat(tables, ignore_index=True)


def first_samples(arrays: Arrays) -> list[dict]:
    """Of the sites that hold most samples: `site` (its number), `type`, `share`, and `positions_angstrom` of the first sample."""
    where = arrays["samples.sites"]
    visited, counts = np.unique(where[where >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SITES]
    return [
        {
            "site": int(number),
            "type": str(arrays["sites.types"][number]),
            "share": count / len(where),
            "positions_angstrom": arrays["samples.positions_angstrom"][np.flatnonzero(where == number)[0]],
        }
        for number, count in zip(visited[order], counts[order], strict=True)
    ]


def _draw(panels: np.ndarray, slab: Atoms, numbers: np.ndarray, own: Mapping) -> None:
    top = np.array([0.0, 0.0, slab.positions[:, 2].max()])
    both = slab + Atoms(numbers, own["positions_angstrom"] + top)
    axes: Axes
    for axes, view in zip(panels, VIEWS, strict=True):
        plot_atoms(both, axes, rotation=view, show_unit_cell=0)
        axes.set_axis_off()
    panels[0].set_title(f"{own['type']}, {100 * own['share']:.0f} %", fontsize="small")


def _atoms(own: Mapping, numbers: np.ndarray) -> pandas.DataFrame:
    x, y, height = own["positions_angstrom"].T
    columns = {"atomic_number": numbers, "x_angstrom": x, "y_angstrom": y, "height_angstrom": height}
    return pandas.DataFrame(columns).assign(site=own["site"], type=own["type"], share=own["share"])
