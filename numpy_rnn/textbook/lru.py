"""The LRU, a linear recurrent unit: its complex state is scaled and rotated, and the input added.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    re, im         the two halves of h_t: real and imaginary parts of one complex number per unit
    u_t            what the input adds to them: blocks u_re and u_im, written without t
    r, omega, s    factor and angle of one step, and scale of the input, the same at every timestep
    p, q           real and imaginary part of lambda = r e^(i omega)
    W_ih, nu, theta, gamma   weights (ih: input to hidden); by (1), 0 < r < 1 for any nu
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
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
    dh[t], with brackets, counts only the direct arrow to the loss: a partial derivative of L, given
    to the backward function. dh_t counts every arrow: it is the total derivative.
    The halves of dh[t] are dre[t] and dim[t], those of dh_t are dre_t and dim_t.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = v + w      dv = dy,  dw = dy       factor 1
       y = v - w      dv = dy,  dw = -dy      factors 1 and -1; y = 1 - v likewise: dv = -dy
       y = v * w      dv = dy * w             the other factor; dw = dy * v
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone
       y = exp(v)     dv = dy * y             exp' = exp; likewise cos' = -sin and sin' = cos

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (4') dre_t = dre[t] + p * dre_{t+1} + q * dim_{t+1}      the three arrows from re_t
         dim_t = dim[t] + p * dim_{t+1} - q * dre_{t+1}      the three arrows from im_t
    (3') du_re = s * dre_t,  du_im = s * dim_t               s * u_re is in re_t alone
    (2') dp = sum_t dre_t * re_{t-1} + dim_t * im_{t-1}      p multiplies re in re_t, im in im_t
         dq = sum_t dim_t * re_{t-1} - dre_t * im_{t-1}      q multiplies re in im_t, -im in re_t
    (1') ds = sum_t dre_t * u_re + dim_t * u_im              s multiplies u_re and u_im
         dr = dp * cos(omega) + dq * sin(omega)              r is in p and in q
         domega = dq * p - dp * q                            p' = -q and q' = p, as omega changes

    Time runs backwards: dh_{t+1} must be complete before dh_t. At t = T no step follows, so
    dh_{T+1} = 0. The loss does not read h_0 directly: dh_0 has only the terms of step 1.

Gradients of what was given
    p, q, s and W_ih are used at each t. Each use is an arrow, so their gradients are sums over t:
    += in the code. Term t is the whole effect on L, at step t and every later step, of the use at
    step t. The terms are the ledger: run this page. Those of the weights are also returned by
    functional.lru_backward(..., keep="t").
    (0') dW_ih = sum_t du_t x_t^T            dx_t = W_ih^T du_t: used at one timestep only, no sum
         dnu = dr * r * (-exp(nu))           r = exp(v) with v = -exp(nu), and dv/dnu = v
         dtheta = domega * omega             omega = exp(theta)
         dgamma = ds * s                     s = exp(gamma)
         dh_0: p * dre_1 + q * dim_1, and p * dim_1 - q * dre_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T du is du @ W. du.T @ x[t]
and .sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, u[t] is u_{t+1},
and dh[t] belongs to h_{t+1}. But h[k] is h_k, not shifted. So h_re and h_im, the halves of h[t],
are re_{t-1} and im_{t-1}. Easy mistake: h[t + 1]. Its shape fits: no error appears. dh_next is what
(4') takes from step t + 1.

Orvieto et al. (2023, arXiv:2303.06349).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def lru_forward(
    x: Array, h0: Array, W_ih: Array, nu: Array, theta: Array, gamma: Array
) -> tuple[Array, Cache]:
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
    return np.stack(h)[1:], (x, h, u, W_ih, nu, theta, gamma)


def lru_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dnu, dtheta and dgamma, each shaped like its argument.

    dh : (T, B, 2H) array, the partial derivative of L with respect to each h_t: dh[t] above.
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
