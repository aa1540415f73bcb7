"""Jobs tell one line, keep a log and end with the right status."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import openmm
import pytest

from dig_core import runtime


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
    # OpenMM has read the environment when it was loaded, before.
    cpu = openmm.Platform.getPlatformByName("CPU")
    assert cpu.getPropertyDefaultValue("Threads") == "1"
    system = openmm.System()
    system.addParticle(1.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), cpu)
    assert cpu.getPropertyValue(context, "Threads") == "1"
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


def test_runtime_loads_without_torch_and_the_rest_of_the_library():
    known = "[m for m in sys.modules if m.startswith(('torch', 'dig_core.'))]"
    code = f"import sys, dig_core.runtime; print({known})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['dig_core.files', 'dig_core.runtime']"
