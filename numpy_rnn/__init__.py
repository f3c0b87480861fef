"""Recurrent neural networks in pure NumPy: every gradient derived by hand and verified.

Layers, losses, optimisers and clipping can be imported from here. Training, gradient checks and
applications are in ``numpy_rnn.training``, ``numpy_rnn.checking`` and ``numpy_rnn.apps``. Start
reading in ``textbook/elman.py``.
"""

from numpy_rnn.layers import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Cell,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    IndRNN,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    Loss,
    MinGRU,
    MSELoss,
    PeepholeLSTM,
    Recurrent,
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
    "LRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Cell",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "IndRNN",
    "LastStep",
    "Layer",
    "LayerNorm",
    "Linear",
    "Loss",
    "MSELoss",
    "MinGRU",
    "Optimizer",
    "Parameters",
    "PeepholeLSTM",
    "RMSprop",
    "Recurrent",
    "Sequential",
    "__version__",
    "clip_grad_norm",
    "clip_grad_value",
]
