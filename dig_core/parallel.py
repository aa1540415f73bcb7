"""Several processes for one training, one per GPU, started as torchrun does; or on a CPU, for tests.

Every process draws the whole batch and computes its share of it; gradients are averaged (DistributedDataParallel), so that
weights stay the same in all of them and a training does not depend on how many there are, but for the order of sums.
"""

import contextlib
import copyreg
import importlib
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from dig_core.runtime import job_log, limit_threads

T = TypeVar("T")
SECONDS_TO_SAVE = 90  # after a request to end, before the processes are killed

# The kind of a system is a module: sent to another process by its name.
copyreg.pickle(ModuleType, lambda module: (importlib.import_module, (module.__name__,)))


def launched(processes: int, log: str | Path | None, work: Callable[..., T], *arguments: Any) -> T:
    """What `work(*arguments)` returns in the first of so many processes; with one process it is this one.

    Args:
        log: file in which the first process repeats what it says; the others are silent.

    Raises:
        What `work` raises; of several processes a RuntimeError with the words of the first that failed, the others are ended.
        ValueError: fewer GPUs than processes.
        SystemExit: a request to end (SIGTERM), passed on to all processes, which save first.
    """
    if processes == 1:
        return work(*arguments)
    if torch.cuda.is_available() and torch.cuda.device_count() < processes:
        raise ValueError(
            f"expected {processes} GPUs for as many processes; got {torch.cuda.device_count()}. Ask for fewer, or for one node"
        )
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=str(os.getpid()), rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, shutdown_timeout=SECONDS_TO_SAVE,
    )  # fmt: skip
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # we say it in one line
    with _signals_given_back():
        try:
            return elastic_launch(config, _in_process)(log, work, arguments)[0]
        except SignalException as asked:
            sys.exit(128 + asked.sigval)
        except ChildFailedError as error:
            number, failure = error.get_first_failure()
            raise RuntimeError(f"process {number} of {processes}: {_told(failure)}") from error


def _told(failure: Any) -> str:
    """What a process said when it failed, without the name of the exception; how it ended where it said nothing."""
    message = failure.message["message"] if isinstance(failure.message, dict) else failure.message
    return re.sub(r"^\w+: ", "", message)


@contextlib.contextmanager
def _signals_given_back() -> Iterator[None]:
    """The launcher answers signals in its own way, and would go on to."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_process(log: str | Path | None, work: Callable[..., T], arguments: tuple) -> T | None:
    """One of the processes; what it fails of is kept for the one that launched it."""
    from torch.distributed.elastic.multiprocessing.errors import record

    return record(_share)(log, work, arguments)


def _share(log: str | Path | None, work: Callable[..., T], arguments: tuple) -> T | None:
    """The work of one process; the first one tells of it, and returns the result."""
    is_first = os.environ["RANK"] == "0"
    limit_threads(max(1, torch.get_num_threads() // int(os.environ["WORLD_SIZE"])))
    with contextlib.ExitStack() as around:
        if is_first:
            around.enter_context(job_log(log))
        else:
            silence = around.enter_context(open(os.devnull, "w"))
            around.enter_context(contextlib.redirect_stdout(silence))
            around.enter_context(contextlib.redirect_stderr(silence))
        with _group():
            result = work(*arguments)
            return result if is_first else None


@contextlib.contextmanager
def _group() -> Iterator[None]:
    """The connection between the processes: NCCL between GPUs, gloo between CPUs."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield
    # After a failure the others would be waited for; the launcher ends them.
    dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shared(objective: nn.Module) -> nn.Module:
    """The module whose gradients are averaged over the processes; itself where there is one."""
    return nn.parallel.DistributedDataParallel(objective) if processes() > 1 else objective


def mean(value: Tensor) -> Tensor:
    """The mean of a number over all processes."""
    if processes() > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
        value /= processes()
    return value


def any_of(condition: bool) -> bool:
    """Whether a condition holds in any process: all decide alike."""
    if processes() == 1:
        return condition
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return bool(mean(torch.tensor(float(condition), device=device)) > 0)
