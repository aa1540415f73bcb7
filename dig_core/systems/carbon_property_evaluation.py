"""The property of drawn crystals: as its network tells it, and as that of the known prototype which a sample matches.

Crystals that match a prototype have its property as far as the label goes, so that one number does not rest on the network which guided the drawing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """What is counted.

    Args:
        column: name of the property, with its unit at the end: band_gap_eV.
        values: what the targets of the study are asked to have.
        near: values this near to one of these are counted.
    """

    column: str
    values: Sequence[float]
    near: float

    def key(self, what: str) -> str:
        """The name of a number in the unit of the property: band_gap_median_eV."""
        name, _, unit = self.column.rpartition("_")
        return f"{name}_{what}_{unit}"

    def counted(self, values: Float[np.ndarray, " crystals"], which: str = "") -> dict[str, float]:
        """The median, and the shares of all crystals near to what is asked for; crystals without a value are near to none."""
        known, name = values[np.isfinite(values)], self.column.rpartition("_")[0]
        found = {self.key(f"{which}median"): float(np.median(known))} if len(known) else {}
        return found | {
            f"{name}_{which}near_{value:g}_fraction": float((np.abs(values - value) <= self.near).mean())
            for value in self.values
        }


def property_metrics(
    evaluation: Arrays, crystals: Arrays, drawn: Arrays, known: Arrays, asked: Asked
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics, and arrays for the figure: `samples.property`, `samples.property_matched`, `training.property`.

    Args:
        evaluation: arrays of `carbon_evaluation.evaluate`.
        crystals: those of the study, with their `property`.
        drawn, known: `carbon_property.predicted` of the samples and of the crystals of the study.
    """
    nearest, labels = evaluation["samples.nearest"], crystals["property"]
    matched = np.where(nearest >= 0, labels[evaluation["samples.references"]][nearest], np.nan)
    shown = labels[~crystals["held_out"] & np.isfinite(labels)]
    metrics = asked.counted(drawn["predicted"]) | asked.counted(matched, "matched_")
    metrics |= {f"{key}_training": value for key, value in asked.counted(shown).items()}
    metrics[asked.key("uncertainty")] = float(np.median(drawn["deviation"]))
    both = np.isfinite(matched)
    errors = {
        "error_matched": np.abs(drawn["predicted"] - matched)[both],
        "error_trained": np.abs(known["predicted"] - labels)[~crystals["held_out"]],
        "error_held_out": np.abs(known["predicted"] - labels)[crystals["held_out"]],
    }
    for name, values in errors.items():
        if np.isfinite(values).any():
            metrics[asked.key(name)] = float(np.nanmean(values))
    arrays = {"samples.property": drawn["predicted"], "samples.property_matched": matched}
    return metrics, arrays | {"training.property": shown}


def predictor_metrics(
    drawn: Float[np.ndarray, " samples"],
    known: Float[np.ndarray, " crystals"],
    crystals: Arrays,
    asked: Asked,
) -> dict[str, float]:
    """What another predictor tells of the samples, and how far it is off on the crystals of the study, with their `property`."""
    errors = np.abs(known - crystals["property"])
    metrics = asked.counted(drawn, "predictor_")
    if np.isfinite(errors).any():
        metrics[asked.key("error_predictor_known")] = float(np.nanmean(errors))
    return metrics


def labelled_metrics(
    labels: Sequence[Mapping[str, Any]], drawn: Arrays, asked: Asked, which: str = "labelled"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """What samples really have, and how near the network comes to it; an array for the figure: `samples.property_<which>`.

    Args:
        labels: of some samples, as `energies.labels.label` gives them, with the number of the `sample`.
        drawn: `carbon_property.predicted` of all samples.
        which: stands in the names of the numbers: `relaxed` for relaxed samples.
    """
    values = np.array([np.nan if own["value"] is None else own["value"] for own in labels], dtype=float)
    told = drawn["predicted"][[own["sample"] for own in labels]]
    known, name = np.isfinite(values), asked.column.rpartition("_")[0]
    metrics = asked.counted(values, f"{which}_")
    metrics[f"{name}_{which}_samples"] = len(labels)
    metrics[f"{name}_{which}_failed_fraction"] = float((~known).mean())
    if known.any():
        metrics[asked.key(f"error_{which}")] = float(np.abs(told - values)[known].mean())
    if values[known].size > 1 and values[known].std() > 0 < told[known].std():
        metrics[f"{name}_{which}_correlation"] = float(np.corrcoef(told[known], values[known])[0, 1])
    return metrics, {f"samples.property_{which}": values}
