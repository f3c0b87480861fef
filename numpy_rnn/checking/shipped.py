"""Everything the library ships that has a gradient: the rows of the proof table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking.shapes import Given
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.gru import GRU
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.lru import LRU
from numpy_rnn.layers.lstm import LSTM, PeepholeLSTM
from numpy_rnn.layers.mingru import MinGRU
from numpy_rnn.layers.rnn import RNN, IndRNN
from numpy_rnn.layers.sequential import Sequential


class Pair(NamedTuple):
    """A pair and its arguments."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    given: dict[str, Given]
    recurrent: bool = False


class Model(NamedTuple):
    """A layer or a model, and its input."""

    name: str
    make: Callable[[], Any]
    x: Given
    torch: str | None = None  # the class in torch.nn with the same constructor
    carries_state: bool = True  # so that a sequence can be cut in two


def _symbols(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.integers(0, sizes["D"], (sizes["T"], sizes["B"]))


def _words(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))


def _targets(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    targets = _words(rng, sizes)
    targets[rng.random(targets.shape) < 0.2] = -100
    return targets


def _mask(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.random((sizes["T"], sizes["B"])) < 0.8


def _units(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.random((sizes["T"], sizes["B"], sizes["H"])) >= 0.3


def weights(gates: int, recurrent: str = "H") -> dict[str, Given]:
    """Return the weights of a cell with this many gates."""
    G = f"{gates}H" if gates > 1 else "H"
    return {"W_ih": f"{G} D", "W_hh": f"{G} {recurrent}", "b_ih": G, "b_hh": G}


_ONE: dict[str, Given] = {"x": "T B D", "h0": "B H"}
_TWO: dict[str, Given] = {"x": "T B D", "h0": "B H", "c0": "B H"}
_LSTM = (F.lstm_forward, F.lstm_backward)
_PEEPHOLE = (F.peephole_lstm_forward, F.peephole_lstm_backward)
_RESET_BEFORE = (F.gru_reset_before_forward, F.gru_reset_before_backward)
_LAST: dict[str, Given] = {"W_hr": None}


def _loss(name: str, forward: Any, backward: Any, given: dict[str, Given]) -> list[Pair]:
    reductions: tuple[F.Reduction, ...] = ("mean", "sum", "sum_over_time", "none")
    return [Pair(f"{name} {r}", partial(forward, reduction=r), backward, given) for r in reductions]


PAIRS = [
    Pair("elman tanh", F.elman_forward, F.elman_backward, _ONE | weights(1), recurrent=True),
    Pair(
        "elman relu",
        partial(F.elman_forward, phi=F.RELU),
        F.elman_backward,
        _ONE | weights(1),
        recurrent=True,
    ),
    Pair(
        "elman tanh, symbols",
        F.elman_forward,
        F.elman_backward,
        _ONE | {"x": _symbols} | weights(1),
        recurrent=True,
    ),
    Pair("lstm", *_LSTM, _TWO | weights(4) | _LAST, recurrent=True),
    Pair(
        "lstm projected",
        *_LSTM,
        _TWO | {"h0": "B P"} | weights(4, "P") | {"W_hr": "P H"},
        recurrent=True,
    ),
    Pair("peephole lstm", *_PEEPHOLE, _TWO | weights(4) | {"W_c": "3 H"}, recurrent=True),
    Pair("gru", F.gru_forward, F.gru_backward, _ONE | weights(3), recurrent=True),
    Pair(
        "indrnn relu",
        F.indrnn_forward,
        F.indrnn_backward,
        _ONE | {"W_ih": "H D", "w_hh": "H", "b_ih": "H"},
        recurrent=True,
    ),
    Pair(
        "indrnn tanh",
        partial(F.indrnn_forward, phi=F.TANH),
        F.indrnn_backward,
        _ONE | {"W_ih": "H D", "w_hh": "H", "b_ih": "H"},
        recurrent=True,
    ),
    Pair(
        "mingru",
        F.mingru_forward,
        F.mingru_backward,
        _ONE | {"W_ih": "2H D", "b_ih": "2H"},
        recurrent=True,
    ),
    Pair(
        "lru",
        F.lru_forward,
        F.lru_backward,
        {"x": "T B D", "h0": "B 2H", "W_ih": "2H D", "nu": "H", "theta": "H", "gamma": "H"},
        recurrent=True,
    ),
    Pair("gru reset before", *_RESET_BEFORE, _ONE | weights(3), recurrent=True),
    Pair("scan", F.scan_forward, F.scan_backward, {"a": "T B H", "b": "T B H", "h0": "B H"}),
    Pair("linear", F.linear_forward, F.linear_backward, {"x": "T B D", "W": "H D", "b": "H"}),
    Pair("embedding", F.embedding_forward, F.embedding_backward, {"symbols": _words, "W": "V H"}),
    Pair(
        "layer norm",
        F.layer_norm_forward,
        F.layer_norm_backward,
        {"x": "T B H", "gain": "H", "bias": "H"},
    ),
    Pair(
        "dropout",
        partial(F.dropout_forward, p=0.3),
        F.dropout_backward,
        {"x": "T B H", "mask": _units},
    ),
    *_loss("mse", F.mse_forward, F.mse_backward, {"y": "T B V", "target": "T B V"}),
    *_loss(
        "cross-entropy",
        F.cross_entropy_forward,
        F.cross_entropy_backward,
        {"logits": "T B V", "targets": _targets, "mask": _mask},
    ),
]


def _language_model() -> Sequential:
    return Sequential(Embedding(6, 3, rng=0), LSTM(3, 4, 2, rng=1), Linear(4, 6, rng=2))


def _normalised() -> Sequential:
    return Sequential(GRU(3, 4, rng=0), LayerNorm(4), RNN(4, 2, rng=1))


MODELS = [
    Model("RNN(3, 4)", partial(RNN, 3, 4, rng=0), "T B 3", "RNN"),
    Model("LSTM(3, 4)", partial(LSTM, 3, 4, rng=0), "T B 3", "LSTM"),
    Model("GRU(3, 4)", partial(GRU, 3, 4, rng=0), "T B 3", "GRU"),
    Model("PeepholeLSTM(3, 4)", partial(PeepholeLSTM, 3, 4, rng=0), "T B 3"),
    Model("GRU(3, 4, reset_after=False)", partial(GRU, 3, 4, reset_after=False, rng=0), "T B 3"),
    Model("IndRNN(3, 4)", partial(IndRNN, 3, 4, rng=0), "T B 3"),
    Model("MinGRU(3, 4)", partial(MinGRU, 3, 4, rng=0), "T B 3"),
    Model("LRU(3, 4)", partial(LRU, 3, 4, rng=0), "T B 3"),
    Model(
        "LSTM, checkpointed at every third step",
        partial(LSTM, 3, 4, recompute=3, rng=0),
        "T B 3",
        "LSTM",
    ),
    Model(
        "LSTM, 2 layers, both ways, projected",
        partial(LSTM, 3, 4, 2, bidirectional=True, proj_size=2, rng=0),
        "T B 3",
        "LSTM",
        carries_state=False,
    ),
    Model("Linear(3, 4)", partial(Linear, 3, 4, rng=0), "T B 3", "Linear", carries_state=False),
    Model("LayerNorm(3)", partial(LayerNorm, 3), "T B 3", "LayerNorm", carries_state=False),
    Model("Embedding -> LSTM -> Linear", _language_model, _words),
    Model("GRU -> LayerNorm -> RNN", _normalised, "T B 3"),
]
