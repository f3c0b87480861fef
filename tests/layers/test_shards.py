"""``threads=`` of a recurrent layer: the same bits for any number, the sums of the whole batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LRU, LSTM, RNN, load
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import State
from numpy_rnn.layers.cut import map_state
from numpy_rnn.layers.workers import Workers
from tests.layers.models import same_trees

T, B, D, H = 5, 70, 3, 4


def results(kind: Any, threads: int | None, keep: Keep, call: str, **options: Any) -> Any:
    """Everything that apply and vjp return, for a batch of four shards."""
    layer = kind(D, H, 2, threads=threads, rng=0, **options)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((T, B, D))
    given: dict[str, Any] = {
        "lengths": rng.integers(0, T + 1, B),
        "reset": rng.random((T, B)) < 0.2,
        "mask": rng.random((T, B)) < 0.7,
    }
    if layer.batch_first:
        x, given["reset"], given["mask"] = (
            a.swapaxes(0, 1) for a in (x, *list(given.values())[1:])
        )
    state = map_state(lambda zero: rng.standard_normal(zero.shape), layer.zero_state(B))
    y, after, cache = layer.apply(x, state, **{n: v for n, v in given.items() if n in call})
    dstate: State = after
    return y, after, layer.vjp(cache, y, dstate, keep)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU, LRU])
@pytest.mark.parametrize(
    ("keep", "call", "options"),
    [
        ("", "", {}),
        ("t", "lengths", {"bidirectional": True}),
        ("b", "reset", {"batch_first": True}),
        ("tb", "mask lengths", {}),
        ("", "reset lengths", {"recompute": 2}),
    ],
)
def test_any_number_of_threads_gives_the_same_bits(
    kind: Any, keep: Any, call: str, options: dict[str, Any]
) -> None:
    one = results(kind, 1, keep, call, **options)
    for threads in (2, 3, 5):
        same_trees(results(kind, threads, keep, call, **options), one)
    same_trees(one, results(kind, None, keep, call, **options), rtol=1e-11, atol=1e-12)


def test_dropout_masks_are_the_same_for_any_number_of_threads() -> None:
    found = []
    for threads in (1, 2, 4):
        layer = GRU(D, H, 2, dropout=0.5, threads=threads, rng=0)
        x = np.ones((T, B, D))
        found.append([layer(x)[0], layer.apply(x, rng=np.random.default_rng(3))[0]])
        layer.eval()
        found[-1].append(layer.apply(x)[0])
    same_trees(found[1], found[0])
    same_trees(found[2], found[0])
    assert len(np.unique(found[0][0][0, :, 0])) > 4  # a mask for each row, not for each shard


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full((T, B, D), np.nan),), r"x is nan at index \(0, 0, 0\)"),
        ((np.zeros((T, B, D + 1)),), "x has shape"),
        ((np.zeros((T, B, D)), np.zeros((1, B + 1, H))), "state has shape"),
    ],
)
def test_a_wrong_argument_is_named_as_without_threads(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRU(D, H, threads=2).apply(*arguments)


def test_a_wrong_gradient_is_named() -> None:
    layer = GRU(D, H, threads=2)
    y, state, cache = layer.apply(np.zeros((T, B, D)))
    with pytest.raises(ValueError, match="dy has shape"):
        layer.vjp(cache, y[:, 1:])
    with pytest.raises(ValueError, match="dstate has shape"):
        layer.vjp(cache, y, state[:, 1:])
    with pytest.raises(TypeError, match="cache is a ShardedCache, expected one from its own apply"):
        GRU(D, H).vjp(cache, y)
    with pytest.raises(ValueError, match="threads is 0, expected at least 1"):
        GRU(D, H, threads=0)


def test_threads_are_not_in_a_model_file(tmp_path: Any) -> None:
    GRU(D, H, threads=2).save(tmp_path / "a.safetensors")
    assert getattr(load(tmp_path / "a.safetensors"), "threads", 0) is None


def test_neighbouring_tasks_share_a_thread_and_results_keep_their_order() -> None:
    for threads in (1, 2, 3, 9):
        assert Workers(threads).run([partial(int, n) for n in range(7)]) == list(range(7))
