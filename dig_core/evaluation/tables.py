"""Metrics of one level of keys as tables: for a spreadsheet, and for a terminal."""

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np

Row = dict[str, str | float | int]
Metrics = Mapping[str, float | int]

# Endings of keys by the column they belong to; the longer of two endings comes first.
SERIES = {
    "_against_tight_reference": "against_tight_reference",
    "_noise_floor": "noise_floor",
    "_baseline_sequence_blind": "baseline",
    "_baseline_crystal_noise": "baseline",
    "_baseline_displaced": "baseline",
    "_baseline_random_cells": "random_cells",
    "_baseline_random_placement": "baseline",
    "_baseline_heuristic_sites": "heuristic_sites",
    "_equal_cost_md": "equal_cost_md",
    "_relaxed": "relaxed",
    "_exploration": "exploration",
    "_tight_reference": "tight_reference",
    "_training": "training",
    "_reference": "reference",
}
QUANTITIES = ("_ci_low", "_ci_high", "_standard_error")
COLUMNS = (
    "target",
    "metric",
    "samples",
    "samples_ci_low",
    "samples_ci_high",
    "relaxed",
    "exploration",
    "noise_floor",
    "baseline",
    "random_cells",
    "heuristic_sites",
    "equal_cost_md",
    "tight_reference",
    "training",
    "reference",
    "against_tight_reference",
)
# What a terminal shows: (start of the key, name to print).
MAIN = (
    ("coverage", "coverage"),
    ("free_energy_mae_kcal_per_mol", "free-energy MAE (kcal/mol)"),
    ("free_energy_mae_floored_kcal_per_mol", "  floored"),
    ("jensen_shannon_nats", "Jensen-Shannon (nats)"),
    ("precision", "precision"),
    ("population_", "population "),
    ("state_precision_", "  precision in "),
    ("best_rmsd_", "nearest to "),
    ("within_", "within "),
    ("mirror_image_fraction", "mirror images"),
    ("match_rate", "match a known crystal"),
    ("match_rms", "  distance from it"),
    ("match_rate_paper", "  at the paper's tolerances"),
    ("recall_trained", "trained crystals found"),
    ("recall_held_out", "held-out crystals found"),
    ("valid_fraction", "valid structures"),
    ("short_fraction", "with atoms too close"),
    ("unique_fraction", "distinct"),
    ("unrelaxed_fraction", "could not be relaxed"),
    ("energy_median_kJ_per_mol", "median energy (kJ/mol)"),
    ("energy_below_reference_p99_fraction", "energies below MD's p99"),
    ("energy_wasserstein_kJ_per_mol", "energy distance (kJ/mol)"),
    ("log_p_energy_correlation", "correlation of log p with -E/kT"),
    ("log_weight_standard_deviation_nats", "spread of log weights (nats)"),
    ("effective_sample_size_fraction", "effective share of samples"),
    ("free_energy_difference_phi_negative_phi_positive_kcal_per_mol", "F(phi > 0) - F(phi < 0) (kcal/mol)"),
    ("free_energy_difference_phi_negative_phi_positive_kcal_per_mol_by_density", "  by density"),
    ("free_energy_difference_phi_negative_phi_positive_kcal_per_mol_by_reweighting", "  by reweighting"),
    ("free_energy_difference_folded_unfolded_kcal_per_mol", "F(unfolded) - F(folded) (kcal/mol)"),
    ("folding_events", "folding events"),
    ("unfolding_events", "unfolding events"),
)
# What studies with several seeds are compared by; relaxation changes only some of it.
COMPARED = (
    "jensen_shannon_nats",
    "population_phi_positive",
    "state_precision_phi_positive",
    "coverage",
    "mirror_image_fraction",
    "valid_fraction",
    "energy_median_kJ_per_mol",
    "energy_below_reference_p99_fraction",
)
RELAXED = {f"{key}_relaxed": f"{key}_relaxed" for key in COMPARED}
COSTS = {
    "seconds_total": ("seconds_pretrain", "seconds_train"),
    "force_calls": ("force_calls_pretrain", "force_calls_train"),
    "force_calls_relax": ("force_calls_relax",),
}
EXPLORATION_COSTS = {"force_calls": ("force_calls_pretrain",)}
HEADINGS = {
    "samples": "samples",
    "interval": "95 % interval",
    "relaxed": "relaxed",
    "noise_floor": "noise floor",
    "baseline": "baseline",
    "random_cells": "random cells",
    "equal_cost_md": "equal-cost MD",
    "tight_reference": "tight ref.",
    "training": "MD train",
    "reference": "MD held out",
}


def split_key(key: str) -> tuple[str, str, str]:
    """Take a key apart into metric, series ('samples' where none is named) and quantity ('' for the value)."""
    quantity = next((ending for ending in QUANTITIES if key.endswith(ending)), "")
    stem = key.removesuffix(quantity)
    ending = next((ending for ending in SERIES if stem.endswith(ending)), "")
    return stem.removesuffix(ending), SERIES.get(ending, "samples"), quantity.removeprefix("_")


def metric_rows(metrics: Metrics) -> list[Row]:
    """A row per metric with a column per series; intervals for the samples, standard errors in their own rows."""
    rows: dict[str, Row] = {}
    for key, value in metrics.items():
        metric, series, quantity = split_key(key)
        if quantity == "standard_error":
            metric, quantity = f"{metric}_standard_error", ""
        column = f"{series}_{quantity}" if quantity else series
        if column in COLUMNS:
            rows.setdefault(metric, {"metric": metric})[column] = value
    return list(rows.values())


def metrics_csv(metrics: Mapping[str, Metrics]) -> str:
    """All metrics of all targets as CSV text, columns as in `COLUMNS`, six significant digits."""
    rows = [{"target": target, **row} for target, values in metrics.items() for row in metric_rows(values)]
    return csv_text(rows, COLUMNS)


def csv_text(rows: Sequence[Row], columns: Sequence[str] | None = None, digits: int = 6) -> str:
    """Rows as CSV text, numbers with so many significant digits; what a row has not is empty.

    Without `columns` those of all rows, in the order in which they first appear.
    """
    columns = columns or list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: v if isinstance(v, str) else f"{v:.{digits}g}" for k, v in row.items()})
    return text.getvalue()


def comparison_rows(metrics: Mapping[str, Sequence[Metrics]]) -> list[Row]:
    """Studies with several seeds side by side: a row per study, mean and standard deviation over the seeds of each column.

    A study that pre-trains on weighted structures has a second row, those structures alone: what their force calls give without
    a network. The last rows are what the best sampler could reach: as many draws from the tight reference, and the few training
    frames themselves, drawn again and again.
    """
    rows = []
    for study, seeds in metrics.items():
        rows.append(_compared(study, seeds, COSTS, {key: key for key in COMPARED} | RELAXED))
        rows += _beside(f"{study}: its structures alone", seeds, "exploration", EXPLORATION_COSTS)
    first = next(iter(metrics.values()), [])
    rows += _beside("as many draws of the tight reference", first, "tight_reference", {})
    return rows + _beside("the training frames", first, "noise_floor", {})


def comparison_csv(metrics: Mapping[str, Sequence[Metrics]]) -> str:
    """`comparison_rows` as CSV text, four significant digits."""
    return csv_text(comparison_rows(metrics), digits=4)


def _beside(
    name: str, seeds: Sequence[Metrics], ending: str, costs: Mapping[str, Sequence[str]]
) -> list[Row]:
    """A row of the metrics with this ending, where a seed has them."""
    if not any(f"{COMPARED[0]}_{ending}" in own for own in seeds):
        return []
    return [_compared(name, seeds, costs, {key: f"{key}_{ending}" for key in COMPARED})]


def _compared(
    name: str, seeds: Sequence[Metrics], costs: Mapping[str, Sequence[str]], keys: Mapping[str, str]
) -> Row:
    row: Row = {"study": name, "seeds": len(seeds)}
    for column, parts in costs.items():
        row[column] = float(np.mean([sum(own.get(part, 0) for part in parts) for own in seeds]))
    for column, key in keys.items():
        values = [own[key] for own in seeds if key in own]
        if values:
            row |= {column: float(np.mean(values)), f"{column}_sd": float(np.std(values, ddof=1))}
    return row


def main_table(metrics: Metrics) -> str:
    """The main metrics as aligned text for a terminal: samples beside all that they are compared with."""
    found = {str(row["metric"]): row for row in metric_rows(metrics)}
    lines = [["", *HEADINGS.values()]]
    for start, name in MAIN:
        for metric, row in found.items():
            is_state = start.endswith("_") and metric.startswith(start) and not metric.endswith("_error")
            if metric == start or is_state:
                label = name + metric.removeprefix(start) if is_state else name
                lines.append([label, *(_cell(row, column) for column in HEADINGS)])
    used = [i for i in range(len(lines[0])) if i == 0 or any(line[i] for line in lines[1:])]
    return aligned([[line[i] for i in used] for line in lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Text in columns: the first to the left, all others to the right, two blanks between."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(row: Row, column: str) -> str:
    if column == "interval":
        ends = (row.get("samples_ci_low"), row.get("samples_ci_high"))
        return "" if None in ends else f"{ends[0]:.3g} to {ends[1]:.3g}"
    return f"{row[column]:.3g}" if column in row else ""
