"""What every job needs around its science: log, progress, threads, a request to end, provenance.

Imports torch only where a function cannot do without it.
"""

import contextlib
import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO, TypeVar

from dig_core.files import sha256

Item = TypeVar("Item")

# Mistakes of input and circumstance: told in one line. Anything else is our mistake and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "openmm",
    "mdtraj",
    "deeptime",
    "rdkit",
    "pymatgen",
    "ase",
    "chgnet",
    "snakemake",
)
PROGRESS_INTERVAL_S = 10.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENMM_CPU_THREADS")


class _Tee:
    """A text stream that repeats what is written to a terminal in a log file, with the time of each line."""

    def __init__(self, stream: TextIO, log: TextIO):
        self.stream, self.log, self._at_line_start = stream, log, True

    def write(self, text: str) -> int:
        """Write to both; what redraws a line goes to the terminal alone."""
        self.stream.write(text)
        # A progress bar redraws its line with carriage returns: a log keeps only whole lines.
        for line in text.splitlines(keepends=True):
            if line.endswith("\r") or line.startswith("\r"):
                continue
            stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S  ") if self._at_line_start else ""
            self.log.write(stamp + line)
            self._at_line_start = line.endswith("\n")
        self.log.flush()
        return len(text)

    def flush(self) -> None:
        """Flush the terminal; the log is flushed with every text."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal: progress is shown as a bar there."""
        return self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def job_log(path: str | Path | None) -> Iterator[TextIO | None]:
    """Repeat standard output and standard error in a log file, each line with its time; yields the file.

    The log is appended to, so that an interrupted and resumed job tells its whole story. Snakemake deletes the log of a job
    that it sends again: until the job has succeeded, a hidden hard link keeps it. No path: no log.
    """
    if not path:
        yield None
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.with_name(f".{path.name}")
    if kept.exists() and not path.exists():
        os.link(kept, path)
    with open(path, "a", encoding="utf-8") as log:
        # A file system without hard links has logs of the last run alone.
        with contextlib.suppress(OSError):
            os.link(path, kept)
        streams = _Tee(sys.stdout, log), _Tee(sys.stderr, log)
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            yield log
    kept.unlink(missing_ok=True)


def run(main: Callable[[Any], None], job: Any) -> None:
    """Run a script's `main(job)` with its log, its threads, and one line for an expected error.

    `job` is Snakemake's object (`log`, `threads`, ...). ValueError, OSError, RuntimeError and MemoryError
    become one line on standard error; the traceback goes to the log only. Raises SystemExit(1) then.
    A request to end (SIGTERM) ends the job in order, so that half-written files are removed; `stoppable` work saves first.
    """
    paths = list(getattr(job, "log", None) or [])
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with job_log(paths[0] if paths else None) as log:
        limit_threads(getattr(job, "threads", 1) or 1)
        try:
            main(job)
        except expected_errors() as error:
            if log is not None:
                log.write(traceback.format_exc())
            print(f"error: {one_line(error)}", file=sys.stderr)
            raise SystemExit(1) from None


def expected_errors() -> tuple[type[BaseException], ...]:
    """Mistakes of input and circumstance, told in one line; evaluated when one has come: OpenMM's own where OpenMM is loaded."""
    openmm = sys.modules.get("openmm")
    return (*EXPECTED_ERRORS, openmm.OpenMMException) if openmm else EXPECTED_ERRORS


def one_line(error: BaseException) -> str:
    """Return the text of an error as one line; its type where it has no text."""
    text = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError) and error.filename:
        text = f"expected the file {error.filename}; found none. Check the path, or make the file again"
    return text or type(error).__name__


def progress(iterable: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show how far it is: a bar on a terminal, a line every 10 seconds elsewhere.

    `total` is the number of items; by default the length of the iterable, where it has one.
    """
    total = total if total is not None else getattr(iterable, "__len__", lambda: None)()
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(iterable, desc=label, total=total)
        return
    started = last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - last >= PROGRESS_INTERVAL_S or (done == total and now - started >= 1.0):
            print(_progress_line(label, done, total, now - started), file=sys.stderr, flush=True)
            last = now


def _progress_line(label: str, done: int, total: int | None, elapsed_s: float) -> str:
    if not total:
        return f"{label}: {done} ({elapsed_s:.0f} s)"
    left_s = elapsed_s * (total - done) / done
    share = f"{done} of {total} ({100 * done / total:.0f} %)"
    return f"{label}: {share}, {elapsed_s:.0f} s, about {left_s:.0f} s left"


def stoppable(
    iterable: Iterable[Item],
    save: Callable[[], None] = lambda: None,
    agreed: Callable[[bool], bool] = bool,
) -> Iterator[Item]:
    """Yield the items; a request to end (SIGTERM) waits for the work on the present one, then `save()` and SystemExit(143).

    A cluster sends it some time before the time limit: the next run goes on from what was saved. Without `save`, the work on
    an item saves itself. `agreed` tells whether any of several processes was asked. Outside the main thread, which alone is
    told of signals, the items are only yielded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield from iterable
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        for item in iterable:
            yield item
            if agreed(bool(asked)):
                save()
                print("asked to end: saved, and the next run goes on from here", flush=True)
                sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def limit_threads(threads: int) -> None:
    """Use at most that many threads for linear algebra, OpenMM and torch in this process and its children.

    Libraries that are loaded later read the environment; torch and OpenMM are told directly when they are loaded already.
    """
    if threads < 1:
        raise ValueError(f"expected at least one thread; got {threads}. Give the rule threads: 1")
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "openmm" in sys.modules:
        cpu = sys.modules["openmm"].Platform.getPlatformByName("CPU")
        cpu.setPropertyDefaultValue("Threads", str(threads))


def device() -> str:
    """Return the torch device to compute on: 'cuda' where there is one, otherwise 'cpu'."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def start() -> SimpleNamespace:
    """Return the present wall-clock and CPU time, for `provenance`."""
    return SimpleNamespace(wall_s=time.time(), cpu_s=_cpu_seconds())


def provenance(
    settings: Mapping[str, Any], inputs: Iterable[str | Path], seed: int | None, started: SimpleNamespace
) -> dict[str, Any]:
    """Return what a result was made from: code, packages, machine, settings, seed, inputs (SHA-256), seconds.

    `started` is what `start()` returned at the beginning of the job. Folders and missing inputs are left out.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "packages": package_versions(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "device": _device_name(),
        "settings": dict(settings),
        "seed": seed,
        "inputs": {str(path): sha256(path) for path in inputs if Path(path).is_file()},
        "wall_seconds": round(time.time() - started.wall_s, 3),
        "cpu_seconds": round(_cpu_seconds() - started.cpu_s, 3),
    }


def commit() -> str:
    """Return the commit of the checkout, '-modified' where tracked files differ; 'unknown' outside git."""
    folder = Path(__file__).resolve().parent
    command = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=-modified",
        "--exclude=*",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide about results, as far as they are installed."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def fingerprint(*parts: str | bytes) -> str:
    """Return the SHA-256 of texts and bytes: a restart point carries that of everything it was made with."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in encoded)).hexdigest()


def _device_name() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "cpu"


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
