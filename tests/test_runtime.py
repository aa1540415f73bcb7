"""Files appear whole or not at all; jobs tell one line, keep a log and end with the right status."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dig_core import runtime


def test_atomic_moves_on_success(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with runtime.atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), runtime.atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_writer_leaves_the_old_file(tmp_path, number):
    path = tmp_path / "a.npz"
    path.write_text("old")
    code = (
        "import sys, time\nfrom types import SimpleNamespace\nfrom dig_core import runtime\n"
        "def main(job):\n"
        "    with runtime.atomic(sys.argv[1]) as temporary:\n"
        "        temporary.write_text('half')\n        print('writing', flush=True)\n"
        # Short sleeps: a signal that comes just before a sleep is answered only after it.
        "        [time.sleep(0.1) for _ in range(600)]\n"
        "runtime.run(main, SimpleNamespace(log=[], threads=1))\n"
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        assert process.wait(timeout=20) != 0
    assert path.read_text() == "old"
    if number == signal.SIGTERM:
        assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        with runtime.atomic(tmp_path / "a") as temporary:
            temporary.touch()
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_arrays_return_with_their_provenance(tmp_path):
    path = tmp_path / "a.npz"
    positions = np.arange(6.0).reshape(2, 3)
    runtime.save_arrays(path, {"seed": np.int64(3)}, positions=positions, names=np.array(["a", "b"]))
    arrays = runtime.load_arrays(path, required=["positions"])
    np.testing.assert_array_equal(arrays["positions"], positions)
    assert list(arrays["names"]) == ["a", "b"]
    assert runtime.load_provenance(path) == {"seed": 3}


def test_missing_truncated_and_incomplete_arrays_are_told_in_one_line(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match="found none") as missing:
        runtime.load_arrays(path)
    runtime.save_arrays(path, {}, positions=np.random.default_rng(0).normal(size=1000))
    with pytest.raises(ValueError, match="expected the arrays weights") as incomplete:
        runtime.load_arrays(path, required=["weights"])
    content = path.read_bytes()
    for kept in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match="truncated or damaged"):
            runtime.load_arrays(path)
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match="truncated or damaged"):
        runtime.load_arrays(path)
    path.write_text("not an archive")
    with pytest.raises(ValueError, match="truncated or damaged"):
        runtime.load_arrays(path)
    for caught in (missing, incomplete):
        assert "\n" not in runtime.one_line(caught.value)


def test_arrays_need_the_npz_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"\.npz"):
        runtime.save_arrays(tmp_path / "a.dat", {}, x=np.zeros(1))


def test_json_takes_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    runtime.write_json(path, {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x")})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [0, 1], "c": "x"}
    with pytest.raises(ValueError, match="finite"):
        runtime.write_json(path, {"a": float("nan")})
    assert runtime.read_json(path)["a"] == 0.5


def job(tmp_path, threads=1):
    return SimpleNamespace(log=[str(tmp_path / "logs" / "a.log")], threads=threads)


@pytest.fixture
def signals():
    """Give the test process its own answer to SIGTERM back."""
    old = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, old)


@pytest.mark.usefixtures("signals")
def test_expected_error_is_one_line_and_status_1(tmp_path, capsys):
    def main(job):
        print("begun")
        raise ValueError("expected a number;\n got none.")

    with pytest.raises(SystemExit) as ended:
        runtime.run(main, job(tmp_path))
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert captured.err == "error: expected a number; got none.\n"
    assert captured.out == "begun\n"
    log = (tmp_path / "logs" / "a.log").read_text()
    assert "Traceback" in log and "begun" in log and "error: expected" in log


@pytest.mark.usefixtures("signals")
def test_missing_file_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        runtime.run(lambda job: (tmp_path / "nothing.txt").read_text(), job(tmp_path))
    error = capsys.readouterr().err
    assert "nothing.txt" in error and "found none" in error and error.count("\n") == 1


@pytest.mark.usefixtures("signals")
def test_mistake_of_ours_shows_its_traceback(tmp_path):
    with pytest.raises(KeyError):
        runtime.run(lambda job: {}["x"], job(tmp_path))


@pytest.mark.usefixtures("signals")
def test_log_has_times_is_appended_and_streams_are_given_back(tmp_path):
    streams = sys.stdout, sys.stderr
    for word in ("one", "two"):
        runtime.run(lambda job, word=word: print(word), job(tmp_path))
    assert (sys.stdout, sys.stderr) == streams
    lines = (tmp_path / "logs" / "a.log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["one", "two"]
    assert all(line[:2] == "20" and line[13] == ":" for line in lines)


@pytest.mark.usefixtures("signals")
def test_log_of_a_job_that_is_sent_again_tells_all_its_runs(tmp_path):
    """Snakemake deletes the log before it sends a job again; a new job after a good end begins a new one."""
    path, said = tmp_path / "logs" / "a.log", "asked to end"
    with pytest.raises(SystemExit), runtime.job_log(path):
        print(said)
        raise SystemExit(143)
    path.unlink()
    with runtime.job_log(path):
        print("going on")
    assert [line.split("  ")[1] for line in path.read_text().splitlines()] == [said, "going on"]
    assert [file.name for file in path.parent.iterdir()] == ["a.log"]
    path.unlink()
    with runtime.job_log(path):
        print("anew")
    assert said not in path.read_text()


def test_job_without_a_log_runs(capsys):
    runtime.run(lambda job: print("done"), SimpleNamespace(log=[], threads=1))
    assert capsys.readouterr().out == "done\n"


def test_progress_yields_everything_and_tells_in_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(runtime, "PROGRESS_INTERVAL_S", 0.0)
    assert list(runtime.progress(range(4), "frames")) == [0, 1, 2, 3]
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4 and lines[1].startswith("frames: 2 of 4 (50 %)")


def test_short_work_is_silent(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(list(runtime.progress(iter(range(4)), "frames"))) == 4
    assert stream.getvalue() == ""


def test_threads_are_limited(monkeypatch):
    for variable in runtime.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "7")
    runtime.limit_threads(1)
    assert {os.environ[variable] for variable in runtime.THREAD_VARIABLES} == {"1"}
    with pytest.raises(ValueError, match="at least one thread"):
        runtime.limit_threads(0)


def test_provenance_says_what_a_result_was_made_from(tmp_path):
    (tmp_path / "a").write_text("abc")
    started = runtime.start()
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    record = runtime.provenance({"steps": 2}, [tmp_path / "a", tmp_path], 5, started)
    # SHA-256 of "abc": FIPS 180-2, appendix B.1.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert record["inputs"] == {str(tmp_path / "a"): digest}
    assert record["settings"] == {"steps": 2} and record["seed"] == 5
    assert record["packages"]["numpy"] == np.__version__
    assert min(record["cpu_seconds"], record["wall_seconds"]) >= 0.04
    json.dumps(record)


def test_runtime_loads_without_torch_and_the_library():
    known = "[m for m in sys.modules if m.startswith(('torch', 'dig_core.'))]"
    code = f"import sys, dig_core.runtime; print({known})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['dig_core.runtime']"
