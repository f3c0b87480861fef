"""The mean over a text counts every character but the first once, whoever reads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from numpy_rnn.apps.language_model import evaluation, nats_per_character
from tests.training import small


def by_steps(symbols: list[int]) -> float:
    """The definition: one symbol after another, from the zero state."""
    net = small.model()
    state, total = None, 0.0
    for symbol, following in pairwise(symbols):
        y, state = net.step(np.array([symbol]), state)
        total += float(np.log(np.exp(y[0]).sum()) - y[0, following])
    return total / (len(symbols) - 1)


@pytest.mark.parametrize("count", [2, 3, 10, 21])
def test_it_is_the_definition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "STEPS", 4)
    symbols = small.symbols(count).astype(np.uint8)
    exact = by_steps(symbols.tolist())
    assert nats_per_character(small.model(), symbols) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("count", [2, 7, 20])
@pytest.mark.parametrize("readers", [2, 3, 6, 100])
def test_readers_count_every_character_once(
    count: int, readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "STEPS", 4)
    symbols = small.symbols(count).tolist()
    length = -(-(count - 1) // min(readers, count - 1))
    pieces = [symbols[start : start + length + 1] for start in range(0, count - 1, length)]
    expected = sum(by_steps(piece) * (len(piece) - 1) for piece in pieces) / (count - 1)
    got = nats_per_character(small.model(), np.array(symbols), readers)
    assert got == pytest.approx(expected, rel=1e-12)


def test_one_symbol_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="1 symbols, expected at least 2"):
        nats_per_character(small.model(), np.zeros(1, int))
