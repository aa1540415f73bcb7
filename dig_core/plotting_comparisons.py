"""The figure of studies side by side: a row per study, its divergence from dynamics and the population that few frames lack."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, MARKERS, NAMES, STYLE, WIDTH_IN

BEST = "as many draws of the tight reference"
SHOWN = {
    "jensen_shannon_nats": "Jensen-Shannon divergence / nats",
    "population_phi_positive": "P(phi > 0)",
}
ENDINGS = {"": "samples", "_relaxed": "relaxed"}


def read_table(path: str | Path) -> pandas.DataFrame:
    """The rows of a comparison, as `evaluation.tables.comparison_csv` writes them."""
    return pandas.read_csv(path)


def comparison_figure(table: pandas.DataFrame) -> tuple[Figure, pandas.DataFrame]:
    """Dots with the standard deviation over seeds, before and after relaxation; a line for the best that can be reached.

    `table` is tables/pidp.csv: a row per study, and last those that are not studies. The table returned holds what is shown:
    `study, metric, series, value, standard_deviation`.
    """
    rows = table[table["study"] != BEST].dropna(subset=list(SHOWN)).reset_index(drop=True)
    best = table[table["study"] == BEST]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 0.8 + 0.24 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(SHOWN), sharey=True, squeeze=False)[0]
        for axes, (key, label) in zip(panels, SHOWN.items(), strict=True):
            _draw(axes, rows, key)
            if len(best):
                axes.axvline(
                    best[key].iloc[0],
                    color=COLOURS["tight_reference"],
                    linestyle=":",
                    label=NAMES["tight_reference"],
                )
            axes.set(xlabel=label, xlim=(0.0, None))
        labels = [name.replace("_", " ") for name in rows["study"]]
        panels[0].set(yticks=np.arange(len(rows)), yticklabels=labels)
        panels[0].invert_yaxis()
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure, pandas.concat([_shown(rows, key) for key in SHOWN], ignore_index=True)


def _draw(axes: Axes, rows: pandas.DataFrame, key: str) -> None:
    places = np.arange(len(rows))
    for shift, marker, (ending, series) in zip((-0.12, 0.12), MARKERS, ENDINGS.items(), strict=False):
        if f"{key}{ending}" in rows:
            style = {"color": COLOURS[series], "marker": marker, "linestyle": "", "markersize": 4}
            values, spread = rows[f"{key}{ending}"], rows[f"{key}{ending}_sd"]
            axes.errorbar(values, places + shift, xerr=spread.fillna(0.0), label=NAMES[series], **style)


def _shown(rows: pandas.DataFrame, key: str) -> pandas.DataFrame:
    parts = [
        pandas.DataFrame({
            "study": rows["study"],
            "metric": key,
            "series": series,
            "value": rows[f"{key}{ending}"],
            "standard_deviation": rows[f"{key}{ending}_sd"],
        })
        for ending, series in ENDINGS.items()
        if f"{key}{ending}" in rows
    ]  # fmt: skip
    return pandas.concat(parts, ignore_index=True).dropna(subset=["value"])
