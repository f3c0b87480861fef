"""Stochastic gradient descent, with momentum (Polyak 1964; Nesterov 1983).

    (1) u_t = momentum u_{t-1} + (1 - dampening) g,       u_1 = g
    (2) theta_t = theta_{t-1} - lr u_t                    without momentum u_t = g
    (3) theta_t = theta_{t-1} - lr (g + momentum u_t)     with nesterov

Sutskever et al. (2013) put the learning rate inside the velocity, v_t = momentum v_{t-1} - lr g.
PyTorch and this file keep it outside. With a constant lr and no dampening, v_t = -lr u_t and both
take the same path.

Nesterov evaluates the gradient at the point that the momentum leads to. In (3) theta is that
point, so the gradient is taken at the weights as they are. As in PyTorch, dampening does not apply
to the first gradient.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters


class SGD(Optimizer):
    """Gradient descent, equal to ``torch.optim.SGD`` step by step.

    Parameters
    ----------
    parameters, lr, weight_decay
        As for :class:`Optimizer`.
    momentum : float
        Factor of the velocity from step to step, equation (1).
    dampening : float
        Fraction of a new gradient that the velocity leaves out, equation (1).
    nesterov : bool
        Equation (3).

    Examples
    --------
    >>> weights = Parameters({"w": (2,)}, np.float64)
    >>> sgd = SGD(weights, lr=0.5)
    >>> weights.grad[...] = 1, -2
    >>> sgd.step()
    >>> weights.data
    array([-0.5,  1. ])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = self._non_negative("momentum", momentum)
        super().__init__(parameters, lr, weight_decay, ("momentum_buffer",) * bool(self.momentum))
        self.dampening = self._non_negative("dampening", dampening)
        self.nesterov = self._flag("nesterov", nesterov)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov with momentum {momentum} and dampening {dampening}, "
                "expected momentum > 0 and dampening 0"
            )

    def _update(self, theta: Array, g: Array) -> None:
        direction = g
        if self.momentum:
            u = self.moments["momentum_buffer"]
            if self.num_steps == 1:
                u[...] = g
            else:
                u *= self.momentum
                u += np.multiply(g, 1 - self.dampening, out=self._work)  # (1)
            direction = g + self.momentum * u if self.nesterov else u
        theta -= np.multiply(direction, self.lr, out=self._work)  # (2), (3)
