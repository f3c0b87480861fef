"""Constructors take torch.nn's arguments by position, check each, and repr writes them down."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numpy_rnn
from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    IndRNN,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    MinGRU,
    MSELoss,
    PeepholeLSTM,
    Sequential,
)
from tests.layers.mgu import MGU

RECURRENT = [RNN, LSTM, PeepholeLSTM, GRU, IndRNN, MinGRU, LRU, MGU]


def test_every_recurrent_layer_takes_the_same_positions() -> None:
    for kind in (PeepholeLSTM, GRU, MinGRU, LRU, MGU, LSTM):
        layer = kind(3, 4, 2, False, True, 0.5, True)
        assert (layer.num_layers, layer.bias, layer.batch_first) == (2, False, True)
        assert (layer.dropout, layer.bidirectional) == (0.5, True)


FLAGS = [(kind, flag) for kind in RECURRENT for flag in ("bias", "batch_first", "bidirectional")]
FLAGS += [(GRU, "reset_after"), (Linear, "bias"), (LastStep, "batch_first")]
FLAGS += [(LastStep, "bidirectional"), (LayerNorm, "bias"), (LayerNorm, "elementwise_affine")]


@pytest.mark.parametrize(("kind", "flag"), FLAGS)
@pytest.mark.parametrize("value", ["False", 1, 0, None, 0.0])
def test_a_flag_is_true_or_false(kind: Any, flag: str, value: Any) -> None:
    sizes = (3,) if kind is LayerNorm else () if kind is LastStep else (3, 4)
    with pytest.raises(
        TypeError, match=rf"^{kind.__name__}: {flag} is {value!r}, expected True or"
    ):
        kind(*sizes, **{flag: value})
    for wanted in (True, np.False_):
        assert getattr(kind(*sizes, **{flag: wanted}), flag) is bool(wanted)


@pytest.mark.parametrize("kind", RECURRENT)
def test_dropout_with_one_layer_warns_where_the_layer_is_made(kind: Any) -> None:
    with pytest.warns(UserWarning, match="dropout is 0.5 and num_layers is 1") as caught:
        kind(3, 4, dropout=0.5)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(3, 4, 2, dropout=0.5)
        kind(3, 4)


SHOWN: dict[str, Callable[[], Any]] = {
    "RNN(3, 4)": lambda: RNN(3, 4),
    "RNN(3, 4, num_layers=2, nonlinearity='relu', bias=False)": lambda: RNN(3, 4, 2, "relu", False),
    "LSTM(3, 4, num_layers=2, bidirectional=True)": lambda: LSTM(3, 4, 2, bidirectional=True),
    "LSTM(3, 4, num_layers=2, bias=False, batch_first=True, dropout=0.25, bidirectional=True, "
    "proj_size=2, recompute=True, dtype=float32)": lambda: LSTM(
        3, 4, 2, False, True, 0.25, True, 2, recompute=True, dtype="float32"
    ),
    "PeepholeLSTM(3, 4, recompute=7)": lambda: PeepholeLSTM(3, 4, recompute=7),
    "GRU(3, 4, batch_first=True, reset_after=False)": lambda: GRU(
        3, 4, batch_first=True, reset_after=False
    ),
    "IndRNN(3, 4, nonlinearity='tanh')": lambda: IndRNN(3, 4, nonlinearity="tanh"),
    "IndRNN(3, 4)": lambda: IndRNN(3, 4),
    "MinGRU(3, 4, num_layers=3)": lambda: MinGRU(3, 4, 3),
    "LRU(3, 4, bias=False)": lambda: LRU(3, 4, bias=False),
    "MGU(3, 4, num_layers=2)": lambda: MGU(3, 4, 2),
    "Linear(3, 4, bias=False, dtype=float32)": lambda: Linear(3, 4, False, dtype="float32"),
    "Embedding(7, 3)": lambda: Embedding(7, 3),
    "Dropout(p=0.25)": lambda: Dropout(0.25),
    "Dropout(dtype=float64)": lambda: Dropout(dtype="float64"),
    "LastStep()": LastStep,
    "LastStep(batch_first=True, bidirectional=True, dtype=float32)": lambda: LastStep(
        True, True, dtype="float32"
    ),
    "LayerNorm((3,), eps=0.5, bias=False)": lambda: LayerNorm(3, 0.5, bias=False),
    "LayerNorm((3,), elementwise_affine=False)": lambda: LayerNorm(3, elementwise_affine=False),
    "MSELoss(reduction='sum')": lambda: MSELoss("sum"),
    "CrossEntropyLoss(reduction='mean')": CrossEntropyLoss,
    "CrossEntropyLoss(reduction='none', ignore_index=0)": lambda: CrossEntropyLoss(
        "none", ignore_index=0
    ),
    "Sequential(RNN(3, 4), Dropout(), Linear(4, 2))": lambda: Sequential(
        RNN(3, 4), Dropout(), Linear(4, 2)
    ),
    "Sequential(Sequential(RNN(3, 4)), head=Linear(4, 2))": lambda: Sequential(
        Sequential(RNN(3, 4)), head=Linear(4, 2)
    ),
    "Sequential(rnn=LSTM(3, 4, dtype=float32))": lambda: Sequential(
        rnn=LSTM(3, 4, dtype=np.float32)
    ),
}


@pytest.mark.parametrize("shown", SHOWN)
def test_repr_shows_every_option_and_rebuilds_it(shown: str) -> None:
    assert repr(SHOWN[shown]()) == shown
    public = {name: getattr(numpy_rnn, name) for name in numpy_rnn.__all__}
    names = public | {"MGU": MGU, "float32": np.float32, "float64": np.float64}
    again = eval(shown, names)  # noqa: S307 (a repr above)
    assert repr(again) == shown
    if isinstance(again, Layer):
        original = SHOWN[shown]()
        assert again.parameters.shapes == original.parameters.shapes
        assert again.parameters.dtype == original.parameters.dtype


def test_mixed_layouts_are_refused() -> None:
    batch_first: Any = {"batch_first": True}
    for layers in (
        lambda: (RNN(3, 4, **batch_first), RNN(4, 4)),
        lambda: (RNN(3, 4, **batch_first), LastStep()),
        lambda: (RNN(3, 4), Dropout(0.5), LastStep(True)),
        lambda: (Sequential(RNN(3, 4), Linear(4, 4)), RNN(4, 4, **batch_first)),
        lambda: (Sequential(Sequential(RNN(3, 4, **batch_first))), Sequential(LastStep())),
    ):
        with pytest.raises(ValueError, match=r"Sequential: batch_first is \{.*\}, expected one"):
            Sequential(*layers())
    model = Sequential(RNN(3, 4, **batch_first), Sequential(Linear(4, 4), LastStep(True)))
    assert model(np.ones((2, 5, 3)))[0].shape == (2, 4)


def test_a_nested_model_is_the_flat_one() -> None:
    def layers() -> list[Layer]:
        return [
            LSTM(3, 4, 2, rng=0),
            LayerNorm(4),
            GRU(4, 4, rng=1),
            LastStep(),
            Linear(4, 2, rng=2),
        ]

    flat, (a, b, c, d, e) = Sequential(*layers()), layers()
    nested = Sequential(Sequential(a), Sequential(Sequential(b, c), d), e)
    np.testing.assert_array_equal(flat.parameters.data, nested.parameters.data)
    rng = np.random.default_rng(0)
    x, lengths, dy = (
        rng.standard_normal((5, 3, 3)),
        np.array([2, 0, 5]),
        rng.standard_normal((3, 2)),
    )
    (y, state), (want, wanted_state) = nested(x, lengths=lengths), flat(x, lengths=lengths)
    np.testing.assert_array_equal(y, want)
    # One entry for each part with a state; of an inner model that is a tuple of its own.
    ((h_c,), ((h,),)) = state
    for got, expected in zip((*h_c, h), (*wanted_state[0], wanted_state[1]), strict=True):
        np.testing.assert_array_equal(got, expected)
    dstate = ((None,), ((np.ones_like(h),),))
    dx, dinitial = nested.backward(dy, dstate)
    dx_flat, dinitial_flat = flat.backward(dy, (None, np.ones_like(h)))
    np.testing.assert_array_equal(dx, dx_flat)
    np.testing.assert_array_equal(dinitial[1][0][0], dinitial_flat[1])
    np.testing.assert_array_equal(nested.parameters.grad, flat.parameters.grad)
    assert nested.stateful
    assert not Sequential(Sequential(Linear(1, 1)), Dropout()).stateful


def test_a_layer_of_a_model_cannot_be_replaced() -> None:
    model = Sequential(rnn=RNN(2, 3, rng=0), head=Linear(3, 1, rng=1))
    with pytest.raises(TypeError, match="does not support item assignment"):
        model.layers["head"] = Linear(3, 1, rng=2)  # type: ignore[index]  # wrong on purpose


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_gives_a_model_that_works(protocol: int) -> None:
    model = Sequential(RNN(2, 3, rng=0), Linear(3, 1, rng=1))
    x = np.ones((4, 1, 2))
    twin = pickle.loads(pickle.dumps(model, protocol))  # noqa: S301 (its own)
    y, _ = twin(x)
    np.testing.assert_array_equal(y, model(x)[0])
    assert twin.backward(np.ones_like(y))[0].shape == x.shape
