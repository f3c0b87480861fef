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

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from numpy_rnn.arguments import check_flag, check_non_negative, checked
from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters  # noqa: F401 (for the examples)


@dataclass(repr=False, eq=False)
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

    momentum: float = checked(0.0, check_non_negative)
    dampening: float = checked(0.0, check_non_negative)
    weight_decay: float = checked(0.0, check_non_negative)
    nesterov: bool = checked(default=False, check=check_flag)
    MOMENTS: ClassVar = {"momentum_buffer": "momentum"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"SGD: nesterov with momentum {self.momentum} and dampening {self.dampening}, "
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
