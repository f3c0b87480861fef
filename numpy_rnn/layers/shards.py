"""A recurrent layer whose batch is cut into shards, which threads compute."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, Generator, State
from numpy_rnn.layers.cut import (
    PairwiseSum,
    cut,
    cut_rows,
    cut_state,
    default_shards,
    join_states,
    list_state,
    shard_rngs,
)
from numpy_rnn.layers.validate import Where, check_array, split_state
from numpy_rnn.layers.workers import Workers, one_blas_thread


class ShardedCache(NamedTuple):
    """Values of :func:`sharded_apply` that :func:`sharded_vjp` needs."""

    shape: tuple[int, ...]  # of y
    caches: list[Any]  # one per shard


def sharded_apply(
    layer: Any,  # a Recurrent
    workers: Workers,
    x: Array,
    state: State,
    rng: Generator | None,
    training: bool | None,
    **call: Array | None,
) -> tuple[Array, State, Any] | None:
    """Return :meth:`Recurrent.apply`, whose shards are computed by threads.

    None is for a batch that is too small to be cut, or wrong arguments, whose fault the layer
    itself names.
    """
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
) -> tuple[Array | None, State, dict[str, Array]]:
    """Return :meth:`Recurrent.vjp` for a cache of :func:`sharded_apply`."""
    where, dtype = Where(layer, "backward"), layer.parameters.dtype
    axis = int(not layer.batch_first)
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
