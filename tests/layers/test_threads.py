"""Threads and processes share one model: apply and vjp store nothing on it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from numpy_rnn import RNN
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import base
from tests.layers.models import MODELS, an_input, same_trees

each_model = pytest.mark.parametrize("name", MODELS)


@contextmanager
def many_switches() -> Iterator[None]:
    """Let threads meet inside calls."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


@each_model
def test_shards_of_a_batch_in_threads_are_the_shards_in_a_row(name: str) -> None:
    model, rows = MODELS[name](), 2
    x = an_input(model, 0, rows=8 * rows)

    def work(shard: int) -> Any:
        part = x[:, shard * rows : (shard + 1) * rows]
        y, state, cache = model.apply(part, rng=np.random.default_rng(shard))
        return y, state, model.vjp(cache, y)

    alone = [work(shard) for shard in range(8)]
    with many_switches(), ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(8)))
    same_trees(together, alone)
    assert not model.parameters.grad.any()


@each_model
def test_the_shards_sum_to_the_whole_batch(name: str) -> None:
    model, rows = MODELS[name]().eval(), 2
    x = an_input(model, 0, rows=4 * rows)
    y, _, cache = model.apply(x)
    _, _, whole = model.vjp(cache, y)
    total = {name: np.zeros_like(gradient) for name, gradient in whole.items()}
    for shard in range(4):
        part = slice(shard * rows, (shard + 1) * rows)
        y, _, cache = model.apply(x[:, part])
        for parameter, gradient in model.vjp(cache, y)[2].items():
            total[parameter] += gradient
    same_trees(total, whole, rtol=1e-11, atol=1e-12)


def test_backward_in_threads_loses_no_gradient() -> None:
    layer = RNN(3, 4, rng=0)
    inputs = [np.random.default_rng(seed).standard_normal((3, 2, 3)) for seed in range(40)]

    def work(x: Array) -> None:
        y, _ = layer(x)
        layer.backward(np.ones_like(y))

    with many_switches(), ThreadPoolExecutor(8) as pool:
        list(pool.map(work, inputs))
    together = layer.parameters.grad.copy()
    layer.zero_grad()
    for x in inputs:
        work(x)
    np.testing.assert_allclose(together, layer.parameters.grad, rtol=1e-12)


def test_a_forward_in_one_thread_has_no_backward_in_another() -> None:
    layer, caught = RNN(3, 4, rng=0), []
    y, _ = layer(np.ones((3, 2, 3)))

    def work() -> None:
        try:
            layer.backward(np.ones_like(y))
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "nothing to go back through, expected forward first (in this thread" in caught[0]
    layer.backward(np.ones_like(y))


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_pass_goes_on(held: bool) -> None:
    layer = RNN(3, 4, rng=0)
    y, _ = layer(np.ones((3, 2, 3)))
    waiting = threading.Event()

    def hold_the_lock() -> None:
        with base._ADDING:
            waiting.set()
            time.sleep(0.05)

    thread = threading.Thread(target=hold_the_lock)
    if held:
        thread.start()
        waiting.wait()
    child = os.fork()
    if not child:  # an exit status that the parent reads; pytest must not run on here
        try:
            layer.backward(np.ones_like(y))
            os._exit(0 if layer.parameters.grad.any() else 1)
        except BaseException:
            os._exit(2)
    deadline = time.monotonic() + 20
    done, status = 0, 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if not done:
        os.kill(child, 9)
        os.waitpid(child, 0)
    if held:
        thread.join()
    assert done, "the child waits for a lock that no thread in it holds"
    assert os.waitstatus_to_exitcode(status) == 0
    layer.backward(np.ones_like(y))
