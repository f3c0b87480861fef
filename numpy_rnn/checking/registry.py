"""The registry: every pair and layer of the library that has a gradient.

``numpy-rnn check`` and the tests of the pairs run on these tables. A new pair costs one row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking.shapes import REGIMES, Given, draw
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
    Sequential,
)

Shapes = dict[str, Given]
# Small sizes, for tests that run a pair hundreds of times.
SMALL = {"D": 3, "H": 4, "P": 2, "V": 5}


class RegisteredPair(NamedTuple):
    """A forward/backward pair, and how to draw its arguments.

    Attributes
    ----------
    name : str
        The row's name.
    forward, backward : callable
        The pair.
    shapes : dict
        Each argument of `forward`, in order: a shape in letters, a function of
        (generator, sizes), or None.
    gates : tuple of str
        Names of the row blocks of the weights.
    recurrent : bool
        Whether it has a state, so that RTRL and a split sequence can verify it.
    torch : str, optional
        The same function in PyTorch, a key of :data:`numpy_rnn.checking.proof.TORCH_FORWARDS`.
    """

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: Shapes
    gates: tuple[str, ...] = ()
    recurrent: bool = False
    torch: str | None = None

    def arguments(self, rng: np.random.Generator, T: int, B: int) -> tuple[Any, ...]:
        """Return arguments of `forward` in small sizes; T and B may be zero."""
        values, _ = draw(rng, self.shapes, SMALL | {"T": T, "B": B}, REGIMES[0])
        return tuple(values.values())

    @property
    def over_time(self) -> tuple[int, ...]:
        """Positions of the arguments whose gradient has time as its first axis."""
        return tuple(i for i, tokens in enumerate(self._tokens()) if "T" in tokens)

    @property
    def summed(self) -> tuple[int, ...]:
        """Positions of the weights: their gradients are sums whose terms `keep` can keep."""
        return tuple(
            i for i, tokens in enumerate(self._tokens()) if tokens and not {"T", "B"} & set(tokens)
        )

    def _tokens(self) -> list[list[str]]:
        return [g.split() if isinstance(g, str) else [] for g in self.shapes.values()]


class RegisteredModel(NamedTuple):
    """A layer or a model, and its input.

    Attributes
    ----------
    name : str
        The row's name.
    make : callable
        Returns a new one.
    x : shape, or function of (generator, sizes)
        Its input.
    torch : str, optional
        The class in ``torch.nn`` with the same constructor.
    carries_state : bool
        Whether a sequence can be cut in two.
    """

    name: str
    make: Callable[[], Any]
    x: Given
    torch: str | None = None
    carries_state: bool = True


def _tokens(letter: str) -> Callable[..., Array]:
    """Return a function that draws token ids (T, B) below the size of a letter."""
    return lambda rng, sizes: rng.integers(0, sizes[letter], (sizes["T"], sizes["B"]))


def _targets(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    targets: Array = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    targets[rng.random(targets.shape) < 0.2] = -100
    return targets


def _mask(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.random((sizes["T"], sizes["B"])) < 0.8


def _kept_units(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    return rng.random((sizes["T"], sizes["B"], sizes["H"])) >= 0.3


def _weights(gates: int, recurrent: str = "H") -> Shapes:
    """Return the weights of a cell with this many gates."""
    G = f"{gates}H" if gates > 1 else "H"
    return {"W_ih": f"{G} D", "W_hh": f"{G} {recurrent}", "b_ih": G, "b_hh": G}


_ONE_STATE: Shapes = {"x": "T B D", "h0": "B H"}
_TWO_STATES: Shapes = {"x": "T B D", "h0": "B H", "c0": "B H"}
_DIAGONAL: Shapes = {**_ONE_STATE, "W_ih": "H D", "w_hh": "H", "b_ih": "H"}
_cell = partial(RegisteredPair, recurrent=True)

_CELLS = [
    _cell("elman tanh", F.elman_forward, F.elman_backward, _ONE_STATE | _weights(1), torch="RNN"),
    _cell(
        "elman relu",
        partial(F.elman_forward, phi=F.RELU),
        F.elman_backward,
        _ONE_STATE | _weights(1),
        torch="RNN relu",
    ),
    _cell(
        "lstm",
        F.lstm_forward,
        F.lstm_backward,
        _TWO_STATES | _weights(4) | {"W_hr": None},
        gates=("i", "f", "g", "o"),
        torch="LSTM",
    ),
    _cell(
        "lstm projected",
        F.lstm_forward,
        F.lstm_backward,
        _TWO_STATES | {"h0": "B P"} | _weights(4, "P") | {"W_hr": "P H"},
        gates=("i", "f", "g", "o"),
        torch="LSTM",
    ),
    _cell(
        "peephole lstm",
        F.peephole_lstm_forward,
        F.peephole_lstm_backward,
        _TWO_STATES | _weights(4) | {"W_c": "3 H"},
        gates=("i", "f", "g", "o"),
    ),
    _cell(
        "gru",
        F.gru_forward,
        F.gru_backward,
        _ONE_STATE | _weights(3),
        gates=("r", "z", "n"),
        torch="GRU",
    ),
    _cell(
        "gru reset before",
        F.gru_reset_before_forward,
        F.gru_reset_before_backward,
        _ONE_STATE | _weights(3),
        gates=("r", "z", "n"),
    ),
    _cell("indrnn relu", F.indrnn_forward, F.indrnn_backward, _DIAGONAL),
    _cell("indrnn tanh", partial(F.indrnn_forward, phi=F.TANH), F.indrnn_backward, _DIAGONAL),
    _cell(
        "mingru",
        F.mingru_forward,
        F.mingru_backward,
        _ONE_STATE | {"W_ih": "2H D", "b_ih": "2H"},
        gates=("z", "n"),
    ),
    _cell(
        "lru",
        F.lru_forward,
        F.lru_backward,
        {"x": "T B D", "h0": "B 2H", "W_ih": "2H D", "nu": "H", "theta": "H", "gamma": "H"},
        gates=("real", "imaginary"),
    ),
]
_LINEAR = RegisteredPair(
    "linear",
    F.linear_forward,
    F.linear_backward,
    {"x": "T B D", "W": "H D", "b": "H"},
    torch="linear",
)
_NORM = RegisteredPair(
    "layer norm",
    F.layer_norm_forward,
    F.layer_norm_backward,
    {"x": "T B H", "gain": "H", "bias": "H"},
    torch="layer norm",
)


def _with_tokens(pair: RegisteredPair) -> RegisteredPair:
    """Return the pair with token ids, the positions of ones in one-hot rows, as its input."""
    shapes = pair.shapes | {"x": _tokens("D")}
    return pair._replace(name=f"{pair.name}, tokens", shapes=shapes)


def _loss(name: str, forward: Any, backward: Any, shapes: Shapes) -> list[RegisteredPair]:
    reductions: tuple[F.Reduction, ...] = ("mean", "sum", "sum_over_time", "none")
    return [
        RegisteredPair(
            f"{name} {reduction}",
            partial(forward, reduction=reduction),
            backward,
            shapes,
            torch=f"{name} {reduction}",
        )
        for reduction in reductions
    ]


PAIRS = [
    *_CELLS,
    *(_with_tokens(p) for p in _CELLS if p.name not in ("elman relu", "indrnn tanh")),
    RegisteredPair(
        "scan", F.scan_forward, F.scan_backward, {"a": "T B H", "b": "T B H", "h0": "B H"}
    ),
    _LINEAR,
    _with_tokens(_LINEAR),
    RegisteredPair(
        "embedding",
        F.embedding_forward,
        F.embedding_backward,
        {"tokens": _tokens("V"), "W": "V H"},
        torch="embedding",
    ),
    _NORM,
    _NORM._replace(
        name="layer norm, large eps", forward=partial(F.layer_norm_forward, eps=0.5), torch=None
    ),
    RegisteredPair(
        "dropout",
        partial(F.dropout_forward, p=0.3),
        F.dropout_backward,
        {"x": "T B H", "mask": _kept_units},
        torch="dropout",
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


_model = partial(RegisteredModel, x="T B 3")

MODELS = [
    _model("RNN(3, 4)", partial(RNN, 3, 4, rng=0), torch="RNN"),
    _model("LSTM(3, 4)", partial(LSTM, 3, 4, rng=0), torch="LSTM"),
    _model("GRU(3, 4)", partial(GRU, 3, 4, rng=0), torch="GRU"),
    _model("PeepholeLSTM(3, 4)", partial(PeepholeLSTM, 3, 4, rng=0)),
    _model("GRU(3, 4, reset_after=False)", partial(GRU, 3, 4, reset_after=False, rng=0)),
    _model("IndRNN(3, 4)", partial(IndRNN, 3, 4, rng=0)),
    _model("MinGRU(3, 4)", partial(MinGRU, 3, 4, rng=0)),
    _model("LRU(3, 4)", partial(LRU, 3, 4, rng=0)),
    _model("LSTM(3, 4, recompute=3)", partial(LSTM, 3, 4, recompute=3, rng=0), torch="LSTM"),
    _model(
        "LSTM, 2 layers, bidirectional, projected",
        partial(LSTM, 3, 4, 2, bidirectional=True, proj_size=2, rng=0),
        torch="LSTM",
        carries_state=False,
    ),
    _model("Linear(3, 4)", partial(Linear, 3, 4, rng=0), torch="Linear", carries_state=False),
    _model("LayerNorm(3)", partial(LayerNorm, 3), torch="LayerNorm", carries_state=False),
    _model("Embedding -> LSTM -> Linear", _language_model, x=_tokens("V")),
    _model("GRU -> LayerNorm -> RNN", _normalised),
]
