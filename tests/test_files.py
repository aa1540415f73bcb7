"""Files appear whole or not at all, and a damaged one is told in one line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dig_core import files, runtime


def test_atomic_moves_on_success(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with files.atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        with files.atomic(tmp_path / "a") as temporary:
            temporary.touch()
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_arrays_return_with_their_provenance(tmp_path):
    path = tmp_path / "a.npz"
    positions = np.arange(6.0).reshape(2, 3)
    files.save_arrays(path, {"seed": np.int64(3)}, positions=positions, names=np.array(["a", "b"]))
    arrays = files.load_arrays(path, required=["positions"])
    np.testing.assert_array_equal(arrays["positions"], positions)
    assert list(arrays["names"]) == ["a", "b"]
    assert files.load_provenance(path) == {"seed": 3}


def test_arrays_need_the_npz_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"\.npz"):
        files.save_arrays(tmp_path / "a.dat", {}, x=np.zeros(1))


def test_json_takes_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x")})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [0, 1], "c": "x"}
    with pytest.raises(ValueError, match="finite"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path)["a"] == 0.5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_writer_leaves_the_old_file(tmp_path, number):
    path = tmp_path / "a.npz"
    path.write_text("old")
    code = (
        "import sys, time\nfrom types import SimpleNamespace\nfrom dig_core import files, runtime\n"
        "def main(job):\n"
        "    with files.atomic(sys.argv[1]) as temporary:\n"
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


def test_missing_truncated_and_incomplete_arrays_are_told_in_one_line(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match="found none") as missing:
        files.load_arrays(path)
    files.save_arrays(path, {}, positions=np.random.default_rng(0).normal(size=1000))
    with pytest.raises(ValueError, match="expected the arrays weights") as incomplete:
        files.load_arrays(path, required=["weights"])
    content = path.read_bytes()
    for kept in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match="truncated or damaged"):
            files.load_arrays(path)
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match="truncated or damaged"):
        files.load_arrays(path)
    path.write_text("not an archive")
    with pytest.raises(ValueError, match="truncated or damaged"):
        files.load_arrays(path)
    for caught in (missing, incomplete):
        assert "\n" not in runtime.one_line(caught.value)
