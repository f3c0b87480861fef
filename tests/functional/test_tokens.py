"""Integers of any type stand for one-hot rows, and are never out of range."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from tests.case import D, H


def test_any_integer_type_is_a_token() -> None:
    for kind in (np.uint8, np.int32, np.uint64):
        tokens = np.array([[0], [2]], kind)
        y, cache = F.linear_forward(tokens, np.ones((4, 3)), np.zeros(4))
        assert F.linear_backward(np.ones_like(y), cache)[1].tolist() == [[1, 0, 1]] * 4


@pytest.mark.parametrize("beyond", [0, 3, 1000])
def test_a_token_beyond_the_table_does_not_wrap(beyond: int) -> None:
    weights = np.ones((H, D)), np.ones((H, H)), np.ones(H), np.ones(H)
    for token in (D + beyond, -D - 1 - beyond):
        tokens = np.array([[0, token]])
        with pytest.raises(IndexError):
            F.embedding_forward(tokens, np.ones((D, H)))
        with pytest.raises(IndexError):
            F.linear_forward(tokens, weights[0], weights[2])
        with pytest.raises(IndexError):
            F.elman_forward(tokens, np.zeros((2, H)), *weights)
