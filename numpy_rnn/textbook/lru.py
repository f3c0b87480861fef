"""The LRU, a linear recurrent unit: at every step a complex number is shrunk, turned and added to.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    re, im         the two halves of h_t: real and imaginary part of one complex number a unit
    u_t            what the input sends to them: blocks u_re and u_im, written without t
    r, omega, s    factor and angle of one step, and scale of the input, the same at every timestep
    p, q           real and imaginary part of lambda = r e^(i omega)
    W_ih, nu, theta, gamma   weights; by (1), any nu gives an r between 0 and 1
    T, B, D, H     number of timesteps, sequences in the batch, inputs, units
    L              the loss: one number, computed from h_1, ..., h_T outside this page
    dX             the gradient dL/dX, of X's shape. So du_t is dL/du_t: its element j is the change
                   of L per change of element j of u_t, all consequences of that change included.
                   Only dh[t], defined below, leaves some consequences out
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k
The equations are for one sequence, with column vectors. The code holds a batch, one sequence a
row: it writes W x as x @ W.T, and W^T du as du @ W.

Forward, t = 1, ..., T
    (0)  given: x_t, h_0, W_ih, nu, theta, gamma
    (1)  r = exp(-exp(nu)),  omega = exp(theta),  s = exp(gamma)
    (2)  p = r * cos(omega),  q = r * sin(omega)
    (3)  u_t = W_ih x_t
    (4)  h_t = lambda h_{t-1} + s u_t as complex numbers, which in real ones is
         re_t = p * re_{t-1} - q * im_{t-1} + s * u_re
         im_t = q * re_{t-1} + p * im_{t-1} + s * u_im

Paths from h_t to the loss

         L                                    L
         ^                                    ^
         | dre[t]                             | dim[t]
        re_t ---* p---> re_{t+1} <---* -q--- im_t
         |                                    |
         +------* q---> im_{t+1} <---* p------+

    Three arrows leave re_t: to the loss, to re_{t+1} with factor p, to im_{t+1} with factor q.
    Three arrows leave im_t: to the loss, to re_{t+1} with factor -q, to im_{t+1} with factor p.
    Count only the arrow that goes directly to the loss, and hold everything else fixed: this is a
    partial derivative of L. It is written dh[t], with brackets, and given to the backward function.
    The total derivative counts every arrow. It is written dh_t, without brackets.
    The halves of dh[t] are dre[t] and dim[t], those of dh_t are dre_t and dim_t.

The chain rule, in two parts
    A. Where several arrows leave a quantity, the gradients that come back along them are added.
    B. Along one arrow, the gradient at its head is multiplied by the derivative of its equation:
       y = v + w      dv = dy                 factor 1
       y = v * w      dv = dy * w             the other factor
       y = W v        y_j = sum_k W_jk v_k
                      dv = W^T dy             dv_k = sum_j W_jk dy_j     v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k           W_jk is in y_j alone
       y = exp(v)     dv = dy * y             exp' = exp; likewise cos' = -sin and sin' = cos

Backward, t = T, ..., 1. (n') is the gradient of the left side of (n), (0') that of what is given.
    (4') dre_t = dre[t] + p * dre_{t+1} + q * dim_{t+1}      A and B: the three arrows from re_t
         dim_t = dim[t] + p * dim_{t+1} - q * dre_{t+1}      the three arrows from im_t
    (3') du_re = s * dre_t,  du_im = s * dim_t               s * u_re is in re_t alone
    (2') dp = sum_t dre_t * re_{t-1} + dim_t * im_{t-1}      p multiplies re in re_t, im in im_t
         dq = sum_t dim_t * re_{t-1} - dre_t * im_{t-1}      q multiplies re in im_t, -im in re_t
    (1') ds = sum_t dre_t * u_re + dim_t * u_im              s multiplies u_re and u_im
         dr = dp * cos(omega) + dq * sin(omega)              r is in p and in q
         domega = dq * p - dp * q                            p' = -q and q' = p, as omega changes

    The recursion begins at t = T. No step follows: dre_{T+1} = dim_{T+1} = 0. It ends at h_0. The
    loss does not read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same p, q, s and W_ih are used at every timestep: arrows leave them at each t. By A their
    gradients are sums over t: += in the code. The terms, listed by t, are called the ledger.
    Running this page prints it. lru_backward in numpy_rnn.functional returns that of the weights
    for keep="t".
    (0') dW_ih = sum_t du_t x_t^T            dx_t = W_ih^T du_t: used at one timestep only, no sum
         dnu = dr * r * (-exp(nu))           r = exp(v) with v = -exp(nu), and dv/dnu = v
         dtheta = domega * omega             omega = exp(theta)
         dgamma = ds * s                     s = exp(gamma)
         dh_0: p * dre_1 + q * dim_1, and p * dim_1 - q * dre_1

In the code t counts from 0: its t is step t + 1 above. x[t], dh[t] and u[t] belong to that step.
h[t] is the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1]. du.T @ x[t]
and .sum(axis=0) also add up the sequences of the batch. dh_next is what (4') takes from the step
after, computed one iteration ago. h_re and h_im are re_{t-1} and im_{t-1}.

Orvieto et al. (2023, arXiv:2303.06349).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class LRUCache(NamedTuple):
    """What :func:`lru_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, 2H): h_0 to h_T
    u: list[Array]  # (T, B, 2H)
    W_ih: Array  # (2H, D)
    nu: Array  # (H,)
    theta: Array  # (H,)
    gamma: Array  # (H,)


def lru_forward(
    x: Array, h0: Array, W_ih: Array, nu: Array, theta: Array, gamma: Array
) -> tuple[Array, LRUCache]:
    """Return h at every timestep, (T, B, 2H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, 2H) arrays; a state is its real and its imaginary half
    W_ih : (2H, D) array, the same two blocks
    nu, theta, gamma : (H,) arrays

    Examples
    --------
    >>> x, h0, W = np.zeros((2, 1, 1)), np.array([[1.0, 0.0]]), np.ones((2, 1))
    >>> nu, theta = np.log([np.log(2)]), np.log([np.pi / 2])  # halve it and turn it by 90 degrees
    >>> h, cache = lru_forward(x, h0, W, nu, theta, np.zeros(1))
    >>> h.ravel().round(4) + 0.0
    array([ 0.  ,  0.5 , -0.25,  0.  ])
    """
    r, omega, s = np.exp(-np.exp(nu)), np.exp(theta), np.exp(gamma)  # (1) (H,)
    p, q = r * np.cos(omega), r * np.sin(omega)  # (2) (H,)
    h, u = [h0], []
    for t in range(len(x)):
        u.append(x[t] @ W_ih.T)  # (3) (B, 2H)
        u_re, u_im = np.split(u[t], 2, axis=1)  # (3) (B, H)
        h_re, h_im = np.split(h[t], 2, axis=1)  # (4) (B, H)
        re = p * h_re - q * h_im + s * u_re  # (4) (B, H)
        im = q * h_re + p * h_im + s * u_im  # (4) (B, H)
        h.append(np.concatenate([re, im], axis=1))  # (4) (B, 2H)
    return np.stack(h)[1:], LRUCache(x, h, u, W_ih, nu, theta, gamma)


def lru_backward(dh: Array, cache: LRUCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dnu, dtheta and dgamma, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, 2H) array and LRUCache
    """
    x, h, u, W_ih, nu, theta, gamma = cache
    r, omega, s = np.exp(-np.exp(nu)), np.exp(theta), np.exp(gamma)  # (1) (H,)
    p, q = r * np.cos(omega), r * np.sin(omega)  # (2) (H,)
    dh_next = np.zeros_like(h[0])  # (4') (B, 2H)
    dx, dW_ih = np.zeros_like(x), np.zeros_like(W_ih)  # (0') (T, B, D), (2H, D)
    dp, dq = np.zeros_like(p), np.zeros_like(q)  # (2') (H,)
    ds = np.zeros_like(s)  # (1') (H,)
    for t in reversed(range(len(x))):
        u_re, u_im = np.split(u[t], 2, axis=1)  # (3) (B, H)
        h_re, h_im = np.split(h[t], 2, axis=1)  # (4) (B, H)
        dh_t = dh[t] + dh_next  # (4') (B, 2H)
        dre, dim = np.split(dh_t, 2, axis=1)  # (4') (B, H)
        du = np.concatenate([s * dre, s * dim], axis=1)  # (3') (B, 2H)
        dp += (dre * h_re + dim * h_im).sum(axis=0)  # (2') (H,)
        dq += (dim * h_re - dre * h_im).sum(axis=0)  # (2') (H,)
        ds += (dre * u_re + dim * u_im).sum(axis=0)  # (1') (H,)
        dx[t] = du @ W_ih  # (0') (B, D)
        dW_ih += du.T @ x[t]  # (0') (2H, D)
        dh_next = np.concatenate([p * dre + q * dim, p * dim - q * dre], axis=1)  # (4') (B, 2H)
    dr = dp * np.cos(omega) + dq * np.sin(omega)  # (1') (H,)
    domega = dq * p - dp * q  # (1') (H,)
    dnu = dr * r * -np.exp(nu)  # (0') (H,)
    dtheta = domega * omega  # (0') (H,)
    dgamma = ds * s  # (0') (H,)
    return dx, dh_next, dW_ih, dnu, dtheta, dgamma


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "2H D", "nu": "H", "theta": "H", "gamma": "H"}
    show(lru_forward, lru_backward, {"x": "T B D", "h0": "B 2H"} | weights)
