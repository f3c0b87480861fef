"""cross_entropy counts every token but the first once, with any batch size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from numpy_rnn.apps.language_model import cross_entropy, inference
from tests.training import small


def by_steps(tokens: list[int]) -> float:
    """Compute the cross-entropy by its definition: one token after another, from a zero state."""
    net = small.model()
    state, total = None, 0.0
    for token, following in pairwise(tokens):
        y, state = net.step(np.array([token]), state)
        total += float(np.log(np.exp(y[0]).sum()) - y[0, following])
    return total / (len(tokens) - 1)


@pytest.mark.parametrize("count", [2, 3, 10, 21])
def test_it_is_the_definition(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "STEPS", 4)
    tokens = small.tokens(count).astype(np.uint8)
    exact = by_steps(tokens.tolist())
    assert cross_entropy(small.model(), tokens) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("count", [2, 7, 20])
@pytest.mark.parametrize("batch_size", [2, 3, 6, 100])
def test_every_part_of_a_batch_counts_every_token_once(
    count: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "STEPS", 4)
    tokens = small.tokens(count).tolist()
    length = -(-(count - 1) // min(batch_size, count - 1))
    parts = [tokens[start : start + length + 1] for start in range(0, count - 1, length)]
    expected = sum(by_steps(part) * (len(part) - 1) for part in parts) / (count - 1)
    got = cross_entropy(small.model(), np.array(tokens), batch_size)
    assert got == pytest.approx(expected, rel=1e-12)


def test_one_token_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="tokens has length 1, expected at least 2"):
        cross_entropy(small.model(), np.zeros(1, int))
