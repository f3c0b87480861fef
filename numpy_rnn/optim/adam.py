"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019).

With g the gradient of the t-th step and m_0 = v_0 = vmax_0 = 0:

    (1) m_t = m_{t-1} + (1 - beta_1) (g - m_{t-1})        running mean of g
    (2) v_t = beta_2 v_{t-1} + (1 - beta_2) g^2           running mean of g^2
    (3) vmax_t = max(vmax_{t-1}, v_t)                     with amsgrad (Reddi et al. 2018)
    (4) d_t = sqrt(v_t / (1 - beta_2^t)) + eps            with amsgrad: vmax_t instead of v_t
    (5) theta_t = theta_{t-1} - lr m_t / (1 - beta_1^t) / d_t

The divisions by 1 - beta^t remove the bias of moments that started at zero. Reddi et al. have no
such correction; here, as in PyTorch, it applies to the maximum too. As in the paper, eps is outside
the root. (1) is the paper's beta_1 m + (1 - beta_1) g, in the order in which PyTorch rounds.

Weight decay comes first. Adam's goes through the moments, AdamW's does not:

    (6) g <- g + weight_decay theta_{t-1}                 Adam
    (7) theta_{t-1} <- (1 - lr weight_decay) theta_{t-1}  AdamW; the paper's lambda is
                                                          lr weight_decay
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters


class Adam(Optimizer):
    """Adam, equal to ``torch.optim.Adam`` step by step.

    Parameters
    ----------
    parameters : Parameters
        The parameters to update.
    lr : float
        Learning rate.
    betas : tuple of two floats
        Decay rates of the means of g and of g^2.
    eps : float
        Keeps (5) finite where a gradient has always been zero.
    weight_decay : float
        Equation (6).
    amsgrad : bool
        Equation (3).

    Examples
    --------
    >>> Adam(Parameters({"w": (2,)}, np.float64), lr=0.1)
    Adam(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay", "amsgrad")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        self.amsgrad = self._flag("amsgrad", amsgrad)
        moments = ("exp_avg", "exp_avg_sq") + ("max_exp_avg_sq",) * amsgrad
        super().__init__(parameters, lr, weight_decay, moments)
        if np.shape(betas) != (2,):
            raise TypeError(f"{type(self).__name__}: betas is {betas!r}, expected two numbers")
        self.betas = (self._decay_rate("beta1", betas[0]), self._decay_rate("beta2", betas[1]))
        self.eps = self._non_negative("eps", eps)

    def _update(self, theta: Array, g: Array) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * theta  # (6)
        self._adam(theta, g)

    def _adam(self, theta: Array, g: Array) -> None:
        beta1, beta2 = self.betas
        m, v, work = self.moments["exp_avg"], self.moments["exp_avg_sq"], self._work
        np.subtract(g, m, out=work)
        work *= 1 - beta1
        m += work  # (1)
        np.multiply(g, g, out=work)
        work *= 1 - beta2
        v *= beta2
        v += work  # (2)
        if self.amsgrad:
            v = np.maximum(self.moments["max_exp_avg_sq"], v, out=self.moments["max_exp_avg_sq"])
        root = math.sqrt(1 - beta2**self.num_steps)
        np.sqrt(v, out=work)
        work += self.eps * root  # (4), times root
        np.divide(m, work, out=work)
        work *= self.lr * root / (1 - beta1**self.num_steps)
        theta -= work  # (5)


class AdamW(Adam):
    """Adam with decoupled weight decay, equal to ``torch.optim.AdamW`` step by step.

    Parameters
    ----------
    parameters, lr, betas, eps, amsgrad
        As for :class:`Adam`.
    weight_decay : float
        Equation (7).

    Examples
    --------
    >>> AdamW(Parameters({"w": (2,)}, np.float64)).weight_decay
    0.01
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)

    def _update(self, theta: Array, g: Array) -> None:
        theta *= 1 - self.lr * self.weight_decay  # (7)
        self._adam(theta, g)
