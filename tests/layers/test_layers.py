"""What the layers promise besides PyTorch's numbers: state, accumulation, friendly errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.layers import (
    GRU,
    LSTM,
    RNN,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    LastStep,
    LayerNorm,
    Linear,
    MSELoss,
    Sequential,
)
from numpy_rnn.optim import SGD, Adam


def rnn(**options: Any) -> RNN:
    return RNN(3, 4, rng=0, **options)


def model() -> Sequential:
    return Sequential(rnn=rnn(), i2o=Linear(4, 2, rng=1))


X = np.random.default_rng(0).standard_normal((5, 2, 3))
DY = np.random.default_rng(1).standard_normal((5, 2, 4))


@pytest.mark.parametrize(
    "backward",
    [
        lambda: rnn().backward(DY),
        lambda: Linear(3, 4).backward(DY),
        lambda: LayerNorm(4).backward(DY),
        lambda: MSELoss().backward(),
        lambda: CrossEntropyLoss().backward(),
        lambda: model().backward(DY),
    ],
)
def test_backward_before_forward_is_a_clear_error(backward: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"backward: nothing to go back through.*forward first"):
        backward()


def test_gradients_accumulate_until_zeroed() -> None:
    layer = rnn()
    layer.forward(X)
    layer.backward(DY)
    once = layer.parameters.grad.copy()
    layer.backward(DY)
    np.testing.assert_array_equal(layer.parameters.grad, 2 * once)
    layer.zero_grad()
    assert not layer.parameters.grad.any()


def test_a_split_sequence_with_carried_state_is_the_whole() -> None:
    whole, first, second = rnn(), rnn(), rnn()
    y, h_n = whole.forward(X)
    y1, state = first.forward(X[:2])
    y2, last = second.forward(X[2:], state)
    np.testing.assert_allclose(np.concatenate([y1, y2]), y, rtol=1e-14)
    np.testing.assert_allclose(last, h_n, rtol=1e-14)
    dx, _ = whole.backward(DY)
    dx2, dstate = second.backward(DY[2:])
    dx1, _ = first.backward(DY[:2], dstate)
    assert dx is not None
    assert dx1 is not None
    assert dx2 is not None
    np.testing.assert_allclose(np.concatenate([dx1, dx2]), dx, rtol=1e-12)
    np.testing.assert_allclose(
        first.parameters.grad + second.parameters.grad, whole.parameters.grad, rtol=1e-12
    )


def test_no_timesteps_hand_the_state_and_its_gradient_through() -> None:
    layer = rnn()
    state = np.ones((1, 2, 4))
    y, h_n = layer.forward(np.zeros((0, 2, 3)), state)
    assert y.shape == (0, 2, 4)
    np.testing.assert_array_equal(h_n, state)
    dx, dh0 = layer.backward(None, 3 * state)
    assert dx is not None
    assert dx.shape == (0, 2, 3)
    np.testing.assert_array_equal(dh0, 3 * state)
    assert not layer.parameters.grad.any()


@pytest.mark.parametrize("keep", ["", "t", "b", "tb"])
@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 2, 3)])
def test_without_a_step_every_parameter_has_a_gradient_of_zero(keep: Any, shape: Any) -> None:
    layer = LSTM(3, 4, 2, bidirectional=True, proj_size=2, rng=0)
    y, _ = layer.forward(np.ones(shape), lengths=np.zeros(2, int))
    _, _, gradients = layer.gradients(y, None, keep)
    kept = tuple({"t": shape[0], "b": 2}[axis] for axis in keep)
    assert {name: g.shape for name, g in gradients.items()} == {
        name: (*kept, *s) for name, s in layer.parameters.shapes.items()
    }
    assert not any(g.any() for g in gradients.values())


def test_only_the_final_state_may_have_a_gradient() -> None:
    layer, dstate = rnn(), DY[None, -1]
    layer.forward(X)
    dy = np.zeros_like(DY)
    dy[-1] = DY[-1]
    by_output = layer.backward(dy)
    by_state = layer.backward(None, dstate)
    for a, b in zip(by_output, by_state, strict=True):
        assert a is not None
        assert b is not None
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_is_passed_in_stays_as_it_was() -> None:
    layer, dy = rnn(), DY.copy()
    layer.forward(X)
    layer.backward(dy, np.ones((1, 2, 4)))
    np.testing.assert_array_equal(dy, DY)


def test_an_output_cannot_be_overwritten_behind_backwards_back() -> None:
    y, h_n = rnn().forward(X)
    with pytest.raises(ValueError, match="read-only"):
        y *= 0
    h_n *= 0  # a copy


def test_integers_are_one_hot_rows() -> None:
    for batch_first, shape in ((False, (5, 2)), (True, (2, 5)), (False, (5,))):
        symbols = np.random.default_rng(0).integers(0, 3, shape)
        looked_up, dense = rnn(batch_first=batch_first), rnn(batch_first=batch_first)
        y, _ = looked_up.forward(symbols)
        expected, _ = dense.forward(np.eye(3)[symbols])
        np.testing.assert_allclose(y, expected, rtol=1e-14)
        dy = np.ones(y.shape)
        dense.backward(dy)
        assert looked_up.backward(dy)[0] is None
        np.testing.assert_allclose(looked_up.parameters.grad, dense.parameters.grad, rtol=1e-12)


def test_a_chain_routes_states_both_ways() -> None:
    chain = Sequential(rnn(), RNN(4, 3, rng=2), Linear(3, 2, rng=3))
    states = (np.ones((1, 2, 4)), np.full((1, 2, 3), 0.5))
    y, final = chain.forward(X, states)
    assert [state.shape for state in final] == [(1, 2, 4), (1, 2, 3)]
    dx, dstates = chain.backward(np.ones((5, 2, 2)), (np.ones((1, 2, 4)), None))
    assert [d.shape for d in dstates] == [(1, 2, 4), (1, 2, 3)]
    # The derivative along a direction, by central differences.
    direction = np.random.default_rng(1).standard_normal(states[0].shape)
    losses = []
    for step in (1e-6, -1e-6):
        y, final = chain.forward(X, (states[0] + step * direction, states[1]))
        losses.append(y.sum() + final[0].sum())
    np.testing.assert_allclose(
        (dstates[0] * direction).sum(), (losses[0] - losses[1]) / 2e-6, rtol=1e-6
    )
    assert dx is not None


def test_a_chain_that_begins_with_an_integer_input_has_no_gradient_for_it() -> None:
    chain = Sequential(Linear(3, 4, rng=0), rnn2 := RNN(4, 2, rng=0))
    chain.forward(np.array([[0, 1], [2, 0]]))
    dx, _ = chain.backward(np.ones((2, 2, 2)))
    assert dx is None
    assert rnn2.parameters.grad.any()
    assert chain.parameters.grads["0.weight"].any()


def test_a_copied_model_trains_by_itself() -> None:
    chain = model()
    other = copy.deepcopy(chain)
    before = chain.parameters.data.copy()
    y, _ = other.forward(X)
    other.backward(np.ones_like(y))
    SGD(other.parameters, lr=0.1).step()
    assert not np.array_equal(other.forward(X)[0], y)
    np.testing.assert_array_equal(chain.parameters.data, before)
    assert not chain.parameters.grad.any()


def test_a_failed_forward_leaves_nothing_to_go_back_through() -> None:
    layer, loss = rnn(), MSELoss()
    layer.forward(X)
    loss.forward(X, X)
    for fails, backward in (
        (lambda: layer.forward(np.full_like(X, np.nan)), lambda: layer.backward(DY)),
        (lambda: loss.forward(X, np.full_like(X, np.nan)), loss.backward),
    ):
        with pytest.raises(ValueError, match="nan"):
            fails()
        with pytest.raises(RuntimeError, match="expected forward first"):
            backward()


@pytest.mark.parametrize("change", ["step", "load"])
def test_backward_with_other_weights_than_forward_is_an_error(change: str) -> None:
    chain = model()
    y, _ = chain.forward(X)
    chain.backward(np.ones_like(y))
    if change == "step":
        SGD(chain.parameters).step()
    else:
        chain.load_state_dict(chain.state_dict())
    with pytest.raises(RuntimeError, match="the parameters have changed since forward"):
        chain.backward(np.ones_like(y))


def test_the_gradient_of_a_loss_takes_the_dtype_of_the_loss() -> None:
    y = X.astype(np.float32)
    loss = MSELoss()
    loss.forward(y, 0 * y)
    assert loss.backward(np.float64(1)).dtype == np.float32


def test_empty_batches_have_no_loss_and_no_gradient() -> None:
    for shape in ((0, 3), (2, 0, 3), (0, 2, 3)):
        for reduction in ("mean", "sum", "sum_over_time"):
            for loss, target in (
                (MSELoss(reduction), np.zeros(shape)),
                (CrossEntropyLoss(reduction=reduction), np.zeros(shape[:-1], int)),
            ):
                assert loss.forward(np.zeros(shape), target) == 0
                assert loss.backward().shape == shape


def test_sizes_may_be_any_whole_numbers() -> None:
    assert Linear(np.uint8(200), np.uint8(201)).state_dict()["weight"].shape == (201, 200)  # type: ignore[arg-type]  # NumPy's


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: RNN(0, 4), ValueError, "RNN: input_size is 0, expected at least 1"),
    (lambda: RNN(3, -1), ValueError, "RNN: hidden_size is -1, expected at least 1"),
    (lambda: RNN(3, 2.5), TypeError, "RNN: hidden_size is 2.5, expected a whole number"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Linear(3, 0), ValueError, "Linear: out_features is 0, expected at least 1"),
    (lambda: rnn(nonlinearity="sin"), ValueError, "RNN: nonlinearity is 'sin', expected"),
    (lambda: rnn(dtype="int8"), ValueError, "RNN: dtype is int8, expected one of float32, float64"),
    (
        lambda: rnn().forward(X[0, 0]),
        ValueError,
        "RNN(3, 4).forward: x has shape (3,), expected (T, B, 3) or (T, 3)",
    ),
    (
        lambda: rnn(batch_first=True).forward(np.ones((5, 2, 7))),
        ValueError,
        "RNN(3, 4).forward: x has shape (5, 2, 7), expected (B, T, 3) or (T, 3)",
    ),
    (
        lambda: rnn().forward(X.astype(np.float32)),
        TypeError,
        "RNN(3, 4).forward: x has dtype float32, expected float64",
    ),
    (
        lambda: rnn().forward(np.where(np.arange(3) == 1, np.nan, X)),
        ValueError,
        "RNN(3, 4).forward: x is nan at index (0, 0, 1), expected finite numbers",
    ),
    (
        lambda: rnn().forward(np.array([[0, 3]])),
        ValueError,
        "RNN(3, 4).forward: x is 3 at index (0, 1), expected 0 to 2",
    ),
    (
        lambda: rnn().forward(np.array([-1])),
        ValueError,
        "RNN(3, 4).forward: x is -1 at index (0,), expected 0 to 2",
    ),
    (
        lambda: rnn().forward(X, np.ones((2, 4))),
        ValueError,
        "RNN(3, 4).forward: state has shape (2, 4), expected (1, 2, 4)",
    ),
    (
        lambda: (layer := rnn()).forward(X) and layer.backward(DY[:, :1]),
        ValueError,
        "RNN(3, 4).backward: dy has shape (5, 1, 4), expected (5, 2, 4)",
    ),
    (
        lambda: (layer := rnn()).forward(X) and layer.backward(DY, np.inf * np.ones((1, 2, 4))),
        ValueError,
        "RNN(3, 4).backward: dstate is inf at index (0, 0, 0), expected finite numbers",
    ),
    (
        lambda: Linear(3, 4).forward(np.ones((2, 4))),
        ValueError,
        "Linear(3, 4).forward: x has shape (2, 4), expected (2, 3)",
    ),
    (
        lambda: Linear(3, 4).forward(np.array(1.0)),
        ValueError,
        "Linear(3, 4).forward: x has shape (), expected (3,)",
    ),
    (lambda: LayerNorm(0), ValueError, "LayerNorm: normalized_shape is 0, expected at least 1"),
    (
        lambda: LayerNorm("4"),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "LayerNorm: normalized_shape is '4', expected a whole number",
    ),
    (
        lambda: LayerNorm((3, 4)),
        ValueError,
        "LayerNorm: normalized_shape is (3, 4), expected one size, that of the last axis",
    ),
    (
        lambda: LayerNorm(4, eps=0),
        ValueError,
        "LayerNorm: eps is 0, expected a finite number above 0",
    ),
    (
        lambda: LayerNorm(4, eps="a"),  # type: ignore[arg-type]  # wrong on purpose
        ValueError,
        "LayerNorm: eps is 'a', expected a finite number above 0",
    ),
    (lambda: LayerNorm(4, dtype="int8"), ValueError, "LayerNorm: dtype is int8, expected one of"),
    (lambda: Linear(3, 4, dtype="int8"), ValueError, "Linear: dtype is int8, expected one of"),
    (lambda: Embedding(3, 4, dtype="i1"), ValueError, "Embedding: dtype is int8, expected one of"),
    (lambda: Dropout(dtype="int8"), ValueError, "Dropout: dtype is int8, expected one of"),
    (lambda: LastStep(dtype="int8"), ValueError, "LastStep: dtype is int8, expected one of"),
    (
        lambda: LayerNorm(4).forward(X),
        ValueError,
        "LayerNorm(4).forward: x has shape (5, 2, 3), expected (5, 2, 4)",
    ),
    (
        lambda: LayerNorm(3).forward(X.astype(np.float32)),
        TypeError,
        "LayerNorm(3).forward: x has dtype float32, expected float64",
    ),
    (
        lambda: LayerNorm(3).forward(np.where(np.arange(3) == 1, np.inf, X)),
        ValueError,
        "LayerNorm(3).forward: x is inf at index (0, 0, 1), expected finite numbers",
    ),
    (
        lambda: LayerNorm(3).forward(np.array(1.0)),
        ValueError,
        "LayerNorm(3).forward: x has shape (), expected (3,)",
    ),
    (
        lambda: (layer := LayerNorm(3)).forward(X) is None or layer.backward(DY),
        ValueError,
        "LayerNorm(3).backward: dy has shape (5, 2, 4), expected (5, 2, 3)",
    ),
    (
        lambda: Sequential(rnn(), **{"0": rnn()}),
        ValueError,
        "Sequential: part '0', expected a new name without a dot",
    ),
    (
        lambda: (loss := MSELoss()).forward(X, X) is None or loss.backward(np.ones(3)),
        ValueError,
        "MSELoss.backward: dloss has shape (3,), expected ()",
    ),
    (
        lambda: LSTM(3, 4, proj_size=4),
        ValueError,
        "LSTM: proj_size is 4, expected at least 0 and below hidden_size 4",
    ),
    (
        lambda: LSTM(3, 4, proj_size=1.5),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "LSTM: proj_size is 1.5, expected a whole number",
    ),
    (lambda: LSTM(3, 4, proj_size=-1), ValueError, "LSTM: proj_size is -1, expected at least 0"),
    (
        lambda: LSTM(3, "4", proj_size=1),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "LSTM: hidden_size is '4', expected a whole number",
    ),
    (lambda: GRU(3, 4, proj_size=2), TypeError, "GRU: there is no argument 'proj_size'"),
    (lambda: rnn(proj_size=2), TypeError, "RNN: there is no argument 'proj_size'"),
    (lambda: rnn(dropout="0.1"), TypeError, "RNN: dropout is '0.1', expected a number"),
    (lambda: rnn(dropout=None), TypeError, "RNN: dropout is None, expected a number"),
    (lambda: rnn(dropout=1), ValueError, "RNN: dropout is 1, expected 0 <= dropout < 1"),
    (
        lambda: rnn(nonlinearity=["tanh"]),
        ValueError,
        "RNN: nonlinearity is ['tanh'], expected 'tanh' or 'relu'",
    ),
    (lambda: rnn(dropout=1.0), ValueError, "RNN: dropout is 1.0, expected 0 <= dropout < 1"),
    (lambda: rnn(num_layers=0), ValueError, "RNN: num_layers is 0, expected at least 1"),
    (
        lambda: rnn().forward(X, lengths=np.array([6, 1])),
        ValueError,
        "RNN(3, 4).forward: lengths is 6 at index (0,), expected 0 to 5",
    ),
    (
        lambda: rnn().forward(X, lengths=np.array([5, -1])),
        ValueError,
        "RNN(3, 4).forward: lengths is -1 at index (1,), expected 0 to 5",
    ),
    (
        lambda: rnn().forward(X, lengths=np.array([5])),
        ValueError,
        "RNN(3, 4).forward: lengths has shape (1,), expected (2,)",
    ),
    (
        lambda: rnn().forward(X, lengths=np.array([5.0, 1.0])),
        TypeError,
        "RNN(3, 4).forward: lengths has dtype float64, expected integers",
    ),
    (
        lambda: rnn().forward(X, reset=np.zeros((5, 2))),
        TypeError,
        "RNN(3, 4).forward: reset has dtype float64, expected bool",
    ),
    (
        lambda: rnn().forward(X, reset=np.zeros((2, 5), bool)),
        ValueError,
        "RNN(3, 4).forward: reset has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: LSTM(3, 4).forward(X, np.zeros((1, 2, 4))),
        ValueError,
        "LSTM(3, 4).forward: state is a ndarray, expected a tuple of 2 arrays",
    ),
    (
        lambda: LSTM(3, 4).forward(X, (np.zeros((1, 2, 4)),)),
        ValueError,
        "LSTM(3, 4).forward: state is a tuple of 1, expected a tuple of 2 arrays",
    ),
    (
        lambda: LSTM(3, 4).forward(X, (np.zeros((1, 2, 4)), np.zeros((1, 2, 3)))),
        ValueError,
        "LSTM(3, 4).forward: state[1] has shape (1, 2, 3), expected (1, 2, 4)",
    ),
    (
        lambda: (layer := LSTM(3, 4)).forward(X) and layer.backward(DY, (DY[:1],) * 3),
        ValueError,
        "LSTM(3, 4).backward: dstate is a tuple of 3, expected a tuple of 2 arrays",
    ),
    (
        lambda: (layer := LSTM(3, 4)).forward(X) and layer.backward(DY.astype(np.float32)),
        TypeError,
        "LSTM(3, 4).backward: dy has dtype float32, expected float64",
    ),
    (
        lambda: Embedding(3, 4).forward(np.ones(2)),
        TypeError,
        "Embedding(3, 4).forward: x has dtype float64, expected integers",
    ),
    (
        lambda: Embedding(3, 4).forward(np.array([3])),
        ValueError,
        "Embedding(3, 4).forward: x is 3 at index (0,), expected 0 to 2",
    ),
    (
        lambda: LSTM(3, 4).load_state_dict(RNN(3, 4).state_dict()),
        ValueError,
        "LSTM(3, 4).load_state_dict: 'weight_ih_l0' has shape (4, 3), expected (16, 3)",
    ),
    (
        lambda: LSTM(3, 4).load_state_dict(None),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "LSTM(3, 4).load_state_dict: state is a NoneType, expected a mapping",
    ),
    (Sequential, ValueError, "Sequential: there are no layers, expected at least one"),
    (
        lambda: Sequential(a=np.tanh),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "Sequential: part 'a' is <ufunc 'tanh'>, expected a layer",
    ),
    (
        lambda: Adam(model()),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "Adam: parameters is a Sequential, expected a layer's or model's .parameters",
    ),
    (
        lambda: model().forward(X, (None, None)),
        ValueError,
        "Sequential.forward: state has 2 entries, expected 1, one for each recurrent layer",
    ),
    (lambda: MSELoss("average"), ValueError, "reduction is 'average', expected 'mean'"),  # type: ignore[arg-type]  # wrong on purpose
    (
        lambda: MSELoss().forward(X, X[:4]),
        ValueError,
        "MSELoss.forward: target has shape (4, 2, 3), expected (5, 2, 3)",
    ),
    (
        lambda: MSELoss().forward(np.ones(3, int), np.ones(3, int)),
        TypeError,
        "MSELoss.forward: y has dtype int64, expected float32 or float64",
    ),
    (
        lambda: CrossEntropyLoss().forward(X, np.ones((5, 2))),
        TypeError,
        "CrossEntropyLoss.forward: targets has dtype float64, expected integers",
    ),
    (
        lambda: CrossEntropyLoss().forward(X, np.full((5, 2), 3)),
        ValueError,
        "CrossEntropyLoss.forward: targets is 3 at index (0, 0), expected 0 to 2",
    ),
    (
        lambda: CrossEntropyLoss().forward(X, np.zeros((5, 2), int), np.ones((5, 2))),
        TypeError,
        "CrossEntropyLoss.forward: mask has dtype float64, expected bool",
    ),
    (
        lambda: CrossEntropyLoss().forward(np.ones((2, 1, 0)), np.zeros((2, 1), int)),
        ValueError,
        "CrossEntropyLoss.forward: y has shape (2, 1, 0), expected at least one class",
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
