"""Processes: signals, threads and memory of the one that trains, and others for trials."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

from numpy_rnn.arguments import check_size
from numpy_rnn.training.ranks import world

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def check_memory(needed: int, what: str) -> None:
    """Raise MemoryError if the machine has less memory than `needed`, in bytes.

    Without this, Linux would lend the memory and end the process once it is used.
    """
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        size = f"{needed // 10**9:,} GB"
        raise MemoryError(f"{what} needs at least {size}, which this machine lacks")


@contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Hold back a signal that ends the program, and deliver it at the end of the block.

    A second signal is delivered at once. Threads other than the main one receive no signals, so
    nothing is deferred there. The list holds the signal's number, once it has arrived.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def note(number: int, _frame: object) -> None:
        received.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # An ignored signal, as under nohup, stays ignored.
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
    if received:
        signal.raise_signal(received[0])


def cores() -> int:
    """Return the number of cores that this process may use."""
    available = getattr(os, "sched_getaffinity", None)  # Linux
    return len(available(0)) if available else os.cpu_count() or 1


def default_threads() -> int:
    """Return the default number of worker threads: the available cores, at most 4.

    Without threadpoolctl it is 1, and the environment decides about BLAS threads.
    """
    return min(cores(), 4) if can_limit() else 1


def can_limit() -> bool:
    """Return whether :func:`one_blas_thread` has its effect."""
    one_by_default = any(os.environ.get(name) == "1" for name in VARIABLES)
    return one_by_default or find_spec("threadpoolctl") is not None


def trial_executor(jobs: int | None = None) -> AbstractContextManager[Executor | None]:
    """Yield an executor of :mod:`concurrent.futures` whose processes run trials.

    Parameters
    ----------
    jobs : int, optional
        Number of processes; by default one for each core. Under ``mpiexec`` it is the number of
        the other ranks. They run the trials in this call, and then get None.

    Examples
    --------
    >>> with trial_executor(jobs=1) as executor:
    ...     if executor is not None:
    ...         print(list(executor.map(abs, [1, -2])))
    [1, 2]
    """
    return _executor(cores() if jobs is None else check_size("trial_executor", "jobs", jobs))


@contextmanager
def _executor(count: int) -> Iterator[Executor | None]:
    ranks = world()
    if ranks.size > 1:
        from mpi4py.futures import MPICommExecutor  # noqa: PLC0415 (an extra)

        with MPICommExecutor(ranks.comm, root=0) as over_ranks:
            yield over_ranks  # type: ignore[misc]  # an Executor, which its hints leave open
        return
    # A new interpreter on every system: a fork of a process with threads may wait for ever.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, context, _leave_interrupts_to_parent)
    try:
        yield executor
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # in the middle of a trial
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
