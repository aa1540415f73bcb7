"""What crystals have of a property that they were asked to have, and what asking costs: figure 5 of DiG."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN
from dig_core.plotting_crystals import draw_frequent

Arrays = Mapping[str, np.ndarray]
Metrics = Mapping[str, float]

SERIES = {
    "training.property": ("known crystals", COLOURS["reference"]),
    "samples.property": ("samples, by the network", COLOURS["samples"]),
    "samples.property_matched": ("samples, by the crystal they match", COLOURS["tight_reference"]),
    "samples.property_labelled": ("samples, computed", COLOURS["competitor"]),
    "samples.property_relaxed": ("relaxed samples, computed", COLOURS["relaxed"]),
}
SHARES = {"valid_fraction": "valid", "match_rate": "of a known prototype", "near": "near what is asked for"}
BINS = 24
ROW_IN, COST_IN = 1.1, 1.8
DRAWN = 3  # crystals of each target


@dataclass(frozen=True)
class Drawn:
    """A target: its atoms, the value that was asked for (None: nothing was), and how much that weighs."""

    atoms: Mapping[str, int]
    asked: float | None
    scale: float


def properties_figure(
    evaluations: Mapping[str, Arrays],
    samples: Mapping[str, Arrays],
    metrics: Mapping[str, Metrics],
    targets: Mapping[str, Drawn],
    column: str,
) -> tuple[Figure, pandas.DataFrame]:
    """A histogram per target (shares of all crystals; dotted: what was asked for) with the crystals that are drawn most often, and shares of samples by scale.

    Args:
        evaluations, metrics: of `systems.carbon_evaluation.evaluate` and `systems.carbon_property_evaluation.property_metrics`, by target.
        column: name of the property, with its unit at the end.
    """
    name, _, unit = column.rpartition("_")
    edges, tables, rows = _edges(evaluations), [], len(evaluations)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, ROW_IN * rows + COST_IN + 0.8), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=(ROW_IN * rows, COST_IN))
        panels = upper.subplots(rows, 1 + DRAWN, squeeze=False, width_ratios=(6, *[2] * DRAWN))
        for row, (target, arrays) in zip(panels, evaluations.items(), strict=True):
            tables += _histograms(row[0], arrays, targets[target].asked, edges, target)
            draw_frequent(row[1:], arrays, samples[target])
        panels[-1, 0].set_xlabel(f"{name.replace('_', ' ')} ({unit})")
        tables += _costs(lower.subplots(1, len(SHARES), sharey=True), metrics, targets, name)
        known = {
            label: h
            for axes in panels[:, 0]
            for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(known.values(), known.keys(), loc="outside upper center", ncols=2)
    return figure, pandas.concat(tables, ignore_index=True)


def by_scale(
    metrics: Mapping[str, Metrics], targets: Mapping[str, Drawn], name: str
) -> list[tuple[str, pandas.DataFrame]]:
    """For every value and number of atoms that is asked for: shares of samples by `scale`, 0 where nothing is asked of these atoms."""
    asked = {(tuple(own.atoms.items()), own.asked) for own in targets.values() if own.asked is not None}
    found = []
    for atoms, value in sorted(asked):
        rows = [
            (
                own.scale,
                *(
                    metrics[target].get(key.replace("near", f"{name}_near_{value:g}_fraction"))
                    for key in SHARES
                ),
            )
            for target, own in targets.items()
            if tuple(own.atoms.items()) == atoms and own.asked in (None, value)
        ]
        label = f"{value:g}, {''.join(f'{symbol}$_{{{n}}}$' for symbol, n in atoms)}"
        table = pandas.DataFrame(rows, columns=["scale", *SHARES]).sort_values("scale", ignore_index=True)
        found.append((label, table.astype(float)))
    return found


def _costs(
    panels: np.ndarray, metrics: Mapping[str, Metrics], targets: Mapping[str, Drawn], name: str
) -> list[pandas.DataFrame]:
    tables = []
    for label, table in by_scale(metrics, targets, name):
        for axes, key in zip(panels, SHARES, strict=True):
            axes.plot(table["scale"], table[key], marker="o", markersize=3, label=label)
        tables.append(table.assign(series=label))
    for axes, title in zip(panels, SHARES.values(), strict=True):
        axes.set(xlabel="scale of guidance", title=title, ylim=(0, 1.02))
    panels[0].set_ylabel("samples (share)")
    if tables:
        panels[-1].legend()
    return tables


def _edges(evaluations: Mapping[str, Arrays]) -> np.ndarray:
    """Bins that hold all values of all targets."""
    values = np.concatenate(
        [arrays[series] for arrays in evaluations.values() for series in SERIES if series in arrays]
    )
    return np.histogram_bin_edges(values[np.isfinite(values)], BINS)


def _histograms(
    axes: Axes, arrays: Arrays, asked: float | None, edges: np.ndarray, target: str
) -> list[pandas.DataFrame]:
    if asked is not None:
        axes.axvline(asked, color="black", linestyle=":", linewidth=1.0)
    axes.set(yticks=[], ylabel=target.replace("_", " "))
    found = [series for series in SERIES if series in arrays]
    return [_histogram(axes, arrays, series, edges).assign(target=target) for series in found]


def _histogram(axes: Axes, arrays: Arrays, series: str, edges: np.ndarray) -> pandas.DataFrame:
    values, (label, colour) = arrays[series], SERIES[series]
    shares = np.histogram(values[np.isfinite(values)], edges)[0] / max(1, len(values))
    known = series == "training.property"
    axes.stairs(shares, edges, color=colour, label=label, fill=known, alpha=0.4 if known else 1.0)
    centres = (edges[1:] + edges[:-1]) / 2
    return pandas.DataFrame({"series": series, "property": centres, "share": shares})
