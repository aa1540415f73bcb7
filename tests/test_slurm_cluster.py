"""What the tests on a real Slurm (make test-slurm) do to a machine: where they refuse, and what they leave. No Slurm is needed."""

import os
import subprocess
import sys

import pytest

from tests.slurm import cluster


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A folder in place of /etc/slurm, on a machine where nothing else is in the way."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    (tmp_path / "debian_version").touch()
    monkeypatch.setattr(cluster, "SETTINGS", folder)
    monkeypatch.setattr(cluster, "DEBIAN", tmp_path / "debian_version")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.mark.parametrize("name", ["slurm.conf", "gres.conf"])
def test_a_foreign_configuration_is_refused_and_stays(settings, name):
    assert cluster.obstacle() is None
    (settings / name).write_text("ClusterName=theirs\n")
    told = cluster.obstacle()
    assert "expected no configuration but that of these tests; got" in told and name in told
    assert "\n" not in told
    assert (settings / name).read_text() == "ClusterName=theirs\n"


def test_another_run_is_refused_and_a_dead_one_is_not_in_the_way(settings):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    (settings / "slurm.conf").write_text(f"{cluster.MARK}{os.getpid()}\nClusterName=dig\n")
    assert f"got one, process {os.getpid()}" in cluster.obstacle()
    (settings / "slurm.conf").write_text(f"{cluster.MARK}{gone.stdout.strip()}\nClusterName=dig\n")
    assert cluster.obstacle() is None


def test_other_users_and_other_systems_are_told(settings, monkeypatch):
    cluster.DEBIAN.unlink()
    assert "expected Debian" in cluster.obstacle()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "expected root" in cluster.obstacle()


def test_missing_programs_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "PATH", str(tmp_path))
    assert cluster.missing_programs() == list(cluster.PROGRAMS)


def test_only_what_was_written_is_removed(settings, monkeypatch):
    (settings / "plugstack.conf").write_text("theirs")
    monkeypatch.setattr(cluster, "_start", lambda *arguments: None)
    monkeypatch.setattr(cluster, "_end_jobs", lambda *arguments: None)
    with cluster.running() as started:
        assert (settings / "slurm.conf").read_text().startswith(f"{cluster.MARK}{os.getpid()}\n")
        assert "got one, process" in cluster.obstacle()
        assert started.folder.is_dir()
    assert [path.name for path in settings.iterdir()] == ["plugstack.conf"]
    assert not started.folder.exists()


def test_a_cluster_that_does_not_start_tells_its_logs_and_leaves_nothing(settings, monkeypatch):
    processes = []

    def start(made, undo):
        with open(made.folder / "slurmctld.out", "w") as out:
            out.write("fatal: no such plugin")
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        processes.append(process)
        undo.callback(cluster._end, process)
        cluster.wait_for(lambda: False, "a node that is idle", 0.1)

    monkeypatch.setattr(cluster, "_start", start)
    told = r"expected a node that is idle[\s\S]*fatal: no such plugin"
    with pytest.raises(RuntimeError, match=told), cluster.running():
        pass
    assert not list(settings.iterdir())
    assert processes[0].poll() is not None
