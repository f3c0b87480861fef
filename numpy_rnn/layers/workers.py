"""Workers: threads that share tasks, and BLAS kept to one thread meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

from numpy_rnn.arguments import check_size
from numpy_rnn.layers.cut import cut


class Workers:
    """Threads, which are started when they are first needed, also after a fork or in a copy.

    >>> Workers(2).run([lambda: "first", lambda: "second", lambda: "third"])
    ['first', 'second', 'third']
    """

    def __init__(self, threads: int) -> None:
        self.threads = check_size("Workers", "threads", threads)
        self._pool: tuple[int, ThreadPoolExecutor] | None = None  # and the process it belongs to

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the threads, which a copy starts itself."""
        return vars(self) | {"_pool": None}

    def run(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """Return the results of the tasks. Neighbours share a thread. None is running afterwards.

        If several tasks fail, the error is that of the first one.
        """
        groups = [tasks[part] for part in cut(len(tasks), min(self.threads, len(tasks)))]
        futures = []
        if len(groups) > 1:
            if self._pool is None or self._pool[0] != os.getpid():
                self._pool = os.getpid(), ThreadPoolExecutor(self.threads - 1)
            futures = [self._pool[1].submit(_in_turn, group) for group in groups[1:]]
        # The first tasks are this thread's own; an error in another one is raised by result().
        try:
            results = [_in_turn(groups[0])]
        finally:
            for future in futures:
                future.exception()
        results += [future.result() for future in futures]
        return [result for group in results for result in group]


def _in_turn(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    return [task() for task in tasks]


@cache
def _controller() -> Any:
    """Return what limits the threads of BLAS, or None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController  # noqa: PLC0415 (an extra)
    except ImportError:
        return None
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit each matrix product to one thread, if threadpoolctl is installed.

    Otherwise each worker thread would wait for all the BLAS threads of its products. Without
    threadpoolctl, ``OPENBLAS_NUM_THREADS=1`` has the same effect.
    """
    with _controller().limit(limits=1, user_api="blas") if _controller() else nullcontext():
        yield
