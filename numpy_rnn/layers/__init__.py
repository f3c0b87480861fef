"""Layers: a pure core with a thin stateful skin, and PyTorch's names, calls and numbers.

Here live layers, losses, and all checks of arguments; the mathematics lives in functional/ and
textbook/. Start reading with base.py, then recurrent.py.
"""

from numpy_rnn.layers.activation import (
    ELU,
    Activation,
    HardSigmoid,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.losses import CrossEntropyLoss, Loss, MSELoss
from numpy_rnn.layers.model_file import load
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM
from numpy_rnn.layers.sequential import Sequential
from numpy_rnn.layers.state import load_state, reset_rows, save_state

__all__ = ["ELU", "GRU", "LRU", "LSTM", "RNN", "Activation", "Cell", "CrossEntropyLoss", "Dropout"]
__all__ += ["Embedding", "HardSigmoid", "Identity", "IndRNN", "LastStep", "Layer", "LayerNorm"]
__all__ += ["LeakyReLU", "Linear", "LogSoftmax", "Loss", "MSELoss", "MinGRU", "PeepholeLSTM"]
__all__ += ["ReLU", "Recurrent", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign"]
__all__ += ["Tanh", "load", "load_state", "reset_rows", "save_state"]
