"""Figures from the arrays of an evaluation; every one comes with a table of what it shows.

Colours are those of Okabe and Ito ("Color universal design", 2008), told apart by colour-blind readers.
Figures are made without a display: nothing here opens a window.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from dig_core.evaluation.drawn import Arrays, profiles, reference_grid, seen_from_the_side

STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}
WIDTH_IN = 7.2  # two columns of a journal
COLOURS = {
    "samples": "#D55E00",
    "reference": "#0072B2",
    "training": "#009E73",
    "competitor": "#CC79A7",
    "relaxed": "#E69F00",
    "tight_reference": "#000000",
}
NAMES = {
    "samples": "samples",
    "reference": "MD, held out",
    "training": "MD, training",
    "competitor": "plain MD, equal cost",
    "relaxed": "samples, relaxed",
    "tight_reference": "MD, tight reference",
}
LINES = {"training": "--", "tight_reference": ":"}
ELEMENTS = {1: "#E8E8E8", 6: "#555555", 7: "#0072B2", 8: "#D55E00", 15: "#CC79A7", 16: "#E69F00"}
SOLVERS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
MARKERS = "osD^v"
GREEK = {"alpha", "beta", "gamma", "phi", "psi", "pi"}
HIGHEST_KCAL_PER_MOL = 6.0
DOTS = 3000


def write(path: str | Path, figure: Figure, table: pandas.DataFrame) -> None:
    """Write the table to a .parquet file, the figure to any other (.png, .pdf)."""
    if Path(path).suffix == ".parquet":
        table.to_parquet(path, index=False)
        return
    # Without a date the same figure gives the same file.
    metadata = {"CreationDate": None} if Path(path).suffix == ".pdf" else {}
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, metadata=metadata)


def landscape_figure(evaluations: Mapping[str, Arrays]) -> tuple[Figure, pandas.DataFrame]:
    """Per target a row: the landscape with structures, and beside it F along the first coordinate."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 3.4 * len(evaluations)), layout="constrained")
        grid = figure.add_gridspec(len(evaluations), 3, width_ratios=(3.1, 1.0, 2.3))
        for row, (name, arrays) in enumerate(evaluations.items()):
            axes = figure.add_subplot(grid[row, 0])
            draw_landscape(axes, arrays, title=name if len(evaluations) > 1 else "")
            draw_representatives(axes, grid[row, 1], arrays)
            draw_profiles(figure.add_subplot(grid[row, 2]), arrays)
    return figure, landscape_table(evaluations)


def figure_2a(evaluations: Mapping[str, Arrays], columns: int = 2) -> tuple[Figure, pandas.DataFrame]:
    """Landscapes with sampled structures, side by side, each with its title."""
    rows, columns = -(-len(evaluations) // columns), min(columns, len(evaluations))
    with matplotlib.rc_context(STYLE):
        size = (WIDTH_IN if columns > 1 else 0.65 * WIDTH_IN, 3.3 * rows)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(rows, 2 * columns, width_ratios=(3.1, 1.0) * columns)
        for number, (title, arrays) in enumerate(evaluations.items()):
            row, column = divmod(number, columns)
            axes = figure.add_subplot(grid[row, 2 * column])
            draw_landscape(axes, arrays, title)
            draw_representatives(axes, grid[row, 2 * column + 1], arrays)
    return figure, landscape_table(evaluations)


def draw_landscape(axes: Axes, arrays: Arrays, title: str = "") -> None:
    """Free energy of the reference as filled contours (kcal/mol), samples as dots."""
    x, y, energy = reference_grid(arrays, wrapped=True)
    scale = _scale(arrays)
    levels = np.arange(0.0, HIGHEST_KCAL_PER_MOL + 0.25, 0.5)
    shown = np.ma.masked_invalid(energy.T)
    filled = axes.contourf(scale * x, scale * y, shown, levels=levels, cmap="Blues_r")
    points = scale * arrays["samples.plane"][:DOTS]
    axes.scatter(*points.T, s=1.5, color=COLOURS["samples"], alpha=0.5, linewidths=0, rasterized=True)
    label = "free energy of MD (kcal/mol)"
    axes.figure.colorbar(
        filled, ax=axes, label=label, location="bottom", ticks=range(7), aspect=30, shrink=0.9
    )
    axes.set_title(title)
    axes.set(xlabel=_labels(arrays)[0], ylabel=_labels(arrays)[1])
    if arrays["is_torsion_plane"]:
        axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=range(-180, 181, 90), yticks=range(-180, 181, 90))


def draw_representatives(axes: Axes, cell, arrays: Arrays) -> None:
    """Draw sampled structures in the cell of the grid, each with a line to its point in the landscape."""
    names, points = arrays["representatives.names"], _scale(arrays) * arrays["representatives.plane"]
    # From top to bottom as in the landscape, so that no lines cross.
    order = np.argsort(-points[:, 1])
    insets = cell.subgridspec(max(1, len(order)), 1).subplots(squeeze=False)[:, 0]
    for inset, index in zip(insets, order, strict=False):
        structure = arrays["representatives.positions_angstrom"][index]
        draw_structure(inset, structure, arrays["atomic_numbers"], arrays["bonds"])
        inset.set_title(state_label(str(names[index])), pad=1)
        axes.plot(*points[index], "o", color="white", markeredgecolor="black", markersize=5)
        text = axes.annotate(
            state_label(str(names[index])), points[index], (4, 4), textcoords="offset points"
        )
        text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
        line = ConnectionPatch(
            points[index],
            (0.0, 0.5),
            "data",
            "axes fraction",
            axesA=axes,
            axesB=inset,
            color="0.35",
            linewidth=0.7,
        )
        line.set_in_layout(False)
        line.set_zorder(5)  # over the landscape
        axes.figure.add_artist(line)
    for inset in insets[len(order) :]:
        inset.set_axis_off()


def draw_structure(axes: Axes, positions: np.ndarray, atomic_numbers: np.ndarray, bonds: np.ndarray) -> None:
    """Draw bonds as lines and atoms as discs coloured by element, the nearer ones over the others."""
    x, y, depth = seen_from_the_side(positions, atomic_numbers).T
    for i, j in bonds:
        thin = 1 in (atomic_numbers[i], atomic_numbers[j])
        style = {"color": "0.5", "linewidth": 0.8} if thin else {"color": "0.35", "linewidth": 2.0}
        axes.plot(x[[i, j]], y[[i, j]], zorder=10 + (depth[i] + depth[j]) / 2, **style)
    for atom, number in enumerate(atomic_numbers):
        size = 9.0 if number == 1 else 40.0
        style = {"color": ELEMENTS.get(int(number), "#009E73"), "edgecolors": "0.3", "linewidths": 0.4}
        axes.scatter(x[atom], y[atom], s=size, zorder=10 + depth[atom], **style)
    axes.set_aspect("equal")
    axes.margins(0.12)
    axes.set_axis_off()


def draw_profiles(axes: Axes, arrays: Arrays) -> None:
    """Free energy along the first coordinate: samples (relaxed too), held-out and training replica, tight reference."""
    for series, (x, energy) in profiles(arrays).items():
        style = {"color": COLOURS[series], "linestyle": LINES.get(series, "-"), "label": NAMES[series]}
        axes.plot(_scale(arrays) * x, energy, **style)
    axes.set(xlabel=_labels(arrays)[0], ylabel="free energy (kcal/mol)", ylim=(0, 8))
    if arrays["is_torsion_plane"]:
        axes.set(xlim=(-180, 180), xticks=range(-180, 181, 90))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)


def landscape_table(evaluations: Mapping[str, Arrays]) -> pandas.DataFrame:
    """What the landscapes show, a row per mark: `panel, item` (bin, dot, profile, atom), `series, x, y, value`.

    x and y are in the unit of the axes (degrees for torsions, Angstrom for atoms, whose z is the value); values
    of bins and profiles are free energies in kcal/mol.
    """
    parts = []
    for panel, arrays in evaluations.items():
        x, y, energy = reference_grid(arrays)
        scale, dots = _scale(arrays), _scale(arrays) * arrays["samples.plane"][:DOTS]
        grid_x, grid_y = np.meshgrid(scale * x, scale * y, indexing="ij")
        parts.append(_rows(panel, "bin", "reference", grid_x.ravel(), grid_y.ravel(), energy.ravel()))
        parts.append(_rows(panel, "dot", "samples", *dots.T, np.nan))
        for series, (along, profile) in profiles(arrays).items():
            parts.append(_rows(panel, "profile", series, scale * along, np.nan, profile))
        structures = arrays["representatives.positions_angstrom"]
        for name, structure in zip(arrays["representatives.names"], structures, strict=True):
            parts.append(_rows(panel, "atom", str(name), *structure.T))
    return pandas.concat(parts, ignore_index=True)


def energies_figure(evaluations: Mapping[str, Arrays]) -> tuple[Figure, pandas.DataFrame]:
    """Distributions of potential energies (kJ/mol) with the reference's 99th percentile, a panel per target."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.62 * WIDTH_IN, 2.8 * len(evaluations)), layout="constrained")
        panels = figure.subplots(len(evaluations), 1, squeeze=False)[:, 0]
        parts = []
        for axes, (name, arrays) in zip(panels, evaluations.items(), strict=True):
            parts.append(_draw_energies(axes, arrays).assign(panel=name))
            axes.set_title(name if len(evaluations) > 1 else "")
    return figure, pandas.concat(parts, ignore_index=True)


def _draw_energies(axes: Axes, arrays: Arrays) -> pandas.DataFrame:
    limit = float(arrays["energy_p99_kJ_per_mol"])
    reference = arrays["reference.potential_energy_kJ_per_mol"]
    low = np.quantile(reference, 1e-4)
    edges = np.linspace(low, limit + 0.35 * (limit - low), 80)
    parts = []
    for series in ("reference", "competitor", "relaxed", "samples"):
        energies = arrays.get(f"{series}.potential_energy_kJ_per_mol")
        if energies is None:
            continue
        weights = arrays[f"{series}.weights"].astype(float)
        # Divided by all weight: what lies beyond the axis is not spread over it.
        density = np.histogram(energies, bins=edges, weights=weights)[0] / (weights.sum() * np.diff(edges))
        below = weights[energies <= limit].sum() / weights.sum()
        label = f"{NAMES[series]} ({100 * below:.1f} % below)"
        axes.stairs(density, edges, color=COLOURS[series], linewidth=1.4, label=label)
        middle = (edges[1:] + edges[:-1]) / 2
        parts.append(pandas.DataFrame({"series": series, "energy_kJ_per_mol": middle, "density": density}))
    axes.axvline(limit, color="0.4", linestyle=":", label="99th percentile of MD")
    axes.set(xlabel="potential energy (kJ/mol)", ylabel="density (mol/kJ)", xlim=(edges[0], edges[-1]))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)
    return pandas.concat(parts)


def samplers_figure(
    rows: Mapping[str, Sequence[Mapping[str, float | str]]],
) -> tuple[Figure, pandas.DataFrame]:
    """Distance from the reference against network evaluations for every solver; a row of panels per target.

    `rows` holds what `evaluation.sampler_quality` returns, by target.
    """
    tables = {target: pandas.DataFrame(list(values)) for target, values in rows.items()}
    shown = {
        "energy_wasserstein_kJ_per_mol": "Wasserstein distance\nof energies (kJ/mol)",
        "jensen_shannon_nats_25_bins": "Jensen-Shannon divergence\non 25 x 25 bins (nats)",
    }
    keys = [key for key in shown if any(key in table for table in tables.values())]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.5 * WIDTH_IN * len(keys), 2.9 * len(tables)), layout="constrained")
        panels = figure.subplots(len(tables), len(keys), squeeze=False)
        for line, (target, table) in zip(panels, tables.items(), strict=True):
            for axes, key in zip(line, keys, strict=True):
                _draw_quality(axes, table, key)
                axes.set(ylabel=shown[key], title=target if len(tables) > 1 else "")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure, pandas.concat([t.assign(target=n) for n, t in tables.items()], ignore_index=True)


def _draw_quality(axes: Axes, table: pandas.DataFrame, key: str) -> None:
    floor = table[table["solver"] == "noise_floor"]
    solvers = table[table["solver"] != "noise_floor"]
    for number, (solver, own) in enumerate(solvers.groupby("solver")):
        style = {"color": SOLVERS[number % 5], "marker": MARKERS[number % 5], "markersize": 4, "capsize": 2}
        label = str(solver).replace("_", " ")
        axes.errorbar(own["evaluations"], own[key], own[f"{key}_standard_error"], label=label, **style)
    for value in floor[key].dropna():
        axes.axhline(value, color="0.4", linestyle=":", label="noise floor (MD)")
    axes.set(xscale="log", xlabel="network evaluations per structure")
    # Few steps cost orders of magnitude in energy; divergences are all alike.
    axes.set(yscale="log") if key.startswith("energy") else axes.set(ylim=(0, None))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def learning_curve_figure(history: str | Path, keeps_frames: bool = True) -> tuple[Figure, pandas.DataFrame]:
    """Loss on training and validation frames (where none are kept, on the same with other noise) against steps, from a CSV file."""
    table = pandas.read_csv(history)
    validation = "validation frames" if keeps_frames else "the same, other noise"
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.55 * WIDTH_IN, 2.6), layout="constrained")
        axes = figure.subplots()
        for column, colour, name in (
            ("training_loss", COLOURS["reference"], "training frames"),
            ("validation_loss", COLOURS["samples"], f"{validation} (averaged weights)"),
        ):
            own = table.dropna(subset=[column])
            marker = "o" if len(own) < 3 else ""
            axes.plot(own["step"], own[column], color=colour, label=name, marker=marker)
        axes.set(yscale="log", xlabel="optimiser steps", ylabel="denoising loss (no unit)")
        axes.legend()
    return figure, table


def state_label(name: str) -> str:
    """A state's name as text for a figure: Greek letters and subscripts (alpha_R, C7eq)."""
    conformer = re.fullmatch(r"([A-Z]\d+)([a-z]+)", name)
    head, _, below = name.partition("_") if not conformer else (conformer[1], "", conformer[2])
    head = f"\\{head}" if head in GREEK else rf"\mathrm{{{head}}}"
    return f"${head}_{{\\mathrm{{{below}}}}}$" if below else f"${head}$"


def _scale(arrays: Arrays) -> float:
    """Degrees per radian for torsions; slow coordinates have no unit."""
    return 180.0 / np.pi if arrays["is_torsion_plane"] else 1.0


def _labels(arrays: Arrays) -> tuple[str, str]:
    degrees = (r"$\phi$ (degrees)", r"$\psi$ (degrees)")
    return degrees if arrays["is_torsion_plane"] else ("TIC 1 (no unit)", "TIC 2 (no unit)")


def _rows(panel: str, item: str, series: str, x, y, value) -> pandas.DataFrame:
    return pandas.DataFrame({"panel": panel, "item": item, "series": series, "x": x, "y": y, "value": value})
