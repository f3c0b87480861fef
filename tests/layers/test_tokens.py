"""Integers stand for one-hot rows: the same numbers and gradients as the rows themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from numpy_rnn.layers import RNN, Layer, Linear, Sequential


def test_tokens_are_one_hot_rows() -> None:
    for batch_first, shape in ((False, (5, 2)), (True, (2, 5)), (False, (5,))):
        tokens = np.random.default_rng(0).integers(0, 3, shape)
        looked_up, dense = (RNN(3, 4, batch_first=batch_first, rng=0) for _ in range(2))
        y, _ = looked_up.forward(tokens)
        expected, _ = dense.forward(np.eye(3)[tokens])
        np.testing.assert_allclose(y, expected, rtol=1e-14)
        dy = np.ones(y.shape)
        dense.backward(dy)
        assert looked_up.backward(dy)[0] is None
        np.testing.assert_allclose(looked_up.parameters.grad, dense.parameters.grad, rtol=1e-12)


@pytest.mark.parametrize("make", [lambda: RNN(300, 4, rng=0), lambda: Linear(300, 4, rng=0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint64])
def test_unsigned_tokens_are_tokens(make: Callable[[], Layer], dtype: type) -> None:
    tokens = np.array([[0, 255], [7, 7], [128, 254]])
    looked_up, dense = Sequential(make()), Sequential(make())
    y, _, cache = looked_up.apply(tokens.astype(dtype))
    expected, _, dense_cache = dense.apply(np.eye(300)[tokens])
    np.testing.assert_allclose(y, expected, rtol=1e-13)
    dy = np.linspace(-1, 1, y.size).reshape(y.shape)
    _, _, want = dense.vjp(dense_cache, dy)
    dx, _, got = looked_up.vjp(cache, dy)
    assert dx is None
    for name, gradient in want.items():
        np.testing.assert_allclose(got[name], gradient, rtol=1e-12, atol=1e-15)


def test_a_chain_that_begins_with_tokens_has_no_gradient_for_them() -> None:
    chain = Sequential(Linear(3, 4, rng=0), rnn := RNN(4, 2, rng=0))
    chain.forward(np.array([[0, 1], [2, 0]]))
    dx, _ = chain.backward(np.ones((2, 2, 2)))
    assert dx is None
    assert rnn.parameters.grad.any()
    assert chain.parameters.grads["0.weight"].any()


def test_two_linear_layers_begin_with_tokens() -> None:
    tokens = np.array([[0, 1], [2, 0]])
    looked_up, dense = (Sequential(Linear(3, 4, rng=0), Linear(4, 2, rng=1)) for _ in range(2))
    dy = np.arange(8.0).reshape(2, 2, 2)
    dense.forward(np.eye(3)[tokens])
    looked_up.forward(tokens)
    assert dense.backward(dy) is not None
    assert looked_up.backward(dy) is None  # no layer has a state, so there is no pair
    np.testing.assert_allclose(looked_up.parameters.grad, dense.parameters.grad, rtol=1e-13)
