"""Optimisers on one flat vector of parameters, and gradient clipping.

Gradients and learning-rate schedules are elsewhere: layers compute the gradients, and
``training/schedule.py`` sets the rates. Start reading in ``sgd.py``, then ``base.py``.
"""

from numpy_rnn.optim.adaptive import Adagrad, Adam, AdamW, RMSprop
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.optim.clip import clip_grad_norm, clip_grad_value
from numpy_rnn.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm"]
__all__ += ["clip_grad_value"]
