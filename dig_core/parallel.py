"""Several processes for one training, one per GPU, started as torchrun does; or on a CPU, for tests.

Every process draws the whole batch and computes its share of it; gradients are averaged (DistributedDataParallel), so that
weights stay the same in all of them and a training does not depend on how many there are, but for the order of sums.
"""

import contextlib
import copyreg
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from dig_core.runtime import EXPECTED_ERRORS, job_log, limit_threads

T = TypeVar("T")
SECONDS_TO_SAVE = 90  # after a request to end, before the processes are killed

# The kind of a system is a module: sent to another process by its name.
copyreg.pickle(ModuleType, lambda module: (importlib.import_module, (module.__name__,)))


def launched(processes: int, log: str | Path | None, work: Callable[..., T], *arguments: Any) -> T:
    """What `work(*arguments)` returns in the first of so many processes; with one process it is this one.

    Args:
        log: file in which the first process repeats what it says; the others are silent.

    Raises:
        What `work` raises, if that is an expected error (see `runtime.run`).
        SystemExit: a request to end (SIGTERM), passed on to all processes, which save first.
    """
    if processes == 1:
        return work(*arguments)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=str(os.getpid()), rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, shutdown_timeout=SECONDS_TO_SAVE,
    )  # fmt: skip
    try:
        results = elastic_launch(config, _in_process)(log, work, arguments)
    except SignalException as signal:
        sys.exit(128 + signal.sigval)
    errors = [result for result in results.values() if isinstance(result, BaseException)]
    if errors:
        # When one process fails, the others find the connection closed: that is not the cause.
        raise min(errors, key=lambda error: type(error) is RuntimeError)
    return results[0]


def _in_process(log: str | Path | None, work: Callable[..., T], arguments: tuple) -> T | BaseException | None:
    """The work in one of the processes: its result in the first one, an expected error in any of them."""
    is_first = os.environ["RANK"] == "0"
    limit_threads(max(1, torch.get_num_threads() // int(os.environ["WORLD_SIZE"])))
    with contextlib.ExitStack() as around:
        if is_first:
            around.enter_context(job_log(log))
        else:
            silence = around.enter_context(open(os.devnull, "w"))
            around.enter_context(contextlib.redirect_stdout(silence))
            around.enter_context(contextlib.redirect_stderr(silence))
        try:
            with _group():
                result = work(*arguments)
                return result if is_first else None
        except EXPECTED_ERRORS as error:
            return error


@contextlib.contextmanager
def _group() -> Iterator[None]:
    """The connection between the processes: NCCL between GPUs, gloo between CPUs."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
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
