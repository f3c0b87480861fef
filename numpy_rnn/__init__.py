"""Recurrent neural networks in pure NumPy: every gradient by hand, every gradient proven."""

from numpy_rnn.layers import (
    GRU,
    LSTM,
    RNN,
    Cell,
    CrossEntropyLoss,
    Embedding,
    Last,
    Layer,
    Linear,
    Module,
    MSELoss,
    PeepholeLSTM,
    Recurrent,
    RecurrentLayer,
    Sequential,
)
from numpy_rnn.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm,
    clip_grad_value,
)
from numpy_rnn.parameters import Parameters
from numpy_rnn.version import __version__

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Cell",
    "CrossEntropyLoss",
    "Embedding",
    "Last",
    "Layer",
    "Linear",
    "MSELoss",
    "Module",
    "Optimizer",
    "Parameters",
    "PeepholeLSTM",
    "RMSprop",
    "Recurrent",
    "RecurrentLayer",
    "Sequential",
    "__version__",
    "clip_grad_norm",
    "clip_grad_value",
]
