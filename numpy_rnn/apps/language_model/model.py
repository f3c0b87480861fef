"""The character language model: its layers, its optimiser and its learning-rate schedule.

(1) e_t = W_e[s_t]                                  embedding of token s_t
(2) h_t = recurrent layers of e_1 .. e_t            dropout between and after the layers
(3) p(s_{t+1} = v | s_1 .. s_t) = softmax(W h_t + b)_v
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn import init
from numpy_rnn.apps.language_model.settings import Settings
from numpy_rnn.layers import GRU, LSTM, RNN, Dropout, Embedding, Linear, Sequential
from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from numpy_rnn.training import Schedule, constant, cosine, step_decay

_CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
_SCHEDULES = {"constant": constant, "cosine": cosine, "step": step_decay}
_OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"betas": (0.9, 0.99)}),
    "adamw": (AdamW, {"betas": (0.9, 0.99)}),
    "sgd": (SGD, {"momentum": 0.9}),
    "rmsprop": (RMSprop, {}),
    "adagrad": (Adagrad, {}),
}


def build(settings: Settings, V: int) -> Sequential:
    """Return the model with initial weights from the settings' seed.

    Parameters
    ----------
    settings : Settings
        Sizes, dtype and seed.
    V : int
        Number of characters.

    Returns
    -------
    model : Sequential
        ``embedding``, ``rnn``, ``dropout`` and ``output``. Token ids (T, B) in, logits (T, B, V)
        out. The forget gates of an LSTM are initialised with the bias 1.

    Examples
    --------
    >>> model = build(Settings(hidden_size=8, embedding=4, epochs=1), V=30)
    >>> model.parameters.shapes["rnn.weight_hh_l0"]
    (24, 8)
    """
    H, dtype = settings.hidden_size, settings.dtype
    rng = np.random.default_rng(settings.seed)
    between = settings.dropout if settings.layers > 1 else 0.0  # the last layer's is a Dropout
    rnn = _CELLS[settings.cell](
        settings.embedding, H, settings.layers, dropout=between, rng=rng, dtype=dtype
    )
    if isinstance(rnn, LSTM):
        init.forget_bias(rnn, 1.0)
    return Sequential(
        embedding=Embedding(V, settings.embedding, rng=rng, dtype=dtype),
        rnn=rnn,
        dropout=Dropout(settings.dropout, rng=rng, dtype=dtype),
        output=Linear(H, V, rng=rng, dtype=dtype),
    )


def parameter_count(settings: Settings, V: int) -> int:
    """Return the number of parameters of the model, without building it."""
    H, E = settings.hidden_size, settings.embedding
    gates = _GATES[settings.cell]
    recurrent = gates * H * (E + H + 2) + (settings.layers - 1) * gates * H * (2 * H + 2)
    return V * E + recurrent + V * H + V


def optimizer_for(settings: Settings, model: Sequential) -> Optimizer:
    """Return the optimiser of the settings."""
    kind, options = _OPTIMIZERS[settings.optimizer]
    return kind(model.parameters, lr=settings.lr, weight_decay=settings.weight_decay, **options)


def schedule_for(settings: Settings) -> Schedule:
    """Return the learning-rate schedule of the settings."""
    return _SCHEDULES[settings.schedule](settings.warmup)
