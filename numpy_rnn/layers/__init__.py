"""Layers: a thin stateful skin over the pairs, with PyTorch's names and friendly errors."""

from numpy_rnn.layers.base import Layer, Module, RecurrentLayer
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.losses import CrossEntropyLoss, MSELoss
from numpy_rnn.layers.rnn import RNN
from numpy_rnn.layers.sequential import Sequential

__all__ = [
    "RNN",
    "CrossEntropyLoss",
    "Layer",
    "Linear",
    "MSELoss",
    "Module",
    "RecurrentLayer",
    "Sequential",
]
