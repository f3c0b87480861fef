"""RMSprop (Tieleman & Hinton 2012, lecture 6.5), with PyTorch's options.

(1) g <- g + weight_decay theta                        s_0 = a_0 = u_0 = 0
(2) s_t = alpha s_{t-1} + (1 - alpha) g^2
(3) a_t = a_{t-1} + (1 - alpha) (g - a_{t-1})         centered (Graves 2013)
(4) d_t = sqrt(s_t) + eps, or centered sqrt(max(s_t - a_t^2, 0)) + eps
    (Graves has eps inside the root)
(5) theta_t = theta_{t-1} - lr g / d_t
(6) u_t = momentum u_{t-1} + g / d_t;  theta_t = theta_{t-1} - lr u_t    with momentum
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters


class RMSprop(Optimizer):
    """RMSprop, equal to ``torch.optim.RMSprop`` step by step.

    Rounding can make the centered s_t - a_t^2 negative. Here it then counts as zero; PyTorch
    takes the root of it and the weight becomes NaN.

    Parameters
    ----------
    parameters : Parameters
        The parameters to update.
    lr : float
        Learning rate.
    alpha : float
        Decay rate of the mean of g^2.
    eps : float
        Keeps (5) finite if it is above 0.
    weight_decay : float
        Equation (1).
    momentum : float
        Equation (6).
    centered : bool
        Equations (3) and (4).

    Examples
    --------
    >>> RMSprop(Parameters({"w": (2,)}, np.float64), centered=True).moments
    {'square_avg': array([0., 0.]), 'grad_avg': array([0., 0.])}
    """

    hyperparameters = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        self.centered = self._flag("centered", centered)
        moments = ("grad_avg",) * centered + ("momentum_buffer",) * (momentum != 0)
        super().__init__(parameters, lr, weight_decay, ("square_avg", *moments))
        self.alpha = self._decay_rate("alpha", alpha)
        self.eps = self._non_negative("eps", eps)
        self.momentum = self._non_negative("momentum", momentum)

    def _update(self, theta: Array, g: Array) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * theta  # (1)
        s, work = self.moments["square_avg"], self._work
        np.multiply(g, g, out=work)
        work *= 1 - self.alpha
        s *= self.alpha
        s += work  # (2)
        if self.centered:
            a = self.moments["grad_avg"]
            np.subtract(g, a, out=work)
            work *= 1 - self.alpha
            a += work  # (3)
            np.multiply(a, a, out=work)
            np.subtract(s, work, out=work)
            np.maximum(work, 0, out=work)
            np.sqrt(work, out=work)
        else:
            np.sqrt(s, out=work)
        work += self.eps  # (4)
        np.divide(g, work, out=work)
        if self.momentum:
            u = self.moments["momentum_buffer"]
            u *= self.momentum
            u += work  # (6)
            np.copyto(work, u)
        work *= self.lr
        theta -= work  # (5), (6)
