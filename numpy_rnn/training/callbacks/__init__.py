"""Callbacks: what happens between two steps of a training run.

The argument `every` is the number of steps between two entries, measurements or lines. The base of
all callbacks is in ``training/parts.py``.
"""

from numpy_rnn.training.callbacks.json_lines import JsonLines
from numpy_rnn.training.callbacks.losses import History, Validation
from numpy_rnn.training.callbacks.time_budget import TimeBudget
from numpy_rnn.training.checkpoint import Checkpoints

__all__ = ["Checkpoints", "History", "JsonLines", "TimeBudget", "Validation"]
