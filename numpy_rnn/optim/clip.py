"""Gradient clipping: one operation on one vector.

(1) g <- g min(1, max_norm / (|g| + 1e-6))            Pascanu, Mikolov & Bengio 2013
(2) g_i <- min(max(g_i, -clip_value), clip_value)     Mikolov 2012
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.parameters import Parameters


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`.

    As ``torch.nn.utils.clip_grad_norm_``, including its 1e-6: the factor is
    ``min(1, max_norm / (norm + 1e-6))``.

    Parameters
    ----------
    parameters : Parameters
        Whose ``grad`` is scaled.
    max_norm : float
        Above 0.

    Returns
    -------
    norm : float
        The Euclidean norm before. If it is not finite, the gradients are left as they are:
        there is no direction to keep.

    Raises
    ------
    ValueError
        If `max_norm` is not above 0.
    """
    _check_above_zero("clip_grad_norm", "max_norm", max_norm)
    grad = parameters.grad
    # In units of the largest entry, so that squares neither overflow nor vanish.
    largest = float(np.abs(grad).max(initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = grad / largest
    norm = largest * math.sqrt(float(scaled @ scaled))
    if math.isfinite(norm):
        grad *= min(1.0, max_norm / (norm + 1e-6))  # (1)
    return norm


def clip_grad_value(parameters: Parameters, clip_value: float) -> None:
    """Clip every gradient to [-clip_value, clip_value].

    Parameters
    ----------
    parameters : Parameters
        Whose ``grad`` is clipped.
    clip_value : float
        Above 0.

    Raises
    ------
    ValueError
        If `clip_value` is not above 0.
    """
    _check_above_zero("clip_grad_value", "clip_value", clip_value)
    np.clip(parameters.grad, -clip_value, clip_value, out=parameters.grad)  # (2)


def _check_above_zero(where: str, name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{where}: {name} is {value!r}, expected a number above 0")
