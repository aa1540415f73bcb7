"""One rule for several targets in one process: starting Python, torch and OpenMM takes longer than many a small target.

Each target's results wait under hidden names until all are there. A workflow that ends before removes what the job has promised, not
these: the next run goes on with the targets that are missing.
"""

import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dig_core.runtime import expected_errors, fingerprint, job_log, one_line, progress


class Named(list):
    """Values in order, also by name, as a script sees the files and settings of its job; a value may be a list."""

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(
            x for value in values.values() for x in (value if isinstance(value, list) else [value])
        )
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: Any) -> Any:
        return self._values[key] if isinstance(key, str) else super().__getitem__(key)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name, or the default."""
        return self._values.get(name, default)

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and values."""
        return self._values.items()


def run_each(scripts: Path, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Run the script of every job, then give all results their names.

    Args:
        scripts: folder of the scripts.
        jobs: `script`, `wildcards`, `input`, `output`, `params` (by name) and `log` of each.

    Raises:
        ValueError: some targets failed; the others are done, and wait for the next run.
    """
    failed = []
    for job in progress(jobs, "targets"):
        waiting = _waiting(job)
        if not all(path.exists() for path in waiting.values()):
            with job_log(job["log"]):
                try:
                    _main(scripts / f"{job['script']}.py")(_as_seen(job, waiting))
                except expected_errors() as error:
                    print(f"error: {one_line(error)}", flush=True)
                    failed.append(f"{job['wildcards']['target']}: {one_line(error)}")
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(jobs)} targets failed, the others wait for the next run; {failed[0]}"
        )
    for job in jobs:
        for name, path in _waiting(job).items():
            final = Path(job["output"][name])
            path.replace(final)
            for outdated in final.parent.glob(f".*.{final.name}"):
                outdated.unlink()


def _waiting(job: Mapping[str, Any]) -> dict[str, Path]:
    """Names under which results wait: those of other settings, or of inputs that have changed since, are other names."""
    states = [
        f"{path} {Path(path).stat().st_mtime_ns}" for path in Named(job["input"]) if Path(path).is_file()
    ]
    mark = fingerprint(json.dumps(job["params"], sort_keys=True, default=str), *states)[:12]
    return {
        name: (path := Path(file)).with_name(f".{mark}.{path.name}") for name, file in job["output"].items()
    }


def _as_seen(job: Mapping[str, Any], waiting: Mapping[str, Path]) -> SimpleNamespace:
    """The job as the script of one target sees it."""
    output = Named({name: str(path) for name, path in waiting.items()})
    parts = {name: Named(job[name]) for name in ("wildcards", "input", "params")}
    return SimpleNamespace(**parts, output=output, log=[job["log"]], resources=Named({}), threads=1)


def _main(path: Path) -> Callable[[Any], None]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main
