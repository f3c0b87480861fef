"""Signals wait for the end of a block, unless they insist."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from numpy_rnn.training.signals import deferred


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_delivered_when_the_block_is_left(number: signal.Signals) -> None:
    got: list[int] = []
    before = signal.signal(number, lambda n, _: got.append(n))
    try:
        with deferred() as received:
            os.kill(os.getpid(), number)
            assert received == [number]
            assert got == []
        assert got == [number]
        with deferred():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # whoever asks twice does not want to wait
            assert got == [number, number]
        assert got == [number, number, number]
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred() as received:
            os.kill(os.getpid(), signal.SIGHUP)
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_defers_nothing_and_does_not_fail() -> None:
    done: list[list[int]] = []

    def work() -> None:
        with deferred() as received:
            done.append(received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [[]]
