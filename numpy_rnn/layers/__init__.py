"""Layers: a thin stateful skin over the pairs, with PyTorch's names and friendly errors."""

from numpy_rnn.layers.base import Layer, Module, RecurrentLayer
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.gru import GRU
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.losses import CrossEntropyLoss, MSELoss
from numpy_rnn.layers.lru import LRU
from numpy_rnn.layers.lstm import LSTM, PeepholeLSTM
from numpy_rnn.layers.mingru import MinGRU
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import RNN, IndRNN
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
    "MSELoss",
    "MinGRU",
    "Module",
    "PeepholeLSTM",
    "Recurrent",
    "RecurrentLayer",
    "Sequential",
]
