"""What a study with a thousand small targets costs beyond its work: planning, and starting processes.

    python tests/benchmarks/many_targets.py [targets_per_job]

A copy of the workflow gets a study of 1,000 tripeptides; `snakemake -n` plans it, and for every script that a job of the plan runs it is
timed what it imports. Nothing is simulated.
"""

import itertools
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "config", "envs", "dig_core", "workflow_scripts")
RESIDUES = ("ALA", "GLY", "SER", "THR", "VAL", "LEU", "ILE", "MET", "ASN", "GLN")
LONGEST_PLAN_S, LARGEST_START_S, MOST_PROCESSES = 10.0, 2.5, 20
STUDY = """based_on: tiny
targets_per_job: {targets_per_job}
targets:
{targets}
data: {{competitor_duration_ns: null, tight_reference: null}}
density: null
interpolation: null
sampler: {{relaxation: null}}
evaluation: {{sampler_comparison: null}}
"""


def cpu_seconds(command: list[str], folder: Path) -> tuple[float, float, str]:
    """CPU and wall seconds of a command, and what it says."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.perf_counter() - started, answer.stdout + answer.stderr


def checkout(folder: Path, targets_per_job: int) -> None:
    """A copy of the workflow with the study."""
    for name in PARTS:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    names = ["-".join(residues) for residues in itertools.product(RESIDUES, repeat=3)]
    targets = "\n".join(f"  t{k:04d}: {{sequence: ACE-{name}-NME}}" for k, name in enumerate(names))
    text = STUDY.format(targets_per_job=targets_per_job, targets=targets)
    (folder / "config/systems/thousand.yaml").write_text(text)
    (folder / "config/config.yaml").write_text("studies: [thousand]\nfigures: {figure_2a: []}\n")


def planned(said: str) -> dict[str, int]:
    """How often each script runs, from the table of a dry run; jobs for several targets run the script of the rule for one."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal", said, re.MULTILINE | re.DOTALL)[1]
    counts: dict[str, int] = {}
    for name, count in (line.split() for line in table.splitlines()):
        script = re.sub(r"_thousand_\d+$", "", name)
        if (ROOT / f"workflow_scripts/{script}.py").is_file():
            counts[script] = counts.get(script, 0) + int(count)
    return counts


def main(targets_per_job: str = "500") -> None:
    """Print the cost of the plan, of starting processes, and of all together, beside what we want."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkout(folder, int(targets_per_job))
        plan, wall, said = cpu_seconds([sys.executable, "-m", "snakemake", "-n", "thousand"], folder)
        counts = planned(said)
        starts = {
            script: cpu_seconds(
                [sys.executable, "-c", f"from workflow_scripts import several, {script}"], folder
            )[0]
            for script in counts
        }
    dearest, processes = max(starts, key=starts.get), sum(counts.values())
    total = plan + sum(count * starts[script] for script, count in counts.items())
    print(f"snakemake -n: {wall:.1f} s, {plan:.1f} of CPU (at most {LONGEST_PLAN_S:.0f})")
    print(
        f"start of a process: at most {starts[dearest]:.1f} CPU seconds, {dearest} (at most {LARGEST_START_S})"
    )
    print(
        f"processes: {processes} (at most {MOST_PROCESSES}); together {total:.0f} CPU seconds beyond the work"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
