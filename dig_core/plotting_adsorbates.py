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
NOTHING = {"positions_angstrom": np.zeros((0, 3)), "site": -1, "type": "", "share": 0.0}
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
    shown, tables = list(evaluations)[:MOST], [_atoms(NOTHING, np.zeros(0, dtype=int)).assign(target="")]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.5 * len(shown) + 0.2), layout="constrained")
        panels = figure.subplots(len(shown), SITES * len(VIEWS), squeeze=False)
        for axes in panels.ravel():
            axes.set_axis_off()
        for row, target in zip(panels, shown, strict=True):
            for place, own in enumerate(first_samples(evaluations[target])):
                panels_of_site = row[2 * place : 2 * place + 2]
                _draw(panels_of_site, placed(slabs[target], adsorbed[target], own["positions_angstrom"]))
                panels_of_site[0].set_title(f"{own['type']}, {100 * own['share']:.0f} %", fontsize="small")
                tables.append(_atoms(own, adsorbed[target]).assign(target=target))
            row[0].set_title(f"{target.replace('_', ' ')}\n{row[0].get_title()}", fontsize="small")
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


def placed(slab: Atoms, numbers: np.ndarray, positions: np.ndarray) -> Atoms:
    """Two by two cells of the slab with one adsorbate (heights above the uppermost atom), its image nearest to the middle."""
    cell, top = np.array(slab.cell), np.array([0.0, 0.0, slab.positions[:, 2].max()])
    fractional = positions[0, :2] @ np.linalg.inv(cell[:2, :2])
    to_middle = np.rint(1.0 - fractional) @ cell[:2]
    return slab.repeat((2, 2, 1)) + Atoms(numbers, positions + top + to_middle)


def _draw(panels: np.ndarray, both: Atoms) -> None:
    axes: Axes
    for axes, view in zip(panels, VIEWS, strict=True):
        plot_atoms(both, axes, rotation=view, show_unit_cell=0)
        axes.set_axis_off()


def _atoms(own: Mapping, numbers: np.ndarray) -> pandas.DataFrame:
    x, y, height = own["positions_angstrom"].T
    columns = {"atomic_number": numbers, "x_angstrom": x, "y_angstrom": y, "height_angstrom": height}
    return pandas.DataFrame(columns).assign(site=own["site"], type=own["type"], share=own["share"])
