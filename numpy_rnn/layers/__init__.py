"""Layers: a pure core with a thin stateful skin, and PyTorch's names, calls and numbers.

Here live layers, losses, and all checks of arguments; the mathematics lives in functional/ and
textbook/. Start reading with base.py, then recurrent.py.
"""

from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.losses import CrossEntropyLoss, Loss, MSELoss
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM
from numpy_rnn.layers.segments import Cell
from numpy_rnn.layers.sequential import Sequential

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "RNN",
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
    "PeepholeLSTM",
    "Recurrent",
    "Sequential",
]
