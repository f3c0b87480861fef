"""Optimisers on one flat vector, equal to PyTorch's step by step, and gradient clipping."""

from numpy_rnn.optim.adagrad import Adagrad
from numpy_rnn.optim.adam import Adam, AdamW
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.optim.clip import clip_grad_norm, clip_grad_value
from numpy_rnn.optim.rmsprop import RMSprop
from numpy_rnn.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
]
