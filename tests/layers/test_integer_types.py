"""Tokens, targets and lengths of every integer type give the same numbers, in every NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn import LSTM, CrossEntropyLoss, Embedding, LastStep, Layer, Linear, Sequential
from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.training import Batch, Shards, gradient
from tests.layers.models import MODELS, D, H, V

INTEGERS = sorted({np.dtype(code) for code in np.typecodes["AllInteger"]}, key=str)
TOKENS = np.array([[0, 2, 1], [1, 0, 2], [2, 2, 0]])
PADDED = np.array([3, 1, 2])
LOGITS = np.random.default_rng(0).standard_normal((3, 3, D))


def bits(numbers: list[Any]) -> list[bytes]:
    return [np.asarray(n).tobytes() for n in numbers]


def everything_of(layer: Layer, tokens: Any, lengths: Any) -> list[Any]:
    """Return the outputs and gradients of every way to run a layer on tokens."""
    y, _, cache = layer.apply(tokens, lengths=lengths)
    gradients = layer.vjp(cache, np.ones_like(y))[2]
    whole = layer.predict(np.tile(tokens, (30, 1)))
    found = [y, *gradients.values(), whole[0] if layer.stateful else whole]
    if layer.causal:
        step = layer.stepper()
        found += [step(tokens[0])[0], step(tokens[0, 0])[0]]
    return found


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", [n for n in MODELS if n != "nested" and "dropout" not in n])
def test_layers(name: str, dtype: Any) -> None:
    want = everything_of(MODELS[name](), TOKENS, PADDED)
    got = everything_of(MODELS[name](), TOKENS.astype(dtype), PADDED.astype(dtype))
    assert bits(got) == bits(want)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_lengths(dtype: Any) -> None:
    layer, last = LSTM(D, H, bidirectional=True, rng=0), LastStep(bidirectional=True)
    found = []
    for kind in (int, dtype):
        y, _ = layer.predict(LOGITS, lengths=PADDED.astype(kind))
        found.append(bits([y, last.predict(y, lengths=PADDED.astype(kind))]))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("ignore", [-100, 1, 300, 2**63 - 1])
def test_targets(dtype: Any, ignore: int) -> None:
    for reduction in ("mean", "none"):
        criterion = CrossEntropyLoss(reduction, ignore_index=ignore)
        found = []
        for kind in (int, dtype):
            # A column of a wider array: NumPy 2.0 could crash where it compared one with -100.
            targets = np.repeat(TOKENS, 2, axis=1).astype(kind)[:, ::2]
            loss, cache = criterion.apply(LOGITS, targets)
            dy = criterion.vjp(cache, np.ones_like(loss))
            pair = F.cross_entropy_forward(LOGITS, targets, ignore_index=ignore)
            found.append(bits([loss, dy, criterion.count(targets), pair[0]]))
        assert found[0] == found[1]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_a_training_step_with_two_shards(dtype: Any) -> None:
    model = Sequential(Embedding(V, 2, rng=0), LSTM(2, H, rng=0), Linear(H, D, rng=0))
    found = []
    for kind in (int, dtype):
        tokens = TOKENS.astype(kind)
        batch = Batch(tokens, tokens, PADDED.astype(kind))
        loss, _ = gradient(model, CrossEntropyLoss(), batch, shards=Shards(tokens.shape[1], 2))
        found.append(bits([loss, model.parameters.grad]))
    assert found[0] == found[1]


def test_a_token_beyond_int64_is_refused_and_does_not_wrap() -> None:
    tokens = np.array([[2**64 - 1]], np.uint64)
    for layer in (MODELS["rnn"](), MODELS["linear"](), MODELS["embedding"]()):
        with pytest.raises(ValueError, match="is 18446744073709551615 at index"):
            layer.apply(tokens)
    with pytest.raises(IndexError):
        F.embedding_forward(tokens, np.ones((D, H)))
    with pytest.raises(IndexError):
        F.linear_forward(tokens, np.ones((H, D)), np.ones(H))
    with pytest.raises(ValueError, match=r"^CrossEntropyLoss: ignore_index is \d+, expected at"):
        CrossEntropyLoss(ignore_index=2**63)


@pytest.mark.parametrize("name", ["x", "lengths", "target"])
def test_bool_is_no_integer(name: str) -> None:
    yes = np.ones((3, 3), bool)
    calls: dict[str, Callable[[], Any]] = {
        "x": lambda: MODELS["rnn"]().apply(yes),
        "lengths": lambda: MODELS["rnn"]().apply(TOKENS, lengths=yes[0]),
        "target": lambda: CrossEntropyLoss().apply(LOGITS, yes),
    }
    with pytest.raises(TypeError, match=f"{name} has dtype bool, expected "):
        calls[name]()
