"""What crystals have of a property that they were asked to have: a histogram for every target."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]

SERIES = {
    "training.property": ("known crystals", COLOURS["reference"]),
    "samples.property": ("samples, by the network", COLOURS["samples"]),
    "samples.property_matched": ("samples, by the crystal they match", COLOURS["tight_reference"]),
    "samples.property_labelled": ("samples, computed", COLOURS["competitor"]),
}
BINS = 24
ROW_IN = 1.1


def properties_figure(
    evaluations: Mapping[str, Arrays], asked: Mapping[str, float | None], column: str
) -> tuple[Figure, pandas.DataFrame]:
    """A histogram per target, one below the other: shares of all crystals; a dotted line is at the value that was asked for.

    Args:
        evaluations: arrays of `systems.carbon_property_evaluation.property_metrics`, by target.
        asked: the value of each target, None where nothing was asked for.
        column: name of the property, with its unit at the end.
    """
    name, _, unit = column.rpartition("_")
    edges, tables = _edges(evaluations), []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN / 2, ROW_IN * len(evaluations) + 0.8), layout="constrained")
        panels = figure.subplots(len(evaluations), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (target, arrays) in zip(panels, evaluations.items(), strict=True):
            found = [series for series in SERIES if series in arrays]
            tables += [_histogram(axes, arrays, series, edges).assign(target=target) for series in found]
            if asked[target] is not None:
                axes.axvline(asked[target], color="black", linestyle=":", linewidth=1.0)
            axes.set_ylabel(target.replace("_", " "))
        panels[-1].set_xlabel(f"{name.replace('_', ' ')} ({unit})")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center")
    return figure, pandas.concat(tables, ignore_index=True)


def _edges(evaluations: Mapping[str, Arrays]) -> np.ndarray:
    """Bins that hold all values of all targets."""
    values = np.concatenate(
        [arrays[series] for arrays in evaluations.values() for series in SERIES if series in arrays]
    )
    return np.histogram_bin_edges(values[np.isfinite(values)], BINS)


def _histogram(axes: Axes, arrays: Arrays, series: str, edges: np.ndarray) -> pandas.DataFrame:
    values, (label, colour) = arrays[series], SERIES[series]
    shares = np.histogram(values[np.isfinite(values)], edges)[0] / max(1, len(values))
    known = series == "training.property"
    axes.stairs(shares, edges, color=colour, label=label, fill=known, alpha=0.4 if known else 1.0)
    axes.set_yticks([])
    centres = (edges[1:] + edges[:-1]) / 2
    return pandas.DataFrame({"series": series, "property": centres, "share": shares})
