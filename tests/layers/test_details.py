"""Details of the layers: initial bounds, symbols, chains, copies, what counts in a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Layer, Linear, Sequential
from numpy_rnn.parameters import Parameters

RNG = np.random.default_rng(0)
Y = RNG.standard_normal((5, 2, 3))
TARGETS = RNG.integers(0, 3, (5, 2))


@pytest.mark.parametrize(
    ("make", "fan"),
    [
        (lambda: RNN(2, 300, rng=0), 300),
        (lambda: RNN(300, 2, rng=0), 2),
        (lambda: Linear(2, 300, rng=0), 2),
        (lambda: Linear(300, 2, rng=0), 300),
    ],
)
def test_initial_weights_fill_their_interval(make: Callable[[], Any], fan: int) -> None:
    largest = np.abs(make().parameters.data).max()
    assert 0.9 < largest * np.sqrt(fan) <= 1


@pytest.mark.parametrize("make", [lambda: RNN(300, 4, rng=0), lambda: Linear(300, 4, rng=0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint64])
def test_unsigned_symbols_are_symbols(make: Callable[[], Any], dtype: type) -> None:
    symbols = np.array([[0, 255], [7, 7], [128, 254]])
    looked_up, dense = Sequential(make()), Sequential(make())
    y, _ = looked_up.forward(symbols.astype(dtype))
    expected, _ = dense.forward(np.eye(300)[symbols])
    np.testing.assert_allclose(y, expected, rtol=1e-13)
    dy = np.linspace(-1, 1, y.size).reshape(y.shape)
    dense.backward(dy)
    assert looked_up.backward(dy)[0] is None
    grad = dense.parameters.grad
    np.testing.assert_allclose(looked_up.parameters.grad, grad, rtol=1e-12, atol=1e-15)


def test_two_linear_layers_begin_with_symbols() -> None:
    symbols = np.array([[0, 1], [2, 0]])
    chains = [Sequential(Linear(3, 4, rng=0), Linear(4, 2, rng=1)) for _ in range(2)]
    looked_up, dense = chains
    dy = np.arange(8.0).reshape(2, 2, 2)
    dense.forward(np.eye(3)[symbols])
    looked_up.forward(symbols)
    assert dense.backward(dy)[0] is not None
    assert looked_up.backward(dy) == (None, ())
    np.testing.assert_allclose(looked_up.parameters.grad, dense.parameters.grad, rtol=1e-13)


class Modulo(Layer):
    """Symbols to symbols: no gradient arrives here, and none leaves."""

    def __init__(self) -> None:
        self.parameters = Parameters({}, "float64")

    def forward(self, x: Array) -> Array:
        remainder: Array = x % 3
        return remainder

    def gradients(self, dy: Array, keep: Any = "") -> Any:
        raise AssertionError(f"gradients was called with {dy!r}, {keep!r}")


@pytest.mark.parametrize("make", [lambda: RNN(3, 4, rng=0), lambda: Linear(3, 4, rng=0)])
def test_a_layer_below_one_that_takes_symbols_is_passed_over(make: Callable[[], Any]) -> None:
    alone, chain = Sequential(make()), Sequential(Modulo(), make())
    dy = np.arange(16.0).reshape(2, 2, 4)
    alone.forward(np.array([[0, 1], [2, 0]]))
    chain.forward(np.array([[3, 4], [8, 0]]))
    alone.backward(dy)
    assert chain.backward(dy)[0] is None
    assert chain.parameters.grad.any()
    np.testing.assert_array_equal(chain.parameters.grad, alone.parameters.grad)


@pytest.mark.parametrize("x", [Y, Y[:, 0], Y[:1], Y[:1, 0]], ids=lambda x: str(x.shape))
def test_a_final_state_is_a_copy(x: Array) -> None:
    untouched, layer = RNN(3, 4, rng=0), RNN(3, 4, rng=0)
    expected, _ = untouched.forward(x)
    y, h_n = layer.forward(x)
    h_n[...] = 99
    np.testing.assert_array_equal(y, expected)
    for got, want in zip(layer.backward(y), untouched.backward(expected), strict=True):
        assert got is not None
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(layer.parameters.grad, untouched.parameters.grad)


def test_a_final_state_after_no_steps_is_a_copy() -> None:
    state = np.ones((1, 2, 4))
    _, h_n = RNN(3, 4, rng=0).forward(Y[:0], state)
    h_n[...] = 99
    assert (state == 1).all()


def test_one_row_of_logits_after_another_is_time() -> None:
    loss, column = (CrossEntropyLoss(reduction="sum_over_time") for _ in range(2))
    y, targets = Y[:, 0], TARGETS[:, 0]
    errors = CrossEntropyLoss(reduction="none").forward(y, targets)
    np.testing.assert_allclose(loss.forward(y, targets), errors.sum(), rtol=1e-14)
    column.forward(y[:, None], targets[:, None])
    np.testing.assert_array_equal(loss.backward(), column.backward()[:, 0])


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 99, 1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_time", "none"])
def test_an_ignored_target_is_a_masked_one(ignore_index: int, reduction: Any) -> None:
    mask = TARGETS != 1
    ignoring = CrossEntropyLoss(ignore_index, reduction)
    masked = CrossEntropyLoss(reduction=reduction)
    losses = (
        ignoring.forward(Y, np.where(mask, TARGETS, ignore_index)),
        masked.forward(Y, TARGETS, mask),
    )
    np.testing.assert_array_equal(*losses)
    dloss = np.ones_like(losses[0])
    dy = ignoring.backward(dloss)
    np.testing.assert_array_equal(dy, masked.backward(dloss))
    assert not dy[~mask].any()
    assert dy[mask].all()


def test_unsigned_targets_are_targets() -> None:
    loss = CrossEntropyLoss()
    assert loss.forward(Y, TARGETS.astype(np.uint8)) == loss.forward(Y, TARGETS)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: CrossEntropyLoss().forward(Y, TARGETS.T),
        ValueError,
        "CrossEntropyLoss.forward: targets has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(Y, TARGETS[:, :1]),
        ValueError,
        "CrossEntropyLoss.forward: targets has shape (5, 1), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(Y[:, 0], TARGETS),
        ValueError,
        "CrossEntropyLoss.forward: targets has shape (5, 2), expected (5,)",
    ),
    (
        lambda: CrossEntropyLoss().forward(Y, TARGETS, np.ones((5, 1), bool)),
        ValueError,
        "CrossEntropyLoss.forward: mask has shape (5, 1), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(Y, TARGETS, np.ones((2, 5), bool)),
        ValueError,
        "CrossEntropyLoss.forward: mask has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(Y[None], TARGETS[None]),
        ValueError,
        "CrossEntropyLoss.forward: y has shape (1, 5, 2, 3), expected (T, B, V) or (N, V)",
    ),
    (
        lambda: CrossEntropyLoss(ignore_index=-1).forward(Y, np.full((5, 2), -100)),
        ValueError,
        "CrossEntropyLoss.forward: targets is -100 at index (0, 0), expected 0 to 2",
    ),
    (
        lambda: CrossEntropyLoss(ignore_index=99).forward(Y, np.full((5, 2), 98)),
        ValueError,
        "CrossEntropyLoss.forward: targets is 98 at index (0, 0), expected 0 to 2",
    ),
    (
        lambda: Linear(1, 1).load_state_dict({"weight": np.ones((1, 1), complex)}, strict=False),
        ValueError,
        "load_state_dict: 'weight' has dtype complex128, expected real numbers",
    ),
    (
        lambda: Linear(1, 1).load_state_dict({"weight": np.ones((1, 1), bool)}, strict=False),
        ValueError,
        "load_state_dict: 'weight' has dtype bool, expected real numbers",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_input_is_one_clear_line(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
