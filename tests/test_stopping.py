"""A request to end (SIGTERM), as a cluster sends it before a time limit: the work is saved, and goes on from there.

Each piece of work runs in a process of its own that is sent a real signal; the run that goes on must end with the bits of
one that was never stopped. Nothing but the request can have saved it in time: restart points are far away.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from dig_core import runtime
from dig_core.checkpoints import read_tensors
from dig_core.data import simulation, tempering
from dig_core.data.simulation import simulate
from dig_core.files import load_arrays
from dig_core.sampling import Kept, draw, kept_batches
from dig_core.training import train
from tests import test_sampling, test_training
from tests.data import test_simulation, test_tempering

ROOT = Path(__file__).parents[1]
# Long enough for a signal to come in between, short enough for a test.
PAUSE_S = 0.05


def pause(after: int, count: list[int]) -> None:
    """Tell the test that the work is under way, and take some time from then on."""
    count.append(1)
    if len(count) == after:
        print("under way", flush=True)
    if len(count) >= after:
        time.sleep(PAUSE_S)


def trained(folder: Path, after: int = 0) -> dict[str, np.ndarray]:
    """200 steps of a training whose own restart point would come after 150."""
    count: list[int] = []

    def loss(model, batch):
        if after:
            pause(after, count)
        return test_training.line_loss(model, batch)

    plan = test_training.schedule(steps=200, checkpoint_interval_steps=150)
    result = train(test_training.network(), loss, test_training.FRAMES, plan, folder / "restart.pt")
    return {name: value.numpy() for name, value in result.averaged.items()}


def simulated(folder: Path, after: int = 0) -> dict[str, np.ndarray]:
    """A dynamics of four chunks: what is under way when the request comes is finished."""
    if after:
        _slow_chunks(simulation, after)
    arrays = simulate(*test_simulation.chain(), test_simulation.PLAIN, folder / "chunks")
    return {name: array for name, array in arrays.items() if name != "cpu_seconds"}


def tempered(folder: Path, after: int = 0) -> dict[str, np.ndarray]:
    """Parallel tempering in four chunks, likewise."""
    if after:
        _slow_chunks(tempering, after)
    arrays = test_tempering.run(folder / "chunks", **test_tempering.SHORT)
    return {name: array for name, array in arrays.items() if name != "cpu_seconds"}


def _slow_chunks(module: ModuleType, after: int) -> None:
    """In a process of its own only: a pause before every chunk."""
    count: list[int] = []
    run_chunk = module._run_chunk

    def slow(*arguments):
        pause(after, count)
        return run_chunk(*arguments)

    module._run_chunk = slow


def kept(folder: Path) -> Kept:
    return Kept(folder / "batches", "same")


def sampled(folder: Path, after: int = 0) -> dict[str, np.ndarray]:
    """Four batches of five structures from the exact score of a Gaussian, eight steps each."""
    count: list[int] = []

    def score(state, moment):
        if after:
            pause(after, count)
        return test_sampling.score(state, moment)

    drawn = draw(score, test_sampling.PROCESS, test_sampling.request(), kept(folder))
    return {name: values.numpy() for name, values in drawn.items()}


# Work, and the call in whose pause the request comes.
WORK = {"train": (trained, 50), "simulate": (simulated, 2), "temper": (tempered, 2), "sample": (sampled, 12)}


def stop(name: str, folder: Path) -> str:
    """Run a piece of work in a process, ask it to end when it is under way, and return what it says."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom types import SimpleNamespace\n"
        "from dig_core import runtime\nfrom tests.test_stopping import WORK\n"
        "work, after = WORK[sys.argv[1]]\n"
        "runtime.run(lambda job: work(Path(sys.argv[2]), after), SimpleNamespace(log=[], threads=1))\n"
    )
    command = [sys.executable, "-c", code, name, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "under way\n"
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    return said


@pytest.mark.parametrize("name", WORK)
def test_work_that_is_asked_to_end_saves_and_goes_on_to_the_same_result(tmp_path, name):
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    work, _ = WORK[name]
    whole = work(tmp_path / "whole")
    assert "asked to end: saved" in stop(name, tmp_path / "stopped")
    saved = sorted(path for path in (tmp_path / "stopped").rglob("*") if path.is_file())
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in saved}
    resumed = work(tmp_path / "stopped")
    assert set(resumed) == set(whole)
    assert all(np.array_equal(resumed[key], whole[key]) for key in whole)
    if name != "train":  # whose restart point is written again at step 150
        assert saved and all((p.stat().st_mtime_ns, p.read_bytes()) == before[p] for p in saved)


def test_training_stops_after_the_step_under_way(tmp_path):
    stop("train", tmp_path)
    # A step is a call, and a report every second step another one; a few may pass until the signal is there.
    assert 30 <= read_tensors(tmp_path / "restart.pt")["step"] < 60


def test_simulation_and_drawing_stop_after_the_chunk_and_the_batch_under_way(tmp_path):
    stop("simulate", tmp_path)
    stop("sample", tmp_path)
    assert 2 <= len(list((tmp_path / "chunks").glob("*.npz"))) < 4
    assert 2 <= len(list((tmp_path / "batches").glob("*.npz"))) < 4


def test_kept_batches_are_not_drawn_again_and_their_time_counts(tmp_path):
    whole = sampled(tmp_path)
    spent = kept(tmp_path).cpu_seconds()
    assert spent > 0

    def never(state, moment):
        raise AssertionError("drawn again")

    again = draw(never, test_sampling.PROCESS, test_sampling.request(), kept(tmp_path))
    assert np.array_equal(again["positions"].numpy(), whole["positions"])
    assert kept(tmp_path).cpu_seconds() == spent


def test_a_broken_batch_is_drawn_again_alone(tmp_path):
    whole, files = sampled(tmp_path), sorted((tmp_path / "batches").iterdir())
    before = [path.read_bytes() for path in files]
    files[1].write_bytes(before[1][:100])
    times = [path.stat().st_mtime_ns for path in files]
    assert np.array_equal(sampled(tmp_path)["positions"], whole["positions"])
    assert [path.stat().st_mtime_ns == old for path, old in zip(files, times, strict=True)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert load_arrays(files[1])["state.positions"].shape == (5, 4, 3)


def test_batches_of_other_settings_or_another_network_are_not_used(tmp_path):
    (tmp_path / "checkpoint.pt").write_text("one")
    first = kept_batches(tmp_path / "batches", {"seed": 1}, [tmp_path / "checkpoint.pt"])
    first.save(0, {"positions": torch.ones(2, 4, 3)}, 1.0)
    assert torch.equal(first.load(0)["positions"], torch.ones(2, 4, 3))
    assert first.load(5) is None
    other = kept_batches(tmp_path / "batches", {"seed": 2}, [tmp_path / "checkpoint.pt"])
    (tmp_path / "checkpoint.pt").write_text("two")
    trained_anew = kept_batches(tmp_path / "batches", {"seed": 1}, [tmp_path / "checkpoint.pt"])
    for each in (other, trained_anew):
        assert each.load(0) is None and each.cpu_seconds() == 0.0


def test_work_that_is_not_asked_to_end_gives_the_signal_back():
    before = signal.getsignal(signal.SIGTERM)
    assert list(runtime.stoppable(range(3))) == [0, 1, 2]
    for item in runtime.stoppable(range(3)):
        if item == 1:
            break
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_that_saves_nothing_ends_at_once(tmp_path):
    code = (
        "import time\nfrom types import SimpleNamespace\nfrom dig_core import runtime\n"
        "def main(job):\n    print('under way', flush=True)\n    [time.sleep(0.1) for _ in range(600)]\n"
        "runtime.run(main, SimpleNamespace(log=[], threads=1))\n"
    )
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout.readline() == "under way\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=60) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 40
