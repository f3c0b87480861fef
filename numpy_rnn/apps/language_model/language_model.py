"""A character language model: what it is made of, and how it is trained.

(1) e_t = W_e[s_t]                                   embedding
(2) h_t = recurrent layers of e_1 .. e_t             with dropout between and behind them
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
_SCHEDULES = {"constant": constant, "cosine": cosine, "step": step_decay}
_OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"betas": (0.9, 0.99)}),
    "adamw": (AdamW, {"betas": (0.9, 0.99)}),
    "sgd": (SGD, {"momentum": 0.9}),
    "rmsprop": (RMSprop, {}),
    "adagrad": (Adagrad, {}),
}


def build(settings: Settings, V: int) -> Sequential:
    """Return the model with fresh weights.

    Parameters
    ----------
    settings : Settings
        Its sizes, dtype and seed.
    V : int
        How many characters there are.

    Returns
    -------
    model : Sequential
        ``embedding``, ``rnn``, ``dropout`` and ``output``; symbols (T, B) in, logits (T, B, V)
        out. An LSTM's forget gates have the bias 1.
    """
    H, dtype = settings.hidden_size, settings.dtype
    rng = np.random.default_rng(settings.seed)
    rnn = _CELLS[settings.cell](
        settings.embedding,
        H,
        settings.layers,
        dropout=settings.dropout,
        rng=rng,
        dtype=dtype,
    )
    if isinstance(rnn, LSTM):
        init.forget_bias(rnn, 1.0)
    return Sequential(
        embedding=Embedding(V, settings.embedding, rng=rng, dtype=dtype),
        rnn=rnn,
        dropout=Dropout(settings.dropout, rng=rng, dtype=dtype),
        output=Linear(H, V, rng=rng, dtype=dtype),
    )


def optimizer_for(settings: Settings, model: Sequential) -> Optimizer:
    """Return the optimiser of the settings."""
    kind, options = _OPTIMIZERS[settings.optimizer]
    return kind(model.parameters, lr=settings.lr, weight_decay=settings.weight_decay, **options)


def schedule_for(settings: Settings) -> Schedule:
    """Return the schedule of the settings."""
    return _SCHEDULES[settings.schedule](settings.warmup)
