"""Independent trials, such as the seeds of a search: one process each, on cores or on ranks."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from numpy_rnn.arguments import check_size
from numpy_rnn.training.process import cores
from numpy_rnn.training.ranks import world


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
