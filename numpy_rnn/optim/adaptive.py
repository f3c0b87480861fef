"""Adaptive optimisers: Adagrad, RMSprop, Adam and AdamW.

Each weight's step is divided by the root of its own squared gradients. Adagrad adds them up, the
others average them. With g the gradient of the t-th step, moments zero at first unless noted:

Adagrad (Duchi, Hazan & Singer 2011), s_0 = initial_accumulator_value; lr_decay is PyTorch's:

    (1) s_t = s_{t-1} + g^2
    (2) theta_t = theta_{t-1} - lr / (1 + (t - 1) lr_decay) g / (sqrt(s_t) + eps)

RMSprop (Tieleman & Hinton 2012, 6.5), centered as in Graves (2013), who puts eps inside the root:

    (3) s_t = alpha s_{t-1} + (1 - alpha) g^2
    (4) a_t = a_{t-1} + (1 - alpha) (g - a_{t-1})         centered
    (5) d_t = sqrt(s_t) + eps, or centered sqrt(max(s_t - a_t^2, 0)) + eps
    (6) theta_t = theta_{t-1} - lr g / d_t
    (7) u_t = momentum u_{t-1} + g / d_t;  theta_t = theta_{t-1} - lr u_t    with momentum

Adam (Kingma & Ba 2015):

    (8) m_t = m_{t-1} + (1 - beta_1) (g - m_{t-1})        running mean of g
    (9) v_t = beta_2 v_{t-1} + (1 - beta_2) g^2           running mean of g^2
    (10) vmax_t = max(vmax_{t-1}, v_t)                    with amsgrad (Reddi et al. 2018)
    (11) d_t = sqrt(v_t / (1 - beta_2^t)) + eps           with amsgrad: vmax_t instead of v_t
    (12) theta_t = theta_{t-1} - lr m_t / (1 - beta_1^t) / d_t

The divisions by 1 - beta^t remove the bias of moments that started at zero. Reddi et al. have no
such correction; here, as in PyTorch, it applies to the maximum too. As in the paper, eps is outside
the root. (8) is the paper's beta_1 m + (1 - beta_1) g, in the order in which PyTorch rounds.

Weight decay comes first. It is part of g, and so of the moments, except in AdamW (Loshchilov &
Hutter 2019). The paper's lambda is lr weight_decay:

    (13) theta_{t-1} <- (1 - lr weight_decay) theta_{t-1}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numpy_rnn.arguments import check_flag, check_non_negative, check_number, checked
from numpy_rnn.functional.types import Array
from numpy_rnn.optim.base import Optimizer
from numpy_rnn.parameters import Parameters  # noqa: F401 (for the examples)
from numpy_rnn.text import shown


def _check_decay_rate(where: object, name: str, value: float) -> float:
    """Return the decay rate of a running mean."""
    return check_number(where, name, value, lambda v: 0 <= v < 1, f"0 <= {name} < 1")


def _check_betas(where: object, name: str, value: Any) -> tuple[float, float]:
    """Return the decay rates of two running means."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{where}: {name} is {shown(value)}, expected two numbers")
    return _check_decay_rate(where, "beta1", value[0]), _check_decay_rate(where, "beta2", value[1])


@dataclass(repr=False, eq=False)
class Adagrad(Optimizer):
    """Adagrad, equal to ``torch.optim.Adagrad`` step by step.

    Parameters
    ----------
    parameters, lr, weight_decay
        As for :class:`Optimizer`.
    lr_decay : float
        Decay of the learning rate, equation (2).
    initial_accumulator_value : float
        s_0.
    eps : float
        Keeps (2) finite if it is above 0.

    Examples
    --------
    >>> Adagrad(Parameters({"w": (2,)}, np.float64), initial_accumulator_value=0.5).moments
    {'sum': array([0.5, 0.5])}
    """

    lr: float = checked(1e-2, check_non_negative)
    lr_decay: float = checked(0.0, check_non_negative)
    weight_decay: float = checked(0.0, check_non_negative)
    initial_accumulator_value: float = checked(0.0, check_non_negative)
    eps: float = checked(1e-10, check_non_negative)
    MOMENTS: ClassVar = {"sum": ""}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.moments["sum"].fill(self.initial_accumulator_value)

    def _update(self, theta: Array, g: Array) -> None:
        s, work = self.moments["sum"], self._work
        s += np.multiply(g, g, out=work)  # (1)
        np.sqrt(s, out=work)
        work += self.eps
        np.divide(g, work, out=work)
        work *= self.lr / (1 + (self.num_steps - 1) * self.lr_decay)
        theta -= work  # (2)


@dataclass(repr=False, eq=False)
class RMSprop(Optimizer):
    """RMSprop, equal to ``torch.optim.RMSprop`` step by step.

    Rounding can make the centered s_t - a_t^2 negative. Here it then counts as zero; PyTorch
    takes the root of it and the weight becomes NaN.

    Parameters
    ----------
    parameters, lr, weight_decay
        As for :class:`Optimizer`.
    alpha : float
        Decay rate of the mean of g^2.
    eps : float
        Keeps (6) finite if it is above 0.
    momentum : float
        Equation (7).
    centered : bool
        Equations (4) and (5).

    Examples
    --------
    >>> RMSprop(Parameters({"w": (2,)}, np.float64), centered=True).moments
    {'square_avg': array([0., 0.]), 'grad_avg': array([0., 0.])}
    """

    lr: float = checked(1e-2, check_non_negative)
    alpha: float = checked(0.99, _check_decay_rate)
    eps: float = checked(1e-8, check_non_negative)
    weight_decay: float = checked(0.0, check_non_negative)
    momentum: float = checked(0.0, check_non_negative)
    centered: bool = checked(default=False, check=check_flag)
    MOMENTS: ClassVar = {"square_avg": "", "grad_avg": "centered", "momentum_buffer": "momentum"}

    def _update(self, theta: Array, g: Array) -> None:
        s, work = self.moments["square_avg"], self._work
        np.multiply(g, g, out=work)
        work *= 1 - self.alpha
        s *= self.alpha
        s += work  # (3)
        if self.centered:
            a = self.moments["grad_avg"]
            np.subtract(g, a, out=work)
            work *= 1 - self.alpha
            a += work  # (4)
            np.multiply(a, a, out=work)
            np.subtract(s, work, out=work)
            np.maximum(work, 0, out=work)
            np.sqrt(work, out=work)
        else:
            np.sqrt(s, out=work)
        work += self.eps  # (5)
        np.divide(g, work, out=work)
        if self.momentum:
            u = self.moments["momentum_buffer"]
            u *= self.momentum
            u += work  # (7)
            np.copyto(work, u)
        work *= self.lr
        theta -= work  # (6), (7)


@dataclass(repr=False, eq=False)
class Adam(Optimizer):
    """Adam, equal to ``torch.optim.Adam`` step by step.

    Parameters
    ----------
    parameters, lr, weight_decay
        As for :class:`Optimizer`.
    betas : tuple of two floats
        Decay rates of the means of g and of g^2.
    eps : float
        Keeps (12) finite where a gradient has always been zero.
    amsgrad : bool
        Equation (10).

    Examples
    --------
    >>> Adam(Parameters({"w": (2,)}, np.float64), lr=0.1)
    Adam(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)
    """

    betas: tuple[float, float] = checked((0.9, 0.999), _check_betas)
    eps: float = checked(1e-8, check_non_negative)
    weight_decay: float = checked(0.0, check_non_negative)
    amsgrad: bool = checked(default=False, check=check_flag)
    MOMENTS: ClassVar = {"exp_avg": "", "exp_avg_sq": "", "max_exp_avg_sq": "amsgrad"}

    def _update(self, theta: Array, g: Array) -> None:
        beta1, beta2 = self.betas
        m, v, work = self.moments["exp_avg"], self.moments["exp_avg_sq"], self._work
        np.subtract(g, m, out=work)
        work *= 1 - beta1
        m += work  # (8)
        np.multiply(g, g, out=work)
        work *= 1 - beta2
        v *= beta2
        v += work  # (9)
        if self.amsgrad:
            v = np.maximum(self.moments["max_exp_avg_sq"], v, out=self.moments["max_exp_avg_sq"])
        root = math.sqrt(1 - beta2**self.num_steps)
        np.sqrt(v, out=work)
        work += self.eps * root  # (11), times root
        np.divide(m, work, out=work)
        work *= self.lr * root / (1 - beta1**self.num_steps)
        theta -= work  # (12)


@dataclass(repr=False, eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (13), equal to ``torch.optim.AdamW`` step by step.

    The parameters are those of :class:`Adam`; the default of `weight_decay` is 0.01.

    Examples
    --------
    >>> AdamW(Parameters({"w": (2,)}, np.float64)).weight_decay
    0.01
    """

    weight_decay: float = checked(1e-2, check_non_negative)

    def _decay(self, theta: Array, g: Array) -> Array:
        theta *= 1 - self.lr * self.weight_decay  # (13)
        return g
