"""Every wrong argument is refused in one line: where, which, its value, what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

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
from numpy_rnn.optim import Adam

X = np.random.default_rng(0).standard_normal((5, 2, 3))
DY = np.random.default_rng(1).standard_normal((5, 2, 4))
LOGITS, CLASSES = X, np.random.default_rng(2).integers(0, 3, (5, 2))


def rnn(**options: Any) -> RNN:
    return RNN(3, 4, rng=0, **options)


def model() -> Sequential:
    return Sequential(rnn=rnn(), i2o=Linear(4, 2, rng=1))


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
        "RNN(3, 4, batch_first=True).forward: x has shape (5, 2, 7), expected (B, T, 3) or (T, 3)",
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
        TypeError,
        "LayerNorm: eps is 'a', expected a number",
    ),
    (lambda: LayerNorm(4, dtype="int8"), ValueError, "LayerNorm: dtype is int8, expected one of"),
    (lambda: Linear(3, 4, dtype="int8"), ValueError, "Linear: dtype is int8, expected one of"),
    (lambda: Embedding(3, 4, dtype="i1"), ValueError, "Embedding: dtype is int8, expected one of"),
    (lambda: Dropout(dtype="int8"), ValueError, "Dropout: dtype is int8, expected one of"),
    (lambda: LastStep(dtype="int8"), ValueError, "LastStep: dtype is int8, expected one of"),
    (
        lambda: LayerNorm(4).forward(X),
        ValueError,
        "LayerNorm((4,)).forward: x has shape (5, 2, 3), expected (5, 2, 4)",
    ),
    (
        lambda: LayerNorm(3).forward(X.astype(np.float32)),
        TypeError,
        "LayerNorm((3,)).forward: x has dtype float32, expected float64",
    ),
    (
        lambda: LayerNorm(3).forward(np.where(np.arange(3) == 1, np.inf, X)),
        ValueError,
        "LayerNorm((3,)).forward: x is inf at index (0, 0, 1), expected finite numbers",
    ),
    (
        lambda: LayerNorm(3).forward(np.array(1.0)),
        ValueError,
        "LayerNorm((3,)).forward: x has shape (), expected (3,)",
    ),
    (
        lambda: (layer := LayerNorm(3)).forward(X) is None or layer.backward(DY),
        ValueError,
        "LayerNorm((3,)).backward: dy has shape (5, 2, 4), expected (5, 2, 3)",
    ),
    (
        lambda: Sequential(rnn(), **{"0": rnn()}),  # type: ignore[arg-type]  # it is no `tied`
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
    (lambda: GRU(3, 4, proj_size=2), TypeError, "unexpected keyword argument 'proj_size'"),  # type: ignore[call-arg]  # wrong on purpose
    (lambda: rnn(proj_size=2), TypeError, "unexpected keyword argument 'proj_size'"),
    (lambda: rnn(dropout="0.1"), TypeError, "RNN: dropout is '0.1', expected a number"),
    (lambda: rnn(dropout=None), TypeError, "RNN: dropout is None, expected a number"),
    (lambda: rnn(dropout=2), ValueError, "RNN: dropout is 2, expected 0 <= dropout <= 1"),
    (
        lambda: rnn(nonlinearity=["tan"]),
        ValueError,
        "RNN: nonlinearity is ['tan'], expected a name of tanh, relu, linear",
    ),
    (lambda: rnn(dropout=-0.1), ValueError, "RNN: dropout is -0.1, expected 0 <= dropout <= 1"),
    (
        lambda: rnn(dropout=np.nan),
        ValueError,
        "RNN: dropout is nan, expected 0 <= dropout <= 1",
    ),
    (lambda: rnn(dropout=True), TypeError, "RNN: dropout is True, expected a number"),
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
        "LSTM(3, 4).load_state_dict: state is None, expected a mapping",
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
        "Sequential.forward: state has 2 entries, expected a tuple of 1: one entry for each",
    ),
    (lambda: MSELoss("average"), ValueError, "reduction is 'average', expected one of 'mean'"),  # type: ignore[arg-type]  # wrong on purpose
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
        "CrossEntropyLoss.forward: target has dtype float64, expected integers",
    ),
    (
        lambda: CrossEntropyLoss().forward(X, np.full((5, 2), 3)),
        ValueError,
        "CrossEntropyLoss.forward: target is 3 at index (0, 0), expected 0 to 2",
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
    (
        lambda: CrossEntropyLoss().forward(LOGITS, CLASSES.T),
        ValueError,
        "CrossEntropyLoss.forward: target has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(LOGITS, CLASSES[:, :1]),
        ValueError,
        "CrossEntropyLoss.forward: target has shape (5, 1), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(LOGITS[:, 0], CLASSES),
        ValueError,
        "CrossEntropyLoss.forward: target has shape (5, 2), expected (5,)",
    ),
    (
        lambda: CrossEntropyLoss().forward(LOGITS, CLASSES, np.ones((5, 1), bool)),
        ValueError,
        "CrossEntropyLoss.forward: mask has shape (5, 1), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(LOGITS, CLASSES, np.ones((2, 5), bool)),
        ValueError,
        "CrossEntropyLoss.forward: mask has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: CrossEntropyLoss().forward(LOGITS[None], CLASSES[None]),
        ValueError,
        "CrossEntropyLoss.forward: y has shape (1, 5, 2, 3), expected (T, B, V) or (N, V)",
    ),
    (
        lambda: CrossEntropyLoss(ignore_index=-1).forward(LOGITS, np.full((5, 2), -100)),
        ValueError,
        "CrossEntropyLoss.forward: target is -100 at index (0, 0), expected 0 to 2",
    ),
    (
        lambda: CrossEntropyLoss(ignore_index=99).forward(LOGITS, np.full((5, 2), 98)),
        ValueError,
        "CrossEntropyLoss.forward: target is 98 at index (0, 0), expected 0 to 2",
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


TORCH = torch.ones(5, 2, 3, dtype=torch.float64, requires_grad=True)
TRUE_CAUSES: list[tuple[Callable[[], Any], str]] = [
    (lambda: rnn().forward(np.ma.masked_array(X, X > 0)), "x is a masked array, whose mask would"),
    (lambda: rnn().forward([[1.0], [1.0, 2.0]]), "x is a list, expected an array (its"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: rnn().forward(TORCH), "x is a Tensor, expected an array (Can't call"),  # type: ignore[arg-type]  # wrong on purpose
    (
        lambda: rnn().forward(X.astype(int)),
        "but integers are token ids, expected features in float",
    ),
    (lambda: rnn().stepper()([1, 0, 0]), "x_t is a list of integers, which can be token ids or"),
    (lambda: rnn().forward([[1, 0, 0]]), "x is a list of integers, which can be token ids or"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: model().stepper()([1, 0, 0]), "x_t is a list of integers, which can be token ids or"),
    (lambda: rnn().zero_state("a"), "RNN.zero_state: B is 'a', expected a whole number"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: rnn().weights(1), "RNN(3, 4).weights: layer is 1, expected at most 0"),
    (lambda: RNN(3, 4, rng="x"), "RNN: rng is 'x', expected a numpy.random.Generator, a seed"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: RNN(True, 4), "RNN: input_size is True, expected a whole number"),
    (
        lambda: rnn().load_state_dict({n: a.T for n, a in rnn().state_dict().items()}),
        "'weight_ih_l0' has shape (3, 4), expected (4, 3) (transposed, as in Keras)",
    ),
    (
        lambda: rnn().load_state_dict({f"module.{n}": a for n, a in rnn().state_dict().items()}),
        "state has the prefix 'module.' in 4 names, such as 'module.weight_ih_l0', expected the",
    ),
    (
        lambda: Sequential(rnn=rnn()).load_state_dict(rnn().state_dict()),
        "state lacks the prefix 'rnn.' in 4 names, such as 'weight_ih_l0', expected the names with",
    ),
]


@pytest.mark.parametrize(("call", "message"), TRUE_CAUSES)
def test_a_message_names_the_true_cause(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_every_floating_dtype_are_loaded(dtype: torch.dtype) -> None:
    layer, weights = rnn(), torch.nn.RNN(3, 4, dtype=dtype).state_dict()
    layer.load_state_dict(weights)
    for name, weight in weights.items():
        np.testing.assert_array_equal(layer.parameters.values[name], weight.double().numpy())


def test_lists_of_real_numbers_have_the_dtype_of_the_layer() -> None:
    layer = RNN(3, 4, rng=0, dtype=np.float32)
    y, _ = layer.forward(X.tolist())
    np.testing.assert_array_equal(y, layer.predict(X.astype(np.float32))[0])
