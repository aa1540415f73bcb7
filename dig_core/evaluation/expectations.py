"""Metrics held against what is expected of a study.

An expectation is a mapping of one of these forms; a list of them must hold together:

* `{"expected": x, "tolerance": t}`: within t of x;
* `{"max": x}`, `{"min": x}`, or both;
* `{"max_over": key, "margin": m}`: at most m above the metric `key`;
* `{"min_over": key, "margin": m}`: at most m below it (`margin` is how much worse is allowed);
* `{"min_over": key, "share": s}`: at least the share s of it;
* `{"near": key, "margin": m}`: within m of it;
* `{"near": key, "standard_errors": n}`: within n combined standard errors, of the keys with `_standard_error`.

A `key` of another target is written `<target>.<key>`. Where the targets of a study differ in kind, they stand under `{"targets": {target: {metric: ...}}}`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Metrics = Mapping[str, float | int]


@dataclass(frozen=True)
class Verdict:
    """Whether a metric fulfils one expectation, and the reason in words."""

    key: str
    passed: bool
    reason: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.passed else 'FAILED'}  {self.key}: {self.reason}"


def verdicts(metrics: Metrics, expectations: Mapping[str, Any]) -> list[Verdict]:
    """One verdict for each expectation; a metric that is missing, or one it is compared with, fails.

    Raises ValueError for an expectation of no known form.
    """
    found = []
    for key, stated in expectations.items():
        for one in stated if isinstance(stated, list) else [stated]:
            found.append(_verdict(metrics, key, one))
    return found


def of_target(stated: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    """What is expected of one target: what is stated for all, and what is stated for it alone."""
    common = {key: value for key, value in stated.items() if key != "targets"}
    return {**common, **stated.get("targets", {}).get(target, {})}


def _verdict(metrics: Metrics, key: str, stated: Mapping[str, Any]) -> Verdict:
    form = frozenset(stated)
    if form not in FORMS:
        known = "; ".join(", ".join(sorted(names)) for names in FORMS)
        raise ValueError(f"expected {key} with one of ({known}); got {', '.join(sorted(form))}. Correct it")
    try:
        value, (low, high) = metrics[key], FORMS[form](metrics, key, stated)
    except KeyError as missing:
        return Verdict(key, False, f"expected the metric {missing.args[0]}; found none")
    return Verdict(key, low <= value <= high, f"{value:.4g}, expected {_interval(low, high)}")


def _around(centre: float, distance: float) -> tuple[float, float]:
    return centre - distance, centre + distance


def _standard_errors(metrics: Metrics, key: str, stated: Mapping[str, Any]) -> tuple[float, float]:
    errors = [metrics[f"{name}_standard_error"] for name in (key, stated["near"])]
    return _around(metrics[stated["near"]], stated["standard_errors"] * math.hypot(*errors))


def _interval(low: float, high: float) -> str:
    if math.isinf(low):
        return f"at most {high:.4g}"
    return f"at least {low:.4g}" if math.isinf(high) else f"{low:.4g} to {high:.4g}"


# Which keys an expectation has, and the interval that follows from them.
FORMS: dict[frozenset[str], Callable[[Metrics, str, Mapping[str, Any]], tuple[float, float]]] = {
    frozenset({"expected", "tolerance"}): lambda m, k, s: _around(s["expected"], s["tolerance"]),
    frozenset({"max"}): lambda m, k, s: (-math.inf, s["max"]),
    frozenset({"min"}): lambda m, k, s: (s["min"], math.inf),
    frozenset({"min", "max"}): lambda m, k, s: (s["min"], s["max"]),
    frozenset({"max_over", "margin"}): lambda m, k, s: (-math.inf, m[s["max_over"]] + s["margin"]),
    frozenset({"min_over", "margin"}): lambda m, k, s: (m[s["min_over"]] - s["margin"], math.inf),
    frozenset({"min_over", "share"}): lambda m, k, s: (s["share"] * m[s["min_over"]], math.inf),
    frozenset({"near", "margin"}): lambda m, k, s: _around(m[s["near"]], s["margin"]),
    frozenset({"near", "standard_errors"}): _standard_errors,
}
