"""How far a loss reaches back: the sizes of dL_t/dh_s, and of the steps in between.

    (1) A[t, s] = | dL_t / dh_s |                      L_t the loss of step t alone, s <= t
    (2) J_t = d state_t / d state_{t-1}                dL_t/dh_s is a product of t - s of these
    (3) rho_t = the largest |eigenvalue| of J_t        below 1: what passes the step shrinks,
                                                       in the long run

Every number comes from the pairs' own backward passes: (1) goes back once through a batch of T
copies of the sequence, copy t of which has the loss of step t; (2) goes back through one step of
as many copies as a state has numbers, with the identity for a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Recurrent


def influence(layer: Recurrent, x: Array, dy: Array) -> Array:
    """Return how much each state matters to the loss of each step: equation (1).

    Parameters
    ----------
    layer : Recurrent
        Of one layer and direction.
    x : (T, D) array
        One sequence.
    dy : (T, H) array
        What the loss of each step sends to the output of that step.

    Returns
    -------
    A : (T, T) array
        Row t is the loss of step t, column s the state after step s; 0 for s > t.
    """
    T = len(x)
    caches, d = _steps(layer, x, copies=T)
    A = np.zeros((T, T))
    for s in reversed(range(T)):
        d[0][s] += dy[s]
        A[:, s] = np.sqrt(np.sum(d[0] * d[0], axis=1))
        d = _back(layer, d, caches[s])
    return A


def jacobians(layer: Recurrent, x: Array) -> Array:
    """Return what a change of the state does to the next one: equation (2).

    Parameters
    ----------
    layer : Recurrent
        Of one layer and direction.
    x : (T, D) array
        One sequence.

    Returns
    -------
    J : (T, S, S) array
        Of each step; S numbers are a state, the LSTM's h and c one after the other.
    """
    S = sum(layer.state_sizes)
    caches, _ = _steps(layer, x, copies=S)
    identity = np.eye(S, dtype=layer.parameters.dtype)
    cuts = np.cumsum(layer.state_sizes)[:-1]
    rows = [_back(layer, np.split(identity, cuts, axis=1), cache) for cache in caches]
    return np.array([np.concatenate(parts, axis=1) for parts in rows]).reshape(-1, S, S)


def spectral_radii(J: Array) -> Array:
    """Return the largest absolute eigenvalue of each Jacobian, (T,): equation (3)."""
    radii: Array = np.abs(np.linalg.eigvals(J)).max(axis=-1, initial=0)
    return radii


def by_distance(A: Array) -> Array:
    """Return how much a state matters k steps later, against at once: the median over the steps.

    Parameters
    ----------
    A : (T, T) array
        From :func:`influence`.

    Returns
    -------
    share : (T,) array
        Of A[t, t - k] / A[t, t], for k = 0 to T - 1; steps without a loss are left out, and
        where there is no other, it is 0.
    """
    own = np.diagonal(A)
    counted = own > 0
    share = np.zeros(len(A))
    for k in range(len(A)):
        if counted[k:].any():
            share[k] = np.median(np.diagonal(A, -k)[counted[k:]] / own[k:][counted[k:]])
    return share


def saturation(h: Array, bound: float = 0.95) -> Array:
    """Return the share of units beyond +-`bound` at each step, (T,), of a tanh layer's (T, H)."""
    share: Array = np.mean(np.abs(h) > bound, axis=1)
    return share


def _weights(layer: Recurrent) -> list[Array]:
    values, names = layer.parameters.values, layer.cell(layer.input_size).weights
    zero = layer.parameters.dtype.type(0)
    return [
        values.get(f"{name}_l0", np.full(shape, zero)) for name, shape in names.items()
    ]  # biases that a layer does not have are zero


def _steps(layer: Recurrent, x: Array, copies: int) -> tuple[list[Any], list[Array]]:
    """Run copies of a sequence step by step: the cache of each step, and zeros like a state."""
    if layer.num_layers != 1 or layer.bidirectional:
        raise ValueError(f"{layer!r}: expected one layer and one direction")
    cell, weights = layer.cell(layer.input_size), _weights(layer)
    zeros = [np.zeros((copies, size), layer.parameters.dtype) for size in cell.states]
    states, caches = zeros, []
    for x_t in x:
        row = np.broadcast_to(x_t, (1, copies, *x_t.shape))
        out, cache = cell.forward(np.ascontiguousarray(row), *states, *weights)
        states = [trajectory[0] for trajectory in (out if isinstance(out, tuple) else (out,))]
        caches.append(cache)
    return caches, [zero.copy() for zero in zeros]


def _back(layer: Recurrent, d: list[Array], cache: Any) -> list[Array]:
    """Take gradients of a state one step back."""
    gradients = layer.cell(layer.input_size).backward(*(part[None] for part in d), cache)
    return list(gradients[1 : 1 + len(d)])
