"""The workflow on a real cluster: what it gives, and what is left of it after limits, kills and drained nodes.

The profile is the one that users get. Each test but the first starts from the results of the first, loses one of them, and
has it made again under a fault; it must be the same to the last bit.
"""

import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from dig_core import job_memory
from dig_core.config import load_study
from dig_core.files import load_arrays
from tests.slurm.cluster import wait_for
from tests.slurm.workflow import (  # fmt: skip
    command,
    environment,
    insert,
    logs,
    only,
    slow_simulation,
    slow_training,
    snakemake,
    without,
)

SAMPLES = "results/tiny/ala/samples.npz"
CHECKPOINT = "results/tiny/model/checkpoint.pt"
COMPETITOR = "results/tiny/ala/simulation/competitor.npz"
CHUNKS = "results/tiny/ala/simulation/competitor.partial"
PATIENCE_S = 180


def same_arrays(one: Path, other: Path, *names: str) -> bool:
    first, second = load_arrays(one), load_arrays(other)
    return all(np.array_equal(first[name], second[name]) for name in names)


def same_weights(one: Path, other: Path) -> bool:
    first, second = (torch.load(path, weights_only=True)["weights"] for path in (one, other))
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def log_of(folder: Path, name: str) -> str:
    return (folder / f"results/logs/{name}.log").read_text()


def started(folder: Path, *arguments: str) -> subprocess.Popen:
    """Snakemake in the background."""
    with open(folder / "said.txt", "w") as said:
        return subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=environment(),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def ended(folder: Path, run: subprocess.Popen) -> str:
    """Wait for the end of a run in the background, which must be a good one."""
    assert run.wait(timeout=600) == 0, (folder / "said.txt").read_text() + logs(folder)
    return (folder / "said.txt").read_text()


def test_the_tiny_study_from_end_to_end(cluster, finished):
    metrics = json.loads((finished / "results/tiny/ala/metrics.json").read_text())
    assert metrics["samples"] == 500
    assert 0 < metrics["jensen_shannon_nats"] < np.log(2) - 0.01
    for name in ("landscape", "energies", "samplers", "density", "pathway", "learning_curve"):
        assert (finished / f"results/tiny/figures/{name}.png").stat().st_size > 1000
    assert not list((finished / "results").rglob("*.partial*"))
    # Every job went through Slurm, one for each rule but the group of short ones, and none had to be sent twice.
    states = cluster.states(finished)
    assert len(states) == 15 and set(states) == {"COMPLETED"}
    assert len(list((finished / "results/logs").rglob("*.log"))) == 21
    assert "Nothing to be done" in snakemake(finished, "-n")


def test_jobs_that_ask_for_a_gpu_get_one_and_others_do_not(cluster, finished, tmp_path):
    """The lines of the profile that a user uncomments; what a job sees is written into its result."""
    folder = without(finished, tmp_path, SAMPLES, CHECKPOINT, "results/tiny/dataset.npz")
    profile = folder / "config/profiles/slurm/config.yaml"
    text = profile.read_text()
    lines = text[text.index("# set-resources:") :]
    uncommented = re.sub(r"^# ", "", lines, flags=re.MULTILINE).replace("    gpu_model: a100\n", "")
    profile.write_text(text.replace(lines, uncommented))
    for rule, output in (("prepare", "dataset"), ("train", "checkpoint"), ("sample", "samples")):
        (folder / f"workflow_scripts/{rule}.py").write_text(
            "import os\nfrom pathlib import Path\n"
            "seen = os.environ.get('CUDA_VISIBLE_DEVICES', 'none')\n"
            f"Path(snakemake.output.{output}).write_text(seen)\n"
            "[Path(file).touch() for file in snakemake.output]\n"
        )
    snakemake(folder, SAMPLES, *only("prepare", "train", "sample"))
    seen = [(folder / name).read_text() for name in ("results/tiny/dataset.npz", CHECKPOINT, SAMPLES)]
    assert seen[0] != "0" and seen[1:] == ["0", "0"]
    jobs = cluster.jobs(folder, "%i", "%P")
    asked = ["gres:gpu:1" in cluster.command("scontrol", "show", "job", number) for number, _ in jobs]
    assert asked == [False, True, True]
    assert [partition for _, partition in jobs] == ["main", "gpu", "gpu"]


def test_jobs_that_meet_their_time_limit_go_on_to_the_same_result(cluster, finished, tmp_path):
    """The training is killed by its limit of a minute; the dynamics is warned two minutes before one of three minutes."""
    folder = without(finished, tmp_path, CHECKPOINT, COMPETITOR)
    # 500 steps take longer than the two minutes after which Slurm has certainly acted; what is left then is done at full speed.
    slow_training(folder, 0.35)
    slow_simulation(folder, 15.0)
    limits = ("train:runtime=1", "train:slurm_extra='--signal=TERM@0'", "simulate_competitor:runtime=3")
    options = ("--set-resources", *limits, "--retries", "9")
    snakemake(folder, CHECKPOINT, COMPETITOR, *only("train", "simulate_competitor"), *options)
    states = cluster.states(folder)
    assert "TIMEOUT" in states and "FAILED" in states and states.count("COMPLETED") == 2
    assert re.search(r"going on from step [1-9]", log_of(folder, "train/tiny"))
    for name in ("train/tiny", "simulate/tiny_ala_competitor"):
        assert "asked to end: saved" in log_of(folder, name)
    assert same_weights(folder / CHECKPOINT, finished / CHECKPOINT)
    names = ("positions_angstrom", "potential_energy_kJ_per_mol", "time_ps")
    assert same_arrays(folder / COMPETITOR, finished / COMPETITOR, *names)


def test_a_job_out_of_memory_is_sent_again_with_more(cluster, finished, tmp_path):
    """It takes 2,200 MB where 2,010 were estimated."""
    folder = without(finished, tmp_path, SAMPLES)
    script = folder / "workflow_scripts/sample.py"
    insert(script, "kept = kept_batches", "ballast = b'x' * 2_200_000_000; import time; time.sleep(8)")
    snakemake(folder, SAMPLES, *only("sample"))
    states, memory = zip(*cluster.jobs(folder, "%T", "%m"), strict=True)
    assert states[0] != "COMPLETED" and states[1] == "COMPLETED" and len(states) == 2
    first, second = (int(re.sub(r"\D", "", text)) for text in memory)
    estimated = job_memory.memory_MB("sample", load_study(folder / "config/systems/tiny.yaml"))
    assert (first, second) == (estimated, 2 * estimated)
    assert same_arrays(folder / SAMPLES, finished / SAMPLES, "positions_angstrom", "valid")


def test_a_cancelled_job_loses_no_finished_work(cluster, finished, tmp_path):
    folder = without(finished, tmp_path, COMPETITOR)
    slow_simulation(folder, 5.0)
    others = {path: path.read_bytes() for path in (folder / "results").rglob("*.npz")}
    run = started(folder, COMPETITOR, *only("simulate_competitor"))
    wait_for((folder / CHUNKS / "chunk_00001.npz").exists, "two chunks", PATIENCE_S)
    first = (folder / CHUNKS / "chunk_00000.npz").stat().st_mtime_ns
    ((number,),) = cluster.jobs(folder, "%i")
    cluster.command("scancel", number)
    wait_for(
        lambda: "asked to end: saved" in log_of(folder, "simulate/tiny_ala_competitor"), "a word", PATIENCE_S
    )
    assert (folder / CHUNKS / "chunk_00000.npz").stat().st_mtime_ns == first
    ended(folder, run)
    assert cluster.states(folder) == ["CANCELLED", "COMPLETED"]
    # Five chunks, each once: what was finished was not computed again.
    assert log_of(folder, "simulate/tiny_ala_competitor").count("asked to end") == 1
    assert same_arrays(folder / COMPETITOR, finished / COMPETITOR, "positions_angstrom", "time_ps")
    assert all(path.read_bytes() == content for path, content in others.items())


def test_a_drained_node_finishes_its_job_and_the_next_one_waits(cluster, finished, tmp_path):
    """Snakemake waits with the queue, and goes on when the node is back."""
    folder = without(finished, tmp_path, SAMPLES, COMPETITOR)
    slow_simulation(folder, 3.0)
    first = started(folder, COMPETITOR, *only("simulate_competitor"))
    wait_for((folder / CHUNKS / "chunk_00000.npz").exists, "a chunk", PATIENCE_S)
    cluster.set_node("drain")
    try:
        ended(folder, first)
        second = started(folder, SAMPLES, *only("sample"))
        wait_for(lambda: "PENDING" in cluster.states(folder), "a job that waits", PATIENCE_S)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=15)
        assert cluster.states(folder) == ["COMPLETED", "PENDING"] and not (folder / SAMPLES).exists()
    finally:
        cluster.set_node("resume")
    ended(folder, second)
    assert cluster.states(folder) == ["COMPLETED", "COMPLETED"]
    assert same_arrays(folder / COMPETITOR, finished / COMPETITOR, "positions_angstrom")
    assert same_arrays(folder / SAMPLES, finished / SAMPLES, "positions_angstrom", "valid")


def test_a_killed_snakemake_goes_on_where_it_was(cluster, finished, tmp_path):
    """kill -9, then what the README says: cancel what still runs, unlock, the same command again."""
    folder = without(finished, tmp_path, CHECKPOINT)
    slow_training(folder, 0.05)
    run = started(folder, CHECKPOINT, *only("train"))
    wait_for((folder / "results/tiny/model/checkpoint.partial.pt").exists, "a restart point", PATIENCE_S)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert cluster.states(folder) == ["RUNNING"], "the job does not need Snakemake"
    name = re.search(r"SLURM run ID: (\S+)", (folder / "said.txt").read_text())[1]
    cluster.command("scancel", f"--name={name}")
    wait_for(lambda: cluster.states(folder) == ["CANCELLED"], "the end of the job", PATIENCE_S)
    assert not (folder / CHECKPOINT).exists()
    snakemake(folder, "--unlock")
    snakemake(folder, CHECKPOINT, *only("train"))
    assert cluster.states(folder) == ["CANCELLED", "COMPLETED"]
    assert len(re.findall(r"going on from step [1-9]", log_of(folder, "train/tiny"))) == 1
    assert same_weights(folder / CHECKPOINT, finished / CHECKPOINT)
    assert "Nothing to be done" in snakemake(folder, CHECKPOINT, *only("train"))
