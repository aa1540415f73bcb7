"""The figure of training from energies: exact densities beside learned ones, and the weights of their modes."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, MARKERS, STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]

SHOWN = {"exact": COLOURS["reference"], "potential": COLOURS["samples"], "score": COLOURS["training"]}
NAMES = {"exact": "exact", "potential": "potential", "score": "free score"}


def densities_figure(evaluations: Mapping[str, Arrays]) -> tuple[Figure, pandas.DataFrame]:
    """A row per target: the exact density, that of the first seed of each form, and the weights of the modes of all seeds.

    `evaluations` holds what `systems.analytic_evaluation.evaluation_arrays` returns, by target.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.1 * len(evaluations)), layout="constrained")
        panels = figure.subplots(len(evaluations), 4, squeeze=False)
        for row, (target, arrays) in zip(panels, evaluations.items(), strict=True):
            _draw_densities(row[:3], arrays)
            _draw_populations(row[3], arrays)
            row[0].set_ylabel(target.replace("_", " "))
        handles, labels = panels[0, 3].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    tables = [_table(arrays).assign(target=target) for target, arrays in evaluations.items()]
    return figure, pandas.concat(tables, ignore_index=True)


def _series(arrays: Arrays, form: str) -> list[str]:
    """Names of the series of a form in the order of their seeds."""
    names = [key.removesuffix(".density") for key in arrays if key.endswith(".density")]
    own = [name for name in names if name.partition("_seed_")[0] == form]
    return sorted(own, key=lambda name: int(name.partition("_seed_")[2] or 0))


def _draw_densities(panels: np.ndarray, arrays: Arrays) -> None:
    """Maps in the plane, all on one scale; distributions of distances with the exact one behind."""
    exact = arrays["exact.density"]
    for axes, form in zip(panels, SHOWN, strict=True):
        names = _series(arrays, form)
        axes.set_title(NAMES[form])
        if not names:
            axes.set_axis_off()
        elif exact.ndim == 1:
            axes.stairs(exact, arrays["x_edges"], color=SHOWN["exact"], fill=True, alpha=0.3)
            axes.stairs(arrays[f"{names[0]}.density"], arrays["x_edges"], color=SHOWN[form])
            axes.set(xlabel="pair distance", yticks=[])
        else:
            density = np.ma.masked_less_equal(arrays[f"{names[0]}.density"].T, 1e-3 * exact.max())
            mesh = (arrays["x_edges"], arrays["y_edges"], np.ma.sqrt(density))
            axes.pcolormesh(*mesh, vmin=0.0, vmax=np.sqrt(exact.max()), cmap="viridis", rasterized=True)
            axes.set_aspect("equal")


def _draw_populations(axes: Axes, arrays: Arrays) -> None:
    """Bars for the exact weights, a mark per seed and form."""
    exact = arrays["exact.populations"]
    modes = np.flatnonzero(exact > 0.005)
    places = np.arange(len(modes))
    axes.bar(places, exact[modes], color=SHOWN["exact"], alpha=0.4, label=NAMES["exact"])
    for shift, form, marker in ((-0.15, "potential", MARKERS[0]), (0.15, "score", MARKERS[1])):
        for number, name in enumerate(_series(arrays, form)):
            style = {"color": SHOWN[form], "marker": marker, "linestyle": "", "markersize": 4, "alpha": 0.8}
            label = NAMES[form] if number == 0 else None
            axes.plot(places + shift, arrays[f"{name}.populations"][modes], label=label, **style)
    axes.set_title("weights of the modes")
    labels = [str(name).removeprefix("mode_").replace("_", "\n") for name in arrays["modes"][modes]]
    axes.set(ylim=(0, None), xticks=places, xticklabels=labels)


def _table(arrays: Arrays) -> pandas.DataFrame:
    """What a row shows: `item` (density, population), `series, x, y, mode, value`."""
    parts = []
    middles = [(arrays[k][1:] + arrays[k][:-1]) / 2 for k in ("x_edges", "y_edges") if k in arrays]
    x, *y = (grid.ravel() for grid in np.meshgrid(*middles, indexing="ij"))
    for key in (key for key in arrays if key.endswith(".density")):
        series = key.removesuffix(".density")
        own = {"item": "density", "series": series, "x": x, "y": y[0] if y else np.nan, "mode": ""}
        parts.append(pandas.DataFrame({**own, "value": arrays[key].ravel()}))
        population = {"item": "population", "series": series, "x": np.nan, "y": np.nan}
        values = {"mode": arrays["modes"], "value": arrays[f"{series}.populations"]}
        parts.append(pandas.DataFrame({**population, **values}))
    return pandas.concat(parts, ignore_index=True)
