"""Adagrad (Duchi, Hazan & Singer 2011).

(1) g <- g + weight_decay theta
(2) s_t = s_{t-1} + g^2,  s_0 = initial_accumulator_value
(3) theta_t = theta_{t-1} - lr / (1 + (t - 1) lr_decay) g / (sqrt(s_t) + eps)

The decay of the learning rate is PyTorch's addition.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters


class Adagrad(Optimizer):
    """Adagrad, equal to ``torch.optim.Adagrad`` step by step.

    Parameters
    ----------
    parameters : Parameters
        The parameters to update.
    lr : float
        Learning rate.
    lr_decay : float
        Decay of the learning rate, equation (3).
    weight_decay : float
        Equation (1).
    initial_accumulator_value : float
        s_0.
    eps : float
        Keeps (3) finite if it is above 0.

    Examples
    --------
    >>> Adagrad(Parameters({"w": (2,)}, np.float64), initial_accumulator_value=0.5).moments
    {'sum': array([0.5, 0.5])}
    """

    hyperparameters = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, ("sum",))
        self.lr_decay = self._non_negative("lr_decay", lr_decay)
        self.initial_accumulator_value = self._non_negative(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.eps = self._non_negative("eps", eps)
        self.moments["sum"].fill(self.initial_accumulator_value)

    def _update(self, theta: Array, g: Array) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * theta  # (1)
        s, work = self.moments["sum"], self._work
        s += np.multiply(g, g, out=work)  # (2)
        np.sqrt(s, out=work)
        work += self.eps
        np.divide(g, work, out=work)
        work *= self.lr / (1 + (self.num_steps - 1) * self.lr_decay)
        theta -= work  # (3)
