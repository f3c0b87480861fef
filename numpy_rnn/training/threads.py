"""How many threads matrix products use, by threadpoolctl."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def default_threads() -> int:
    """Return how many threads training uses unless told: the cores, up to 4, that it may use.

    One, and as many as the environment says in a matrix product, where threadpoolctl is missing.
    """
    available = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(available(0)) if available else os.cpu_count() or 1
    return min(cores, 4) if can_limit() else 1


def can_limit() -> bool:
    """Whether :func:`one_blas_thread` can do what it says."""
    try:
        import threadpoolctl  # noqa: F401, PLC0415 (an extra)
    except ImportError:
        return any(os.environ.get(name) == "1" for name in VARIABLES)
    return True


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let each matrix product use one thread, if threadpoolctl is there to say so.

    Threads that split a batch would otherwise each wait for all the threads of a product. Without
    threadpoolctl the environment decides: ``OPENBLAS_NUM_THREADS=1`` does the same.
    """
    try:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 (an extra)
    except ImportError:
        yield
        return
    with threadpool_limits(1, user_api="blas"):
        yield
