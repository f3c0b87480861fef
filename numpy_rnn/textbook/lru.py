"""LRU."""

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
    """Return h at every timestep."""
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
    """Return the gradient of every argument of :func:`lru_forward`."""
    x, h, u, W_ih, nu, theta, gamma = cache
    r, omega, s = np.exp(-np.exp(nu)), np.exp(theta), np.exp(gamma)  # (1) (H,)
    p, q = r * np.cos(omega), r * np.sin(omega)  # (2) (H,)
    dh_next = np.zeros_like(h[0])  # (4') (B, 2H)
    dx, dW_ih = np.zeros_like(x), np.zeros_like(W_ih)  # (0') (T, B, D), (2H, D)
    dp, dq, ds = np.zeros_like(p), np.zeros_like(q), np.zeros_like(s)  # (2') (H,)
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
