"""Cut a batch into shards, share them among threads, and sum their gradients in a fixed order.

The batch is cut by rows into S shards. S depends on the batch or on the user's settings, never on
who does the work. Gradients are added in pairs, as in a binary counter:

    g_0 + g_1,  g_2 + g_3,  (g_0 + g_1) + (g_2 + g_3),  ...

Whoever has neighbouring shards can add them before they are sent, and the sum still has the same
bits for any number of threads, and of processes (:mod:`numpy_rnn.training.ranks`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numpy_rnn.arguments import check_size
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, State
from numpy_rnn.layers.validate import Where, check_array, split_state

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator

MIN_ROWS, MAX_SHARDS = 16, 8  # with fewer rows, the matrix products of a shard become slower
Gradients = dict[str, Array]


def default_shards(B: int) -> int:
    """Return the number of shards of a batch of B rows: 16 rows each at least, 8 shards at most.

    >>> [default_shards(B) for B in (1, 31, 32, 64, 1000)]
    [1, 1, 2, 4, 8]
    """
    return max(1, min(B // MIN_ROWS, MAX_SHARDS))


def cut(B: int, shards: int) -> list[slice]:
    """Return the rows of each shard.

    >>> cut(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(*ends) for ends in pairwise(k * B // shards for k in range(shards + 1))]


class PairwiseSum:
    """The sum of consecutive parts. Its bits depend on their number alone.

    A part is a dictionary of arrays, of level 0. Two neighbours of one level whose first has an
    even number become one part of the next level.

    >>> total = PairwiseSum()
    >>> for number in range(3):
    ...     total.add(0, number, {"w": np.ones(1)})
    >>> [(level, number) for level, number, _ in total.parts]
    [(1, 0), (0, 2)]
    >>> total.result()["w"]
    array([3.])
    """

    def __init__(self) -> None:
        self.parts: list[tuple[int, int, Gradients]] = []  # level, number, sum

    def add(self, level: int, number: int, part: Gradients) -> None:
        """Add the next part."""
        while self.parts and number % 2 and self.parts[-1][:2] == (level, number - 1):
            part = _plus(self.parts.pop()[2], part)
            level, number = level + 1, number // 2
        self.parts.append((level, number, part))

    def result(self) -> Gradients:
        """Return the sum of all parts, of which the smallest are added first."""
        *first, (_, _, total) = self.parts
        for _, _, part in reversed(first):
            total = _plus(part, total)
        return total


def _plus(a: Gradients, b: Gradients) -> Gradients:
    return {name: a[name] + b[name] for name in a}


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


def shard_rngs(
    rngs: Sequence[Generator], shards: int, numbers: Sequence[int] = ()
) -> list[Generator | None]:
    """Return a generator of dropout masks for each shard, or for those with these `numbers`.

    It is drawn from the model's generators. With one shard, or without dropout, it is None: the
    model's own.
    """
    numbers = numbers or range(shards)
    if shards == 1 or not rngs:
        return [None] * len(numbers)
    seed = [int(n) for rng in rngs for n in rng.integers(2**32, size=4)]
    return [np.random.default_rng([*seed, k]) for k in numbers]


def map_state(function: Callable[..., State], *states: State) -> State:
    """Return a state made of function(arrays that have one place in all of these states)."""
    if isinstance(states[0], tuple | list):
        return tuple(map_state(function, *parts) for parts in zip(*states, strict=True))
    return None if states[0] is None else function(*states)


class ShardedCache(NamedTuple):
    """Values of :func:`sharded_apply` that :func:`sharded_vjp` needs."""

    shape: tuple[int, ...]  # of y
    caches: list[Any]  # one per shard


def sharded_apply(
    layer: Any,  # a Recurrent
    workers: Workers | None,
    x: Array,
    state: State,
    rng: Generator | None,
    training: bool | None,
    **call: Array | None,
) -> tuple[Array, State, Any] | None:
    """Return :meth:`Recurrent.apply`, whose shards are computed by threads.

    None is for a layer without threads, a batch that is too small to be cut, or wrong arguments,
    whose fault the layer itself names.
    """
    if workers is None:
        return None
    axis = int(not layer.batch_first)  # of the batch
    B = np.shape(x)[axis] if np.ndim(x) > 1 else 1
    slices = cut(B, default_shards(B))
    if len(slices) == 1:
        return None
    axes = {"x": axis, "lengths": 0, "reset": axis, "mask": axis}
    whole, given = _without_threads(layer), {"x": x} | call
    try:
        parts = {name: cut_rows(given[name], slices, axes[name]) for name in given}
        states = cut_state(state, slices)
    except (TypeError, ValueError):
        return None
    drawn = layer.rngs() if (layer.training if training is None else training) else []
    rngs = shard_rngs([rng] if drawn and rng is not None else drawn, len(slices))
    tasks = [
        partial(
            whole.apply,
            state=states[k],
            rng=rngs[k],
            training=training,
            **{name: part[k] for name, part in parts.items()},
        )
        for k in range(len(slices))
    ]
    try:
        with one_blas_thread():
            ys, after, caches = zip(*workers.run(tasks), strict=True)
    except ValueError:
        return None
    y = np.concatenate(ys, axis)
    return y, join_states(after), ShardedCache(y.shape, list(caches))


def sharded_vjp(
    layer: Any,  # a Recurrent
    workers: Workers,
    cache: ShardedCache,
    dy: Array | None,
    dstate: State,
    keep: Keep,
) -> tuple[Array | None, State, Gradients]:
    """Return :meth:`Recurrent.vjp` for a cache of :func:`sharded_apply`."""
    where, dtype, axis = (
        Where(layer, "backward"),
        layer.parameters.dtype,
        int(not layer.batch_first),
    )
    B = cache.shape[axis]
    slices = cut(B, len(cache.caches))
    if dy is not None:
        dy = check_array(where, "dy", dy, dtype, (cache.shape,))
    if dstate is not None:
        expected = list_state(layer.zero_state(B))
        given = split_state(where, "dstate", dstate, len(expected))
        for (name, part), zero in zip(given, expected, strict=True):
            check_array(where, name, part, dtype, (zero.shape,))
    dys, dstates = cut_rows(dy, slices, axis), cut_state(dstate, slices)
    whole = _without_threads(layer)
    tasks = [
        partial(whole.vjp, cache.caches[k], dys[k], dstates[k], keep) for k in range(len(slices))
    ]
    with one_blas_thread():
        dxs, before, gradients = zip(*workers.run(tasks), strict=True)
    dx = None if dxs[0] is None else np.concatenate(dxs, axis)
    if "b" in keep:
        rows = keep.index("b")
        joined = {n: np.concatenate([g[n] for g in gradients], rows) for n in gradients[0]}
        return dx, join_states(before), joined
    total = PairwiseSum()
    for k, part in enumerate(gradients):
        total.add(0, k, part)
    return dx, join_states(before), total.result()


def _without_threads(layer: Any) -> Any:
    """Return a layer with the same parameters that computes a batch in one piece."""
    whole = copy.copy(layer)
    whole.threads = whole._workers = None
    return whole


def cut_rows(array: Array | None, slices: Sequence[slice], axis: int) -> list[Any]:
    """Return the rows of each shard, or None for each. Raise ValueError if there are others."""
    if array is None:
        return [None] * len(slices)
    array = np.asarray(array)
    if array.ndim <= axis or array.shape[axis] != slices[-1].stop:
        raise ValueError(f"shape is {array.shape}, expected {slices[-1].stop} rows in axis {axis}")
    return [array[(slice(None),) * axis + (rows,)] for rows in slices]


def cut_state(state: State, slices: Sequence[slice]) -> list[State]:
    """Return the state of each shard. See :func:`cut_rows`."""
    if isinstance(state, tuple | list):
        parts = [cut_state(part, slices) for part in state]
        return [tuple(part[k] for part in parts) for k in range(len(slices))]
    return cut_rows(state, slices, 1)


def join_states(states: Sequence[State]) -> State:
    """Undo :func:`cut_state`."""
    if len(states) == 1:
        return states[0]
    return map_state(lambda *parts: np.concatenate(parts, 1), *states)


def list_state(state: State) -> list[Array]:
    """Return the arrays of a state, in order."""
    found: list[Array] = []
    map_state(found.append, state)
    return found


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
