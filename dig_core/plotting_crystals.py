"""The figure of a study of crystals: densities, bonding and matches of what is drawn, beside known crystals."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from ase import Atoms
from ase.visualize.plot import plot_atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.crystals import crystals_of
from dig_core.plotting import COLOURS, STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]

SERIES = {
    "training": ("real crystals", COLOURS["reference"]),
    "noise_floor": ("real crystals", COLOURS["reference"]),
    "samples": ("samples", COLOURS["samples"]),
    "baseline_random_cells": ("random cells", COLOURS["tight_reference"]),
}
# Label, and the real crystals that are shown.
HISTOGRAMS = {
    "density_g_per_cm3": ("density (g/cm$^3$)", "training"),
    "most_bonded_share": ("atoms with most neighbours (share)", "training"),
    "match_rms": ("distance from match", "noise_floor"),
}
LARGEST_SHOWN = 1.5  # times the largest of the real crystals
BINS = 24


def crystals_figure(
    evaluations: Mapping[str, Arrays], samples: Mapping[str, Arrays]
) -> tuple[Figure, pandas.DataFrame]:
    """A row per target: histograms of density, bonding and distance from known crystals, and the three crystals that are drawn most often.

    `evaluations` holds what `systems.carbon_evaluation.evaluate` returns, by target; distances are in units of (V/N)^(1/3).
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.0 * len(evaluations) + 0.3), layout="constrained")
        panels = figure.subplots(len(evaluations), 6, squeeze=False, width_ratios=(3, 3, 3, 2, 2, 2))
        tables = []
        for row, (target, arrays) in zip(panels, evaluations.items(), strict=True):
            tables += [
                _histogram(axes, arrays, name).assign(target=target)
                for axes, name in zip(row[:3], HISTOGRAMS, strict=True)
            ]
            draw_frequent(row[3:], arrays, samples[target])
            row[0].set_ylabel(target.replace("_", " "))
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure, pandas.concat(tables, ignore_index=True)


def _histogram(axes: Axes, arrays: Arrays, name: str) -> pandas.DataFrame:
    """Shares of crystals in bins, of all series that have the quantity; what lies outside counts in the last bin."""
    label, real = HISTOGRAMS[name]
    shown = {
        key: arrays[f"{key}.{name}"]
        for key in (real, "samples", "baseline_random_cells")
        if f"{key}.{name}" in arrays
    }
    finite = {key: values[np.isfinite(values)] for key, values in shown.items()}
    largest = LARGEST_SHOWN * finite[real].max(initial=0.0) if name != "match_rms" and real in finite else 0.3
    edges, tables = np.linspace(0.0, largest or 1.0, BINS + 1), []
    for series, values in finite.items():
        shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(shown[series])
        title, colour = SERIES[series]
        axes.stairs(shares, edges, color=colour, label=title, fill=series == real, alpha=0.8)
        own = {"quantity": name, "series": series, "x": (edges[1:] + edges[:-1]) / 2, "share": shares}
        tables.append(pandas.DataFrame(own))
    axes.set(xlabel=label, yticks=[])
    return pandas.concat(tables, ignore_index=True)


def draw_frequent(panels: np.ndarray, arrays: Arrays, samples: Arrays) -> None:
    """Of the prototypes that are drawn most often the sample that is nearest, repeated, with its share of all samples."""
    nearest, rms = arrays["samples.nearest"], arrays["samples.match_rms"]
    numbers, counts = np.unique(nearest[nearest >= 0], return_counts=True)
    structures = crystals_of(samples).structures()
    for axes in panels:
        axes.set_axis_off()
    for axes, place in zip(panels, np.argsort(-counts)[: len(panels)], strict=False):
        own = np.where(nearest == numbers[place], rms, np.inf)
        _draw_crystal(axes, structures[int(np.argmin(own))].to_ase_atoms())
        axes.set_title(f"{100 * counts[place] / len(nearest):.0f} %")


def _draw_crystal(axes: Axes, crystal: Atoms) -> None:
    cell = crystal.repeat((2, 2, 2))
    plot_atoms(cell, axes, radii=0.35, rotation="-75x,12y,5z", show_unit_cell=0)
    axes.set_axis_off()
