"""The figure of paths between two states: over the landscape, and the energies along them."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dig_core.evaluation.drawn import Arrays, reference_grid
from dig_core.evaluation.statistics import weighted_quantile
from dig_core.plotting import COLOURS, HIGHEST_KCAL_PER_MOL, STYLE, WIDTH_IN, state_label

SHOWN = {
    "latent": (COLOURS["samples"], "through the latent space"),
    "straight": ("#000000", "straight, Cartesian"),
}
HIGHEST_OF_PATHS = HIGHEST_KCAL_PER_MOL + 6.0
# Linear up to here; beyond, clashes of the straight path reach over many orders of magnitude.
LINEAR_KJ_PER_MOL = 150.0
ENERGY = "potential_energy_kJ_per_mol"


def pathway_figure(
    evaluations: Mapping[str, Arrays], paths: Mapping[str, Arrays]
) -> tuple[Figure, pandas.DataFrame]:
    """Per target a row: paths over the landscape of phi and psi, and energies along them above the median of dynamics.

    The table has a row per mark: `panel, item` (bin, path), `series` (reference, latent, straight), `pair`, `point`, `chosen`, phi
    and psi in degrees, free energy of bins in kcal/mol, energies of paths in kJ/mol above the median.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 3.6 * len(evaluations)), layout="constrained")
        panels = figure.subplots(len(evaluations), 2, squeeze=False, width_ratios=(1.0, 1.05))
        for line, (name, arrays) in zip(panels, evaluations.items(), strict=True):
            draw_paths(line[0], arrays, paths[name])
            draw_energies(line[1], arrays, paths[name])
            line[0].set_title(name if len(evaluations) > 1 else "")
    parts = [_table(arrays, paths[name]).assign(panel=name) for name, arrays in evaluations.items()]
    return figure, pandas.concat(parts, ignore_index=True)


def draw_paths(axes: Axes, arrays: Arrays, paths: Arrays) -> None:
    """The tight reference, or else the held-out one, as contours (kcal/mol), with all paths and the chosen pair's in bold."""
    if arrays["is_torsion_plane"]:
        x, y, energy = reference_grid(_tight(arrays), wrapped=True)
        levels = np.arange(0.0, HIGHEST_OF_PATHS + 0.5, 1.0)
        shown = np.ma.masked_invalid(energy.T)
        filled = axes.contourf(np.degrees(x), np.degrees(y), shown, levels=levels, cmap="Blues_r")
        name = "tight reference" if "tight_reference.probability" in arrays else "held-out MD"
        label = f"free energy of the {name} (kcal/mol)"
        axes.figure.colorbar(filled, ax=axes, label=label, location="bottom", aspect=30, shrink=0.9)
    for series, (colour, label) in SHOWN.items():
        for pair, torsions in enumerate(paths[f"{series}_torsions_rad"]):
            style = _style(pair == int(paths["chosen"]), colour, label)
            _draw_periodic(axes, torsions, style)
    _mark_ends(axes, paths)
    ticks = {"xticks": range(-180, 181, 90), "yticks": range(-180, 181, 90)}
    axes.set(xlabel=r"$\phi$ (degrees)", ylabel=r"$\psi$ (degrees)", xlim=(-180, 180), ylim=(-180, 180))
    axes.set(**ticks)


def draw_energies(axes: Axes, arrays: Arrays, paths: Arrays) -> None:
    """Energies along the paths above the median of dynamics, with its 99.9th percentile; nothing without energies."""
    above = _energies_above_median(arrays, paths)
    if above is None:
        axes.set_axis_off()
        return
    for series, (colour, label) in SHOWN.items():
        for pair, energies in enumerate(above[series]):
            along = np.linspace(0.0, 1.0, len(energies))
            axes.plot(along, energies, **_style(pair == int(paths["chosen"]), colour, label))
    axes.axhline(above["p999"], color=COLOURS["reference"], linestyle=":", label="99.9th percentile of MD")
    axes.axhline(0.0, color=COLOURS["reference"], linewidth=0.7, label="median of MD")
    axes.set_yscale("symlog", linthresh=LINEAR_KJ_PER_MOL, linscale=2.0)
    highest = max(2.0 * LINEAR_KJ_PER_MOL, *(above[series].max() for series in SHOWN))
    powers = range(3, int(np.log10(highest)) + 1, 2)
    axes.set_yticks([-50, 0, 50, 100, *(10.0**power for power in powers)])
    axes.set_yticklabels(["-50", "0", "50", "100", *(f"$10^{{{power}}}$" for power in powers)])
    axes.minorticks_off()
    first, last = (state_label(str(name)) for name in paths["state_names"])
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], [first, "", "", "", last])
    lowest = min(-60.0, *(1.1 * above[series].min() for series in SHOWN))
    axes.set(xlim=(0, 1), ylim=(lowest, 2.0 * highest))
    axes.set(xlabel="along the path", ylabel="energy above the median of MD (kJ/mol)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)


def _draw_periodic(axes: Axes, torsions: np.ndarray, style: dict) -> None:
    """A path as one line: where it leaves the period at one border its copy enters at the other."""
    phi, psi = np.degrees(np.unwrap(torsions, axis=0)).T
    first, *others = [(i, j) for i in (0, -360, 360) for j in (0, -360, 360)]
    axes.plot(phi + first[0], psi + first[1], **style)
    for right, up in others:
        if _touches(phi + right) and _touches(psi + up):
            axes.plot(phi + right, psi + up, **(style | {"label": None}))


def _touches(degrees: np.ndarray) -> bool:
    return bool(degrees.min() < 180.0 and degrees.max() > -180.0)


def _mark_ends(axes: Axes, paths: Arrays) -> None:
    chosen = paths["straight_torsions_rad"][paths["chosen"]]
    for name, point in zip(paths["state_names"], np.degrees(chosen[[0, -1]]), strict=True):
        axes.plot(*point, "o", color="white", markeredgecolor="black", markersize=5, zorder=10)
        text = axes.annotate(state_label(str(name)), point, (5, 5), textcoords="offset points", zorder=11)
        text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


def _style(is_chosen: bool, colour: str, label: str) -> dict:
    if is_chosen:
        outline = [withStroke(linewidth=3.2, foreground="white")]
        return {"color": colour, "linewidth": 1.8, "zorder": 5, "label": label, "path_effects": outline}
    return {"color": colour, "linewidth": 0.7, "alpha": 0.55, "zorder": 4}


def _tight(arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays with the tight reference in place of the held-out one, where there is one."""
    probability = arrays.get("tight_reference.probability", arrays["reference.probability"])
    return {**arrays, "reference.probability": probability}


def _energies_above_median(arrays: Arrays, paths: Arrays) -> dict | None:
    """Energies of the paths [pairs, points] and dynamics' 99.9th percentile (kJ/mol), above dynamics' median."""
    if f"reference.{ENERGY}" not in arrays or f"latent_{ENERGY}" not in paths:
        return None
    energies, weights = arrays[f"reference.{ENERGY}"], arrays["reference.weights"]
    median, p999 = (weighted_quantile(energies, level, weights) for level in (0.5, 0.999))
    return {"p999": p999 - median} | {series: paths[f"{series}_{ENERGY}"] - median for series in SHOWN}


def _table(arrays: Arrays, paths: Arrays) -> pandas.DataFrame:
    above, parts = _energies_above_median(arrays, paths), []
    if arrays["is_torsion_plane"]:
        x, y, energy = reference_grid(_tight(arrays))
        phi, psi = (np.degrees(grid).ravel() for grid in np.meshgrid(x, y, indexing="ij"))
        bins = {"phi_deg": phi, "psi_deg": psi, "free_energy_kcal_per_mol": energy.ravel()}
        parts.append(pandas.DataFrame({"item": "bin", "series": "reference", **bins}))
    for series in SHOWN:
        for pair, torsions in enumerate(np.degrees(paths[f"{series}_torsions_rad"])):
            own = {"pair": pair, "chosen": bool(pair == paths["chosen"]), "point": range(len(torsions))}
            own |= {"phi_deg": torsions[:, 0], "psi_deg": torsions[:, 1]}
            own |= {} if above is None else {"energy_above_median_kJ_per_mol": above[series][pair]}
            parts.append(pandas.DataFrame({"item": "path", "series": series, **own}))
    return pandas.concat(parts, ignore_index=True)
