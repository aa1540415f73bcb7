"""Figure of log densities: against energies, and the free-energy differences that follow from them."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN
from dig_core.units import thermal_energy_kj_per_mol

Arrays = Mapping[str, np.ndarray]
Metrics = Mapping[str, float | int]

DIFFERENCE = "free_energy_difference_phi_negative_phi_positive_kcal_per_mol"
# Ending of the key, name, colour; from top to bottom.
METHODS = (
    ("_tight_reference", "MD, tight reference", COLOURS["tight_reference"]),
    ("_reference", "MD, held out", COLOURS["reference"]),
    ("_training", "MD, training", COLOURS["training"]),
    ("_equal_cost_md", "plain MD, equal cost", COLOURS["competitor"]),
    ("", "counting samples", COLOURS["samples"]),
    ("_of_flow", "counting draws of the flow", COLOURS["samples"]),
    ("_by_density", "by density", COLOURS["samples"]),
    ("_by_reweighting", "by reweighting", COLOURS["samples"]),
)
GROUPS = {
    "main": ("drawn, main basin", {"color": COLOURS["samples"], "marker": "o"}),
    "other": ("drawn, $\\phi > 0$", {"color": COLOURS["relaxed"], "marker": "^"}),
    "reference": ("MD, held out", {"color": COLOURS["reference"], "marker": "s"}),
    "unphysical": ("drawn, unphysical", {"facecolors": "none", "edgecolors": "0.6", "marker": "o"}),
}


def density_figure(
    densities: Mapping[str, Arrays], metrics: Mapping[str, Metrics], temperature_K: float
) -> tuple[Figure, pandas.DataFrame]:
    """Per target a row: log p against -E/kT with the slope of equilibrium, and free energies with their errors.

    `densities` are the arrays of log_density.npz with energies, `metrics` those of the evaluation.
    """
    tables = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 3.3 * len(densities)), layout="constrained")
        panels = figure.subplots(len(densities), 2, squeeze=False, width_ratios=(1.45, 1.0))
        for (left, right), (name, arrays) in zip(panels, densities.items(), strict=True):
            points = density_points(arrays, metrics[name], temperature_K)
            differences = difference_table(metrics[name])
            _draw_points(left, points, metrics[name])
            _draw_differences(right, differences)
            left.set_title(name if len(densities) > 1 else "")
            tables.append(pandas.concat([points, differences]).assign(panel=name))
    return figure, pandas.concat(tables, ignore_index=True)


def density_points(arrays: Arrays, metrics: Metrics, temperature_K: float) -> pandas.DataFrame:
    """A row per structure: `group` (of GROUPS), `log_boltzmann` (-E/kT), `log_density_nats`."""
    energies = arrays["potential_energy_kJ_per_mol"].astype(float)
    limit = metrics.get("highest_physical_energy_kJ_per_mol", np.inf)
    drawn, physical = arrays["source"] == "drawn", arrays["valid"] & (energies <= limit)
    main = arrays["state"] != "phi_positive"
    group = np.where(~drawn, "reference", np.where(~physical, "unphysical", np.where(main, "main", "other")))
    log_boltzmann = -energies / thermal_energy_kj_per_mol(temperature_K)
    values = {"group": group, "log_boltzmann": log_boltzmann, "log_density_nats": arrays["log_density_nats"]}
    return pandas.DataFrame(values).assign(item="structure")


def difference_table(metrics: Metrics) -> pandas.DataFrame:
    """A row per method that has one: `method`, `free_energy_kcal_per_mol`, `standard_error_kcal_per_mol`."""
    rows = [
        {
            "item": "free energy",
            "method": name,
            "free_energy_kcal_per_mol": metrics[f"{DIFFERENCE}{ending}"],
            "standard_error_kcal_per_mol": metrics[f"{DIFFERENCE}{ending}_standard_error"],
        }
        for ending, name, _ in METHODS
        if f"{DIFFERENCE}{ending}" in metrics
    ]
    columns = ["item", "method", "free_energy_kcal_per_mol", "standard_error_kcal_per_mol"]
    return pandas.DataFrame(rows, columns=columns)


def _draw_points(axes: Axes, points: pandas.DataFrame, metrics: Metrics) -> None:
    shown = points[points["group"] != "unphysical"]
    for group in ("unphysical", "reference", "other", "main"):
        own, (name, style) = points[points["group"] == group], GROUPS[group]
        if len(own):
            axes.scatter(own["log_boltzmann"], own["log_density_nats"], s=14, label=name, zorder=3, **style)
    x = np.array([shown["log_boltzmann"].min(), shown["log_boltzmann"].max()])
    main = points[points["group"] == "main"]
    if len(main):
        shift = (main["log_density_nats"] - main["log_boltzmann"]).median()
        axes.plot(x, x + shift, color="0.3", linestyle="--", zorder=2, label="equilibrium: slope 1")
        _draw_fit(axes, main, metrics)
    # Strained structures lie far off; the axes show what equilibrium knows.
    _limits(axes, shown)
    _mark_hidden(axes, points)
    axes.set(xlabel="$-E/kT$ (no unit)", ylabel="log density (nats)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)


def _draw_fit(axes: Axes, main: pandas.DataFrame, metrics: Metrics) -> None:
    slope, correlation = (metrics.get(f"log_p_energy_{key}") for key in ("slope_kT", "correlation"))
    if slope is None:
        return
    x = np.array([main["log_boltzmann"].min(), main["log_boltzmann"].max()])
    y = main["log_density_nats"].mean() + slope * (x - main["log_boltzmann"].mean())
    label = f"fit to drawn: slope {slope:.2f}, r = {correlation:.2f}"
    axes.plot(x, y, color=COLOURS["samples"], zorder=2, label=label)


def _limits(axes: Axes, shown: pandas.DataFrame) -> None:
    for setter, key in ((axes.set_xlim, "log_boltzmann"), (axes.set_ylim, "log_density_nats")):
        low, high = shown[key].min(), shown[key].max()
        margin = 0.06 * (high - low) + 0.5
        setter(low - margin, high + margin)


def _mark_hidden(axes: Axes, points: pandas.DataFrame) -> None:
    """Say how many structures lie outside of the axes."""
    low, high = axes.get_xlim()
    hidden = int((~points["log_boltzmann"].between(low, high)).sum())
    if hidden:
        text = f"{hidden} strained\nnot shown"
        axes.text(0.02, 0.98, text, va="top", color="0.5", transform=axes.transAxes)


def _draw_differences(axes: Axes, differences: pandas.DataFrame) -> None:
    axes.set(xlabel=r"free energy of $\phi > 0$ over $\phi < 0$ (kcal/mol)")
    if differences.empty:
        axes.text(0.5, 0.5, "one state", ha="center", transform=axes.transAxes)
        return
    colours = {name: colour for _, name, colour in METHODS}
    for number, row in enumerate(differences.itertuples()):
        value, error = row.free_energy_kcal_per_mol, row.standard_error_kcal_per_mol
        style = {"color": colours[row.method], "marker": "o", "markersize": 4, "capsize": 3}
        axes.errorbar(value, number, xerr=error, **style)
        text = f"{value:.2f} $\\pm$ {error:.2f}"
        axes.text(1.02, number, text, va="center", transform=axes.get_yaxis_transform())
    best = differences.iloc[0]
    value, error = best["free_energy_kcal_per_mol"], best["standard_error_kcal_per_mol"]
    axes.axvspan(value - error, value + error, color=colours[best["method"]], alpha=0.12, linewidth=0)
    axes.axvline(value, color=colours[best["method"]], linewidth=0.6, alpha=0.5)
    axes.set(
        yticks=range(len(differences)), yticklabels=list(differences["method"]), ylim=(len(differences), -1)
    )
