"""Gradient clipping: one operation on one vector.

(1) g <- g min(1, max_norm / (|g| + 1e-6))            Pascanu, Mikolov & Bengio 2013
(2) g_i <- min(max(g_i, -clip_value), clip_value)     Mikolov 2012
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.arguments import check_above_zero
from numpy_rnn.parameters import Parameters, check_parameters


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`, equation (1).

    The factor is that of ``torch.nn.utils.clip_grad_norm_``, including its 1e-6.

    Parameters
    ----------
    parameters : Parameters
        Its ``grad`` is scaled.
    max_norm : float
        A number above 0. With infinity the norm is only measured.

    Returns
    -------
    norm : float
        The Euclidean norm before clipping. If it is not finite, the gradients stay unchanged.

    Examples
    --------
    >>> weights = Parameters({"w": (2,)}, np.float64)
    >>> weights.grad[...] = 3, 4
    >>> clip_grad_norm(weights, max_norm=1.0)
    5.0
    >>> weights.grad.round(3)
    array([0.6, 0.8])
    """
    if type(parameters) is not Parameters or type(max_norm) is not float or not max_norm > 0:
        check_parameters("clip_grad_norm", parameters)
        max_norm = check_above_zero("clip_grad_norm", "max_norm", max_norm)
    grad = parameters.grad
    # In units of the largest entry, so that the squares neither overflow nor vanish.
    largest = float(np.abs(grad).max(initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = grad / largest
    scaled *= scaled
    norm = largest * math.sqrt(float(np.add.reduce(scaled)))  # pairwise, unlike a dot product
    if math.isfinite(norm):
        grad *= min(1.0, max_norm / (norm + 1e-6))  # (1)
    return norm


def clip_grad_value(parameters: Parameters, clip_value: float) -> None:
    """Clip every gradient to [-clip_value, clip_value], equation (2).

    Parameters
    ----------
    parameters : Parameters
        Its ``grad`` is clipped.
    clip_value : float
        A number above 0.

    Examples
    --------
    >>> weights = Parameters({"w": (2,)}, np.float64)
    >>> weights.grad[...] = 3, -0.5
    >>> clip_grad_value(weights, 1.0)
    >>> weights.grad
    array([ 1. , -0.5])
    """
    grad = check_parameters("clip_grad_value", parameters).grad
    check_above_zero("clip_grad_value", "clip_value", clip_value)
    np.clip(grad, -clip_value, clip_value, out=grad)  # (2)
