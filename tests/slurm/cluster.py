"""A real Slurm on this machine, for the tests: one node with a false GPU and limits of memory and time.

munged, slurmctld and slurmd of Debian's packages run by hand, from a folder of their own. Only the configuration stands in
/etc/slurm: Snakemake's plugin drops every SLURM_ variable of the environment, SLURM_CONF too. What is written there carries
a mark; a configuration without it is never touched.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/slurm")
DEBIAN = Path("/etc/debian_version")
MARK = "# Written by the tests of dig, process "
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
SECONDS_TO_START = 60
SECONDS_TO_END = 60
# munged, slurmctld and slurmd stand where a user's PATH may not lead.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

# Jobs ask for cores and memory, of which the node has what a group of short jobs wants, whether the machine has them or not;
# what uses more memory than it asked for is ended (OverMemoryKill, looked at every 2 s).
SLURM_CONF = """\
ClusterName=dig
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=7200
KillWait=30
SchedulerParameters=sched_interval=5,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory_MB} Gres=gpu:1
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
# Slurm must see a device; nothing ever computes on this one.
GRES_CONF = "NodeName={host} Name=gpu File=/dev/null\n"


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder with logs and state, and the name of its only node."""

    folder: Path
    node: str

    def command(self, *words: str) -> str:
        """Run a command of Slurm and return what it says.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        answer = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        return answer.stdout

    def jobs(self, folder: Path, *fields: str) -> list[tuple[str, ...]]:
        """Return fields of squeue (%i number, %T state, ...) of every job that was sent from a folder, in order."""
        wanted = "|".join(["%Z", *fields])
        told = self.command("squeue", "--noheader", "--states=all", "--sort=i", f"--format={wanted}")
        rows = [line.split("|") for line in told.splitlines()]
        return [tuple(row[1:]) for row in rows if row[0] == str(folder)]

    def states(self, folder: Path) -> list[str]:
        """Return the states of the jobs that were sent from a folder, in order."""
        return [state for (state,) in self.jobs(folder, "%T")]

    def set_node(self, state: str) -> None:
        """Give the node a state: `drain` (runs what it has and takes nothing new) or `resume`."""
        self.command("scontrol", "update", f"nodename={self.node}", f"state={state}", "reason=test")

    def quiet(self) -> None:
        """Cancel whatever is left of a test, and wait until nothing runs."""
        self.command("scancel", "--user=root")
        wait_for(lambda: not self.command("squeue", "--noheader"), "no job in the queue", SECONDS_TO_END)


def obstacle() -> str | None:
    """Return in one line why no cluster can be started here; None where one can."""
    if os.geteuid() != 0:
        return "expected root, who may start slurmd; got another user. Run make test-slurm as root in a container"
    if not DEBIAN.is_file():
        return "expected Debian and its packages slurm-wlm and munge; got another system. Use a container of Debian"
    for path in (SETTINGS / "slurm.conf", SETTINGS / "gres.conf"):
        if path.exists() and (owner := _owner(path)) is None:
            return f"expected no configuration but that of these tests; got {path}. Use a machine without a Slurm of its own"
        if path.exists() and Path(f"/proc/{owner}").exists():
            return f"expected no other run of these tests; got one, process {owner}. Wait for it to end"
    return None


def missing_programs() -> list[str]:
    """Return the programs of Debian's packages that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def _owner(path: Path) -> int | None:
    """The process that wrote a configuration; None where the mark is missing."""
    first = path.read_text(errors="replace").partition("\n")[0]
    return int(first.removeprefix(MARK)) if first.startswith(MARK) else None


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster and yield it; afterwards its processes are ended, and what it wrote is removed.

    Raises:
        RuntimeError: it did not start; the message holds the end of the logs.
    """
    host = socket.gethostname().partition(".")[0]
    with contextlib.ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="dig_slurm_"))
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        _write_configuration(folder, host, undo)
        cluster = Cluster(folder, host)
        try:
            _start(cluster, undo)
        except TimeoutError as error:
            raise RuntimeError(f"{error}. Its logs end with:\n{_log_ends(folder)}") from error
        undo.callback(_end_jobs, cluster)
        yield cluster


def _write_configuration(folder: Path, host: str, undo: contextlib.ExitStack) -> None:
    # munged refuses a socket in a folder that others cannot enter.
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    values = {"host": host, "folder": folder, "ports": _free_ports(2), "cores": 4, "memory_MB": 16000}
    if not SETTINGS.exists():
        SETTINGS.mkdir()
        undo.callback(SETTINGS.rmdir)
    for name, text in (("slurm.conf", SLURM_CONF), ("gres.conf", GRES_CONF)):
        undo.callback((SETTINGS / name).unlink, missing_ok=True)
        (SETTINGS / name).write_text(f"{MARK}{os.getpid()}\n{text.format(**values)}")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(cluster: Cluster, undo: contextlib.ExitStack) -> None:
    folder = cluster.folder
    munge = [f"--{name}={folder}/munge.{end}" for name, end in
             (("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]  # fmt: skip
    _daemon(["munged", "--foreground", "--force", *munge], folder, undo)
    wait_for((folder / "munge.socket").exists, "munged answers", SECONDS_TO_START)
    _daemon(["slurmctld", "-D"], folder, undo)
    _daemon(["slurmd", "-D"], folder, undo)
    wait_for(lambda: "idle" in _states(), "a node that is idle", SECONDS_TO_START)


def _states() -> str:
    """The states of the nodes; empty while slurmctld does not answer."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=60
    )
    return answer.stdout


def _daemon(command: list[str], folder: Path, undo: contextlib.ExitStack) -> None:
    """Start a daemon in the foreground, which ends with this process even if that is killed."""
    with open(folder / f"{command[0]}.out", "w") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | {"PATH": PATH},
        )  # fmt: skip
    undo.callback(_end, process)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_jobs(cluster: Cluster) -> None:
    """slurmd leaves running jobs alone when it ends."""
    with contextlib.suppress(subprocess.SubprocessError, TimeoutError):
        cluster.quiet()


def _log_ends(folder: Path) -> str:
    files = sorted([*folder.glob("*.log"), *folder.glob("*.out")])
    return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in files)


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it does not within that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {what} within {seconds:.0f} s; got nothing")
        time.sleep(0.2)


if __name__ == "__main__":
    # For the Makefile, which installs packages only where a cluster can be started, and only those that are missing.
    sys.exit(bool(missing_programs()) if sys.argv[1:] == ["installed"] else obstacle())
