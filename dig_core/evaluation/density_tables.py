"""Metrics of training from energies as tables: for a spreadsheet, and for a terminal."""

import re
from collections.abc import Mapping

from dig_core.evaluation.tables import Metrics, Row, aligned, csv_text

# Endings of keys, and the columns `form` and `seed` of their rows.
SERIES = (
    (re.compile(r"(.+)_exact"), "exact"),
    (re.compile(r"(.+)_noise_floor"), "noise floor"),
    (re.compile(r"(.+)_baseline_chains"), "plain chains"),
    (re.compile(r"(.+)_(potential|score)_seed_(\d+)"), ""),
)
# What a terminal shows: (start of the key, heading).
MAIN = (
    ("score_error", "score error"),
    ("population_error", "largest error of a weight"),
    ("jensen_shannon_nats", "Jensen-Shannon (nats)"),
    ("energy_wasserstein_kT", "energy distance (kT)"),
    ("distance_wasserstein", "pair-distance distance"),
    ("seconds_train", "CPU s"),
    ("steps", "steps"),
)


def density_rows(metrics: Metrics) -> list[Row]:
    """A row for the exact values, one for the noise floor, and one per form and seed; a column per metric."""
    rows: dict[tuple[str, str], Row] = {}
    for key, value in metrics.items():
        for pattern, name in SERIES:
            if found := pattern.fullmatch(key):
                metric, form, seed = (*found.groups(), name, "")[:3]
                rows.setdefault((form, seed), {"form": form, "seed": seed})[metric] = value
    return list(rows.values())


def densities_csv(metrics: Mapping[str, Metrics]) -> str:
    """All rows of all targets as CSV text, six significant digits; what a target has not is empty."""
    rows = [{"target": target, **row} for target, own in metrics.items() for row in density_rows(own)]
    return csv_text(rows)


def densities_table(metrics: Metrics) -> str:
    """The main numbers of one target as aligned text for a terminal."""
    rows = [row for row in density_rows(metrics) if row["form"] != "exact"]
    shown = [(key, heading) for key, heading in MAIN if any(key in row for row in rows)]
    lines = [["", *(heading for _, heading in shown)]]
    for row in rows:
        cells = (f"{row[key]:.3g}" if key in row else "" for key, _ in shown)
        lines.append([f"{row['form']} {row['seed']}".strip(), *cells])
    return aligned(lines)
