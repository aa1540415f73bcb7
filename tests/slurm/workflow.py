"""Snakemake on the cluster, and the faults that the tests put into a copy of the workflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.test_tiny_study import checkout

# Looks at the cluster more often than a site would like; everything else is the profile's.
OFTEN = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")
LIMIT_S = 600


def command(*arguments: str) -> list[str]:
    """What a user writes, with this Python."""
    return [sys.executable, "-m", "snakemake", *arguments, "--profile", "slurm", *OFTEN]


def environment() -> dict[str, str]:
    """One thread for each job, and nothing of this checkout on the path."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}


def snakemake(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run Snakemake on the cluster and return all it says; the exit status must be the expected one."""
    answer = subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == status, f"{said}\n{logs(folder)}"
    return said


def logs(folder: Path) -> str:
    """The logs that Slurm kept of jobs that failed."""
    return "\n".join(
        f"{path}:\n{path.read_text()}" for path in (folder / ".snakemake/slurm_logs").rglob("*.log")
    )


def only(*rules: str) -> tuple[str, ...]:
    """Options that run these rules alone, whatever else an edited copy would repeat."""
    return ("--rerun-triggers", "mtime", "--allowed-rules", *rules)


def without(finished: Path, folder: Path, *lost: str) -> Path:
    """A copy of the workflow with the results of a finished study, some of them lost."""
    checkout(folder, "[tiny]")
    shutil.copytree(finished / "results", folder / "results")
    shutil.rmtree(folder / "results/logs")
    for name in lost:
        (folder / name).unlink()
    return folder


def insert(path: Path, before: str, line: str) -> None:
    """Put a line before the only line of a file that begins like that, as far in."""
    lines = path.read_text().splitlines()
    found = [i for i, text in enumerate(lines) if text.lstrip().startswith(before)]
    assert len(found) == 1, f"{path}: {before!r} stands there {len(found)} times"
    margin = lines[found[0]][: -len(lines[found[0]].lstrip())]
    lines.insert(found[0], margin + line)
    path.write_text("\n".join(lines) + "\n")


def slow_training(folder: Path, seconds: float) -> None:
    """Every step takes longer, without work for the processor; a training that goes on is as fast as ever."""
    insert(
        folder / "dig_core/training.py",
        "value = trainer.objective(batch)",
        f"time.sleep(0.0 if trainer.cpu_seconds else {seconds})",
    )


def slow_simulation(folder: Path, seconds: float) -> None:
    """Every chunk takes longer, without work for the processor."""
    insert(folder / "dig_core/data/chunks.py", "arrays = chunk(index)", f"time.sleep({seconds})")
