"""Signals wait for the end of a block, and a matrix product has one thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.training.process import can_limit, default_threads, defer_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_delivered_when_the_block_is_left(number: signal.Signals) -> None:
    got: list[int] = []
    before = signal.signal(number, lambda n, _: got.append(n))
    try:
        with defer_signals() as received:
            os.kill(os.getpid(), number)
            assert received == [number]
            assert got == []
        assert got == [number]
        with defer_signals():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # a second signal is not deferred
            assert got == [number, number]
        assert got == [number, number, number]
    finally:
        signal.signal(number, before)


@pytest.mark.posix
def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with defer_signals() as received:
            os.kill(os.getpid(), signal.SIGHUP)
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_defers_nothing_and_does_not_fail() -> None:
    done: list[list[int]] = []

    def work() -> None:
        with defer_signals() as received:
            done.append(received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [[]]


def blas_threads() -> set[int]:
    return {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"}


def test_a_product_has_one_thread_inside_and_as_many_as_before_after_it() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpoolctl.threadpool_limits(2, "blas"):
        assert blas_threads() == {2}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {2}
    assert can_limit()
    assert 1 <= default_threads() <= 4


WITHOUT = """
import sys
sys.modules["threadpoolctl"] = None
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.training.process import can_limit, default_threads
with one_blas_thread():
    print(can_limit(), default_threads())
"""


def test_without_threadpoolctl_the_environment_decides(tmp_path: Path) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    for extra, expected in (({}, "False 1"), ({"OPENBLAS_NUM_THREADS": "1"}, "True ")):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT],
            check=True,
            capture_output=True,
            text=True,
            env=plain | extra | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=tmp_path,
        )
        assert done.stdout.startswith(expected)
