"""Figure 2b: samples of proteins laid over their known structures, and how far samples are from each of them."""

from collections.abc import Iterator, Mapping

import matplotlib
import numpy as np
import pandas
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dig_core.plotting import COLOURS, STYLE, WIDTH_IN

Arrays = Mapping[str, np.ndarray]
STATES = (COLOURS["reference"], COLOURS["training"], COLOURS["competitor"], COLOURS["relaxed"])
BINS = 40
SERIES = {"samples": "samples", "baseline": "crystal + noise"}


def states_figure(evaluations: Mapping[str, Arrays]) -> tuple[Figure, pandas.DataFrame]:
    """Per protein a row: the sample nearest each state laid over it, and the distances of all samples from each state.

    `evaluations` holds what `systems.protein_states` leaves, by the protein's title. The table has a row per mark: `panel, training, item` (trace,
    rmsd), `series` (known, samples, baseline), `state`, `number` of the residue or of the sample, x, y, z (Angstrom, as seen), and
    `rmsd_angstrom`.
    """
    most = max(len(arrays["state_names"]) for arrays in evaluations.values())
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.5 * len(evaluations)), layout="constrained")
        grid = figure.subplots(
            len(evaluations), most + 1, squeeze=False, width_ratios=(*[1.0] * most, 3.0 / most)
        )
        for row, (title, arrays) in zip(grid, evaluations.items(), strict=True):
            for number, axes in enumerate(row[:-1]):
                draw_state(axes, arrays, number)
            draw_distances(row[-1], arrays)
            row[-1].set_title(f"{title}, {training_of(arrays)}")
    return figure, states_table(evaluations)


def training_of(arrays: Arrays) -> str:
    """What the network knew of the protein, in words."""
    count = {2: "both", 3: "all three"}.get(len(arrays["state_names"]), "all")
    return f"trained on {count} states" if arrays["trained"] else "held out"


def draw_state(axes: Axes, arrays: Arrays, number: int) -> None:
    """Traces of C-alpha atoms: a known structure, and the sample nearest to it."""
    axes.set_axis_off()
    if number >= len(arrays["state_names"]):
        return
    traces = seen(arrays)
    for series, colour, width in (
        ("known", STATES[number % len(STATES)], 2.2),
        ("samples", COLOURS["samples"], 1.0),
    ):
        for piece in pieces(traces[series][number], arrays):
            axes.plot(piece[:, 0], piece[:, 1], color=colour, linewidth=width, solid_capstyle="round")
    nearest = np.nanmin(arrays["samples.rmsd_angstrom"][number])
    axes.set_title(f"{arrays['state_names'][number]}\nnearest sample: {nearest:.2f} Å")
    axes.set_aspect("equal")
    axes.margins(0.05)


def draw_distances(axes: Axes, arrays: Arrays) -> None:
    """Distributions of the distance from each state: filled for samples, lines for the baseline, and the threshold."""
    limit = max(np.nanmax(arrays[f"{series}.rmsd_angstrom"]) for series in SERIES)
    edges, highest = np.linspace(0.0, 1.02 * limit, BINS + 1), 0.0
    for number, name in enumerate(arrays["state_names"]):
        for series, label in SERIES.items():
            values = arrays[f"{series}.rmsd_angstrom"][number]
            density = np.histogram(values[np.isfinite(values)], edges)[0] / (len(values) * np.diff(edges))
            highest = max(highest, density.max()) if series == "samples" else highest
            style = {"fill": True, "alpha": 0.55} if series == "samples" else {"linestyle": "--"}
            axes.stairs(
                density, edges, color=STATES[number % len(STATES)], label=f"{label} to {name}", **style
            )
    within = float(arrays["within_angstrom"])
    axes.axvline(within, color="0.4", linestyle=":", label=f"{within:g} Å")
    axes.set(xlabel="CA-RMSD (Å)", ylabel="density (1/Å)", xlim=(0.0, edges[-1]))
    axes.set_ylim(0.0, 1.15 * highest)  # the baseline, which is narrow, may go beyond
    axes.legend(fontsize=6, loc="lower center", bbox_to_anchor=(0.5, 1.13), ncols=2)


def seen(arrays: Arrays) -> dict[str, Float[np.ndarray, "states residues 3"]]:
    """Traces in Angstrom, turned so that the states differ most along x, and spread most along y of what is left."""
    known, nearest = (arrays[f"{name}_alphas_angstrom"].astype(float) for name in ("state", "nearest"))
    centre = known[0].mean(axis=0)
    moves = (known[1:] - known[0]).reshape(-1, 3)
    along = np.linalg.eigh(moves.T @ moves)[1][:, -1]
    left = (known - centre).reshape(-1, 3)
    left = left - np.outer(left @ along, along)
    across = np.linalg.eigh(left.T @ left)[1][:, -1]
    axes = np.stack([along, across, np.cross(along, across)], axis=1)
    return {"known": (known - centre) @ axes, "samples": (nearest - centre) @ axes}


def pieces(trace: Float[np.ndarray, "residues 3"], arrays: Arrays) -> list[np.ndarray]:
    """The parts of a chain between gaps in the residues' numbers."""
    broken = (np.diff(arrays["residue_indices"]) != 1) | (np.diff(arrays["chain_indices"]) != 0)
    return np.split(trace, np.flatnonzero(broken) + 1)


def states_table(evaluations: Mapping[str, Arrays]) -> pandas.DataFrame:
    """What the figure shows; see `states_figure`."""
    parts = [
        part.assign(panel=panel, training=training_of(arrays))
        for panel, arrays in evaluations.items()
        for part in (*_traces(arrays), *_distances(arrays))
    ]
    return pandas.concat(parts, ignore_index=True)


def _traces(arrays: Arrays) -> Iterator[pandas.DataFrame]:
    for series, traces in seen(arrays).items():
        for state, trace in zip(arrays["state_names"], traces, strict=True):
            place = dict(zip("xyz", trace.T, strict=True))
            yield _rows("trace", series, state, arrays["residue_indices"], place)


def _distances(arrays: Arrays) -> Iterator[pandas.DataFrame]:
    for series in SERIES:
        for state, values in zip(arrays["state_names"], arrays[f"{series}.rmsd_angstrom"], strict=True):
            yield _rows("rmsd", series, state, np.arange(len(values)), {"rmsd_angstrom": values})


def _rows(
    item: str, series: str, state: str, numbers: np.ndarray, values: Mapping[str, np.ndarray]
) -> pandas.DataFrame:
    marks = {"item": item, "series": series, "state": str(state), "number": numbers}
    return pandas.DataFrame({**marks, **values})
