"""Layers with general cells: the laws of layers hold, and the options are checked and shown."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numpy_rnn
from numpy_rnn import GRU, LSTM, RNN, PeepholeLSTM, Recurrent
from numpy_rnn.checking import check_gradients
from tests.layers.models import flat, same_trees

D, H = 3, 4
LAYERS: dict[str, Callable[[], Recurrent]] = {
    "RNN(3, 4, nonlinearity='softsign', clip=0.5)": lambda: RNN(D, H, 1, "softsign", clip=0.5),
    "RNN(3, 4, num_layers=2, nonlinearity=('elu', 0.5))": lambda: RNN(D, H, 2, ["elu", 0.5]),  # type: ignore[arg-type]  # as in JSON
    "RNN(3, 4, clip=1.0)": lambda: RNN(D, H, clip=1),
    "LSTM(3, 4, num_layers=2, activations=('hard_sigmoid', 'tanh', 'tanh'))": lambda: LSTM(
        D, H, 2, activations=["hard_sigmoid", ("tanh",), "tanh"]
    ),
    "LSTM(3, 4, clip=0.5, input_forget=True)": lambda: LSTM(D, H, clip=0.5, input_forget=True),
    "LSTM(3, 4, input_forget=True, recompute=2)": lambda: LSTM(
        D, H, input_forget=True, recompute=2
    ),
    "PeepholeLSTM(3, 4, activations=('sigmoid', ('leaky_relu', 0.1), 'silu'), clip=2.0)": lambda: (
        PeepholeLSTM(D, H, activations=("sigmoid", ("leaky_relu", 0.1), "silu"), clip=2.0)
    ),
    "GRU(3, 4, bias=False, activations=('sigmoid', 'relu'))": lambda: GRU(
        D, H, bias=False, activations=("sigmoid", "relu")
    ),
    "GRU(3, 4, reset_after=False, activations=(('elu', 0.25), 'tanh'), clip=0.5)": lambda: GRU(
        D, H, reset_after=False, activations=(("elu", 0.25), "tanh"), clip=0.5
    ),
    "GRU(3, 4, bidirectional=True, clip=1.5, merge='ave')": lambda: GRU(
        D, H, bidirectional=True, merge="ave", clip=1.5
    ),
    "LSTM(3, 4, num_layers=2, clip=1.5, reverse=True)": lambda: LSTM(
        D, H, 2, reverse=True, clip=1.5
    ),
}
each_layer = pytest.mark.parametrize("shown", LAYERS)


@each_layer
def test_repr_copies_and_pickles_rebuild_the_layer(shown: str) -> None:
    layer = LAYERS[shown]()
    assert repr(layer) == shown
    again = eval(shown, vars(numpy_rnn))  # noqa: S307 (a repr above)
    again.load_state_dict(layer.state_dict())
    x = np.random.default_rng(0).standard_normal((5, 2, D)) * 3
    want = layer.predict(x)
    for twin in (again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301 (its own)
        assert repr(twin) == shown
        same_trees(twin.predict(x), want)


@each_layer
def test_steps_predict_and_forward_agree(shown: str) -> None:
    layer = LAYERS[shown]()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 2, D)) * 2  # more than predict takes at a time
    y, final = layer(x)
    same_trees(layer.predict(x), (y, final), 1e-12, 1e-14)
    if not layer.causal:
        with pytest.raises(ValueError, match="expected one direction, forwards in time"):
            layer.stepper()
        return
    for step in (layer.step, layer.stepper()):
        state = None
        for x_t, y_t in zip(x, y, strict=True):
            got, state = step(x_t, state)
            np.testing.assert_allclose(got, y_t, rtol=1e-12, atol=1e-14)
        same_trees(state, final, 1e-12, 1e-14)


@each_layer
def test_gradients_are_right_and_float32_stays(shown: str) -> None:
    assert check_gradients(LAYERS[shown](), "T B 3", sizes={"T": 5, "B": 2}, regimes=["usual"]).ok
    layer = LAYERS[shown]()
    layer.parameters.to(np.float32)
    y, state = layer(np.ones((4, 2, D), np.float32))
    dx, dstate = layer.backward(y, state)
    assert {a.dtype for a in flat((y, state, dx, dstate))} == {np.dtype(np.float32)}


def test_default_options_are_the_plain_layers() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, D))
    for plain, same in (
        (LSTM(D, H, rng=0), LSTM(D, H, activations=("sigmoid", "tanh", ("tanh",)), rng=0)),
        (GRU(D, H, rng=0), GRU(D, H, activations=["sigmoid", "tanh"], rng=0)),
        (RNN(D, H, rng=0), RNN(D, H, nonlinearity=("tanh",), rng=0)),
    ):
        assert same._cells[0].stepper is not None
        same_trees(same.predict(x), plain.predict(x))
    wide = LSTM(D, H, clip=1e9, rng=0)  # the general cell, whose clip does nothing
    same_trees(wide.predict(x), LSTM(D, H, rng=0).predict(x), 1e-13, 1e-15)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: LSTM(D, H, activations="tanh"),
        ValueError,
        "LSTM: activations is 'tanh', expected a tuple of 3",
    ),
    (
        lambda: GRU(D, H, activations=("sigmoid",) * 3),
        ValueError,
        "GRU: activations is ('sigmoid', 'sigmoid', 'sigmoid'), expected a tuple of 2",
    ),
    (
        lambda: PeepholeLSTM(D, H, activations=("sigmoid", "Tanh", "tanh")),
        ValueError,
        "PeepholeLSTM: activations has 'Tanh', expected a name of tanh, relu",
    ),
    (
        lambda: GRU(D, H, activations=("sigmoid", ("relu", 6))),
        ValueError,
        "GRU: activations has ('relu', 6), expected 'relu' with at most 0 numbers",
    ),
    (
        lambda: RNN(D, H, clip=0),
        ValueError,
        "RNN: clip is 0, expected a finite number above 0, or None",
    ),
    (
        lambda: LSTM(D, H, clip=np.inf),
        ValueError,
        "LSTM: clip is inf, expected a finite number above 0",
    ),
    (lambda: GRU(D, H, clip="1"), TypeError, "GRU: clip is '1', expected a number"),  # type: ignore[arg-type]  # wrong on purpose
    (
        lambda: LSTM(D, H, input_forget=1),  # type: ignore[arg-type]  # wrong on purpose
        TypeError,
        "LSTM: input_forget is 1, expected True or False",
    ),
    (
        lambda: LSTM(D, H, proj_size=2, clip=1.0),
        ValueError,
        "LSTM: proj_size is 2, expected 0 with peepholes or activations, clip, input_forget",
    ),
    (
        lambda: PeepholeLSTM(D, H, proj_size=2),
        ValueError,
        "PeepholeLSTM: proj_size is 2, expected 0 with peepholes or",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_options_are_one_clear_line(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
