"""The registry: every pair and layer of the library that has a gradient.

``numpy-rnn check`` and the tests of the pairs run on these tables. A new pair costs one row. The
pairs of functional/ and of textbook/ have the same names, arguments and results. The museum's
references are rows of the same kind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn import textbook
from numpy_rnn.checking.shapes import Given
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Embedding,
    IndRNN,
    LayerNorm,
    Linear,
    MinGRU,
    PeepholeLSTM,
    ReLU,
    Sequential,
)

Shapes = dict[str, Given]


class RegisteredPair(NamedTuple):
    """A forward/backward pair, and how to draw its arguments."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: Shapes  # each argument of forward, in order
    gates: str = ""  # names of the row blocks of the weights, a letter each

    def checked(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return what check_gradients takes."""
        return self.forward, self.backward

    @property
    def recurrent(self) -> bool:
        """Whether it is a cell, so that a split sequence can verify it."""
        return {"x", "h0"} <= set(self.shapes)

    @property
    def keeps(self) -> bool:
        """Whether `backward` takes ``keep``, which RTRL needs."""
        return "keep" in inspect.signature(self.backward).parameters


class RegisteredModel(NamedTuple):
    """A layer or a model, and its input."""

    name: str
    model: Any
    shapes: Shapes
    gates: str = ""
    recurrent: bool = True  # so that a split sequence can verify it

    def checked(self) -> Any:
        """Return what check_gradients takes."""
        return self.model


def _tokens(letter: str) -> Callable[..., Array]:
    """Return a function that draws token ids (T, B), repeated within the first step."""

    def draw(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
        tokens: Array = rng.integers(0, sizes[letter], (sizes["T"], sizes["B"]))
        tokens[:1] = 0
        return tokens

    return draw


def _targets(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw classes, and ignore the first target of the first sequence if there are others."""
    targets: Array = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    targets.flat[: int(targets.size > 1)] = -100
    return targets


def _mask(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw which steps count: the first step of sequence 0 does, that of sequence 1 does not."""
    mask = rng.random((sizes["T"], sizes["B"])) < 0.8
    mask[:1, :1], mask[:1, 1:2] = True, False
    return mask


def _kept_units(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.random((sizes["T"], sizes["B"], sizes["H"])) >= 0.3


def _weights(gates: int, recurrent: str = "H") -> Shapes:
    """Return the weights of a cell with this many gates."""
    G = f"{gates}H" if gates > 1 else "H"
    return {"W_ih": f"{G} D", "W_hh": f"{G} {recurrent}", "b_ih": G, "b_hh": G}


def pair_of(
    source: Any, name: str, function: str, shapes: Shapes, gates: str = "", **options: Any
) -> RegisteredPair:
    """Return the row of two functions of a module, functional or textbook."""
    forward = getattr(source, f"{function}_forward")
    forward = partial(forward, **options) if options else forward
    backward = getattr(source, f"{function}_backward")
    return RegisteredPair(name, forward, backward, shapes, gates)


def _with_tokens(pair: RegisteredPair) -> RegisteredPair:
    """Return the pair with token ids, the positions of ones in one-hot rows, as its input."""
    shapes = pair.shapes | {"x": _tokens("D")}
    return pair._replace(name=f"{pair.name}, tokens", shapes=shapes)


_h: Shapes = {"x": "T B D", "h0": "B H"}
_h_and_c: Shapes = {**_h, "c0": "B H"}
_lstm: Shapes = _h_and_c | _weights(4)
_projected: Shapes = {**_h_and_c, "h0": "B P"} | _weights(4, "P") | {"W_hr": "P H"}
_diagonal: Shapes = {**_h, "W_ih": "H D", "w_hh": "H", "b_ih": "H"}
_lru: Shapes = {**_h, "h0": "B 2H", "W_ih": "2H D", "nu": "H", "theta": "H", "gamma": "H"}
_norm: Shapes = {"x": "T B H", "weight": "H", "bias": "H"}
_squares: Shapes = {"y": "T B V", "target": "T B V"}
_scores: Shapes = {"y": "T B V", "targets": _targets, "mask": _mask}
_LOSSES = [("mse", "mse", _squares), ("cross-entropy", "cross_entropy", _scores)]


def _cells(source: Any) -> list[RegisteredPair]:
    """Return the rows of the cells that functional and textbook have in common."""
    return [
        pair_of(source, "elman tanh", "elman", _h | _weights(1)),
        pair_of(source, "peephole lstm", "peephole_lstm", _lstm | {"W_c": "3 H"}, "ifgo"),
        pair_of(source, "gru", "gru", _h | _weights(3), "rzn"),
        pair_of(source, "gru reset before", "gru_reset_before", _h | _weights(3), "rzn"),
        pair_of(source, "indrnn relu", "indrnn", _diagonal),
        pair_of(source, "mingru", "mingru", _h | {"W_ih": "2H D", "b_ih": "2H"}, "zn"),
        pair_of(source, "lru", "lru", _lru),
    ]


def _without_state(source: Any) -> list[RegisteredPair]:
    """Return the rows of the other pairs that functional and textbook have in common."""
    embedded: Shapes = {"tokens": _tokens("V"), "W": "V H"}
    dropped: Shapes = {"x": "T B H", "mask": _kept_units}
    return [
        pair_of(source, "linear", "linear", {"x": "T B D", "W": "H D", "b": "H"}),
        pair_of(source, "embedding", "embedding", embedded),
        pair_of(source, "layer norm", "layer_norm", _norm),
        pair_of(source, "dropout", "dropout", dropped, p=0.3),
        *(
            pair_of(source, f"{name} {r}", function, shapes, reduction=r)
            for name, function, shapes in _LOSSES
            for r in ("mean", "sum", "sum_over_time", "none")
        ),
    ]


_RECURRENT = [
    *_cells(F),
    pair_of(F, "elman relu", "elman", _h | _weights(1), phi=F.RELU),
    pair_of(F, "indrnn tanh", "indrnn", _diagonal, phi=F.TANH),
    pair_of(F, "lstm", "lstm", _lstm | {"W_hr": None}, "ifgo"),
    pair_of(F, "lstm projected", "lstm", _projected, "ifgo"),
]
_hard: dict[str, Any] = {"activations": ("hard_sigmoid", "softsign", ("leaky_relu", 0.1))}
_soft: dict[str, Any] = {"activations": ("sigmoid", ("elu", 0.5), "scaled_tanh")}
_softplus: dict[str, Any] = {"activations": ("sigmoid", "softplus")}
_peepholes, _gru = _lstm | {"W_c": "3 H"}, _h | _weights(3)
_GENERAL = [
    pair_of(F, "elman clipped", "elman", _h | _weights(1), phi=F.make_activation("tanh", 1.5)),
    *(
        pair_of(F, f"general {name}", f"general_{name.split(',')[0]}", shapes, gates, **options)
        for name, shapes, gates, options in (
            ("lstm", _lstm | {"W_c": None}, "ifgo", _hard | {"clip": 2.0}),
            ("lstm, input forget", _peepholes, "ifgo", _soft | {"input_forget": True}),
            ("gru", _gru, "rzn", {"activations": ("hard_sigmoid", "relu"), "clip": 2.0}),
            ("gru, reset after", _gru, "rzn", _softplus | {"reset_after": True}),
        )
    ),
]
_OTHERS = _without_state(F)

PAIRS = [
    *_RECURRENT,
    *_GENERAL,
    *map(_with_tokens, _RECURRENT),
    pair_of(F, "scan", "scan", {"a": "T B H", "b": "T B H", "h0": "B H"}),
    *_OTHERS,
    _with_tokens(_OTHERS[0]),  # linear
    pair_of(F, "layer norm, large eps", "layer_norm", _norm, eps=0.5),
]
TEXTBOOK_PAIRS = [
    pair._replace(name=f"textbook {pair.name}")
    for pair in (
        *_cells(textbook),
        pair_of(textbook, "lstm", "lstm", _lstm, "ifgo"),
        pair_of(textbook, "lstm projected", "projected_lstm", _projected, "ifgo"),
        *_without_state(textbook),
    )
]


_model = partial(RegisteredModel, shapes={"x": "T B 3"})

MODELS = [
    _model("RNN(3, 4)", RNN(3, 4, rng=0)),
    _model("LSTM(3, 4)", LSTM(3, 4, rng=0)),
    _model("GRU(3, 4)", GRU(3, 4, rng=0)),
    _model("PeepholeLSTM(3, 4)", PeepholeLSTM(3, 4, rng=0)),
    _model("GRU(3, 4, reset_after=False)", GRU(3, 4, reset_after=False, rng=0)),
    _model("IndRNN(3, 4)", IndRNN(3, 4, rng=0)),
    _model("MinGRU(3, 4)", MinGRU(3, 4, rng=0)),
    _model("LRU(3, 4)", LRU(3, 4, rng=0)),
    _model("LSTM(3, 4, recompute=3)", LSTM(3, 4, recompute=3, rng=0)),
    _model(
        "LSTM, 2 layers, bidirectional, projected",
        LSTM(3, 2, 2, bidirectional=True, proj_size=1, rng=0),
        recurrent=False,
    ),
    _model(
        "GRU, 2 layers, bidirectional, multiplied",
        GRU(3, 2, 2, bidirectional=True, merge="mul", rng=0),
        recurrent=False,
    ),
    _model("LSTM(3, 4, reverse=True)", LSTM(3, 4, reverse=True, rng=0), recurrent=False),
    _model("Linear(3, 4)", Linear(3, 4, rng=0), recurrent=False),
    _model("LayerNorm(3)", LayerNorm(3), recurrent=False),
    _model(
        "Embedding -> LSTM -> Linear",
        Sequential(Embedding(6, 3, rng=0), LSTM(3, 4, 2, rng=1), Linear(4, 6, rng=2)),
        shapes={"x": _tokens("V")},
    ),
    _model("GRU -> LayerNorm -> RNN", Sequential(GRU(3, 4, rng=0), LayerNorm(4), RNN(4, 1, rng=1))),
    _model(
        "Linear -> GRU -> ReLU -> Linear, tied",
        Sequential(
            Linear(3, 4, rng=0),
            GRU(4, 3, clip=1.5, rng=1),
            ReLU(),
            Linear(3, 4, rng=2),
            tied={"3.bias": "0.bias"},
        ),
    ),
]
