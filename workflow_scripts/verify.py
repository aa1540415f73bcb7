"""Hold the metrics of a study against those that are expected of it: verify.py STUDY."""

import sys
from pathlib import Path

from dig_core.evaluation.expectations import of_target, verdicts
from dig_core.files import read_json


def main(study, folder=Path("results"), expected=Path("tests/expected")):
    """Print a line per expectation and target; return 1 when one fails or a file is missing."""
    stated, files = expected / f"{study}.json", sorted((folder / study).glob("*/metrics.json"))
    if not stated.is_file():
        return _error(f"expected the file {stated}; found none. Write there what the study should show")
    if not files:
        return _error(f"expected metrics in {folder / study}; found none. Write: make verify STUDY={study}")
    expectations, found = read_json(stated), []
    metrics = {path.parent.name: read_json(path) for path in files}
    all_targets = {f"{target}.{key}": value for target, own in metrics.items() for key, value in own.items()}
    for path in files:
        target = path.parent.name
        own = verdicts(all_targets | metrics[target], of_target(expectations, target))
        print(path, *own, sep="\n")
        found += own
    failed = sum(not verdict.passed for verdict in found)
    print(f"{len(found) - failed} of {len(found)} as expected")
    return int(failed > 0)


def _error(text):
    print(f"error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    has_study = len(sys.argv) == 2
    sys.exit(main(sys.argv[1]) if has_study else _error("expected a study; got none. Write: verify.py STUDY"))
