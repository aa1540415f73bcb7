"""The figure of paths between known structures: how far from both, whether the chain holds, and a known transition beside them."""

from collections.abc import Iterator, Mapping

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN
from dig_core.plotting_states import Arrays, training_of

SHOWN = {
    "latent": (COLOURS["samples"], "through the latent space"),
    "straight": ("#000000", "straight, residue by residue"),
}
TRANSITION = "transition.rmsd_to_ends_angstrom"
NEIGHBOURS = ("neighbour_distance_max_angstrom", "neighbour_distance_min_angstrom")


def state_paths_figure(
    evaluations: Mapping[str, Arrays], paths: Mapping[str, Arrays]
) -> tuple[Figure, pandas.DataFrame]:
    """Per protein a row: distances from both ends, largest and smallest distance of neighbouring CA, and the plane of both distances.

    `evaluations` hold `trained` and, where a transition is known, its distances; `paths` what `interpolate_states` leaves. The table has a row
    per mark: `panel, training`, `series` (latent, straight, transition), `start_state, end_state`, `point`, `rmsd_to_start_angstrom`,
    `rmsd_to_end_angstrom` and, of paths, `neighbour_distance_{max,min}_angstrom` and `valid`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.6 * len(paths)), layout="constrained")
        panels = figure.subplots(len(paths), 3, squeeze=False)
        for line, (name, arrays) in zip(panels, paths.items(), strict=True):
            draw_distances(line[0], arrays)
            draw_neighbours(line[1], arrays)
            draw_plane(line[2], arrays, evaluations[name])
            line[1].set_title(f"{name}, {training_of(evaluations[name])}")
            line[2].legend(fontsize=6, loc="lower left")
    return figure, state_paths_table(evaluations, paths)


def draw_distances(axes: Axes, paths: Arrays) -> None:
    """Distances from both ends along the path: full lines from the start, broken ones from the end."""
    for series, (colour, _) in SHOWN.items():
        away = paths[f"{series}_rmsd_to_ends_angstrom"]
        for number, style in enumerate(("-", "--")):
            axes.plot(_along(away), away[:, number], linestyle=style, color=colour)
    axes.set(ylabel="CA-RMSD from start, end (Å)", xlim=(0, 1), ylim=(0, None))
    _name_ends(axes, paths)


def draw_neighbours(axes: Axes, paths: Arrays) -> None:
    """Largest (full lines) and smallest distance of neighbouring CA of each point; open where it fails the physical filter."""
    for series, (colour, _) in SHOWN.items():
        valid = paths[f"{series}_valid"]
        for name, style in zip(NEIGHBOURS, ("-", "--"), strict=True):
            apart = paths[f"{series}_{name}"]
            axes.plot(_along(apart), apart, color=colour, linewidth=0.8, linestyle=style)
            for chosen, face in ((valid, colour), (~valid, "white")):
                marks = {"color": colour, "markerfacecolor": face, "markersize": 3.0}
                axes.plot(_along(apart)[chosen], apart[chosen], "o", **marks)
    axes.set(ylabel="CA-CA of neighbours (Å)", xlim=(-0.02, 1.02))
    _name_ends(axes, paths)


def draw_plane(axes: Axes, paths: Arrays, arrays: Arrays) -> None:
    """Distance from the end against that from the start: both paths, and the frames of a transition where one is known."""
    if TRANSITION in arrays:
        label = "biased transition" if arrays["transition.biased"] else "known transition"
        axes.plot(*arrays[TRANSITION].T, "x", color=COLOURS["reference"], markersize=3.0, label=label)
    for series, (colour, label) in SHOWN.items():
        away = paths[f"{series}_rmsd_to_ends_angstrom"]
        axes.plot(*away.T, marker=".", linewidth=0.8, color=colour, label=label)
    first, last = paths["state_names"]
    axes.set(xlabel=f"CA-RMSD from {first} (Å)", ylabel=f"from {last} (Å)", xlim=(0, None), ylim=(0, None))


def state_paths_table(evaluations: Mapping[str, Arrays], paths: Mapping[str, Arrays]) -> pandas.DataFrame:
    """What the figure shows; see `state_paths_figure`."""
    parts = [
        part.assign(panel=name, training=training_of(evaluations[name]))
        for name, own in paths.items()
        for part in _rows(own, evaluations[name])
    ]
    return pandas.concat(parts, ignore_index=True)


def _rows(paths: Arrays, arrays: Arrays) -> Iterator[pandas.DataFrame]:
    for series in SHOWN:
        own = {name: paths[f"{series}_{name}"] for name in (*NEIGHBOURS, "valid")}
        yield _distances(series, paths[f"{series}_rmsd_to_ends_angstrom"], paths).assign(**own)
    if TRANSITION in arrays:
        yield _distances("transition", arrays[TRANSITION], paths)


def _distances(series: str, away: np.ndarray, paths: Arrays) -> pandas.DataFrame:
    names = dict(zip(("start_state", "end_state"), map(str, paths["state_names"]), strict=True))
    values = dict(zip(("rmsd_to_start_angstrom", "rmsd_to_end_angstrom"), away.T, strict=True))
    return pandas.DataFrame({"series": series, **names, "point": np.arange(len(away)), **values})


def _along(values: np.ndarray) -> np.ndarray:
    return np.linspace(0.0, 1.0, len(values))


def _name_ends(axes: Axes, paths: Arrays) -> None:
    first, last = map(str, paths["state_names"])
    axes.set_xticks([0.0, 0.5, 1.0], [first, "", last])
    axes.set(xlabel="along the path")
