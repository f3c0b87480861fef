"""Cells as their users write them: a class with caches, a closure, a pair. Each can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array


class TanhRNN:
    """A class with caches: parameters in one dictionary, gradients in another."""

    def __init__(self, D: int, H: int, *, bug: bool = False) -> None:
        rng = np.random.default_rng(0)
        self.params = {
            "Wx": rng.standard_normal((D, H)) * 0.4,
            "Wh": rng.standard_normal((H, H)) * 0.4,
            "b": rng.standard_normal(H) * 0.1,
        }
        self.grads: dict[str, Array] = {}
        self.bug = bug

    def forward(self, x: Array) -> Array:
        p = self.params
        h = [np.zeros((x.shape[1], len(p["b"])), x.dtype)]
        for x_t in x:
            h.append(np.tanh(x_t @ p["Wx"] + h[-1] @ p["Wh"] + p["b"]))
        self.cache = x, h
        return np.stack(h[1:])

    def backward(self, dh: Array) -> Array:
        (x, h), p = self.cache, self.params
        self.grads = {name: np.zeros_like(value) for name, value in p.items()}
        dx, carry = np.zeros_like(x), np.zeros_like(h[0])
        for t in reversed(range(len(x))):
            dz = (dh[t] + carry) * (1 - h[t + 1] ** 2)
            self.grads["Wx"] += x[t].T @ dz
            if self.bug:
                self.grads["Wh"] = h[t].T @ dz
            else:
                self.grads["Wh"] += h[t].T @ dz
            self.grads["b"] += dz.sum(axis=0)
            dx[t], carry = dz @ p["Wx"].T, dz @ p["Wh"].T
        return dx


def gru_loss(x: Array, y: Array, H: int, *, bug: bool = False) -> Any:
    """A closure: theta -> (loss, gradient) of a GRU over one sequence, weights in one vector."""
    D = x.shape[1]

    def loss(theta: Array) -> tuple[Any, Array]:
        W, U = theta[: 3 * H * D].reshape(3, H, D), theta[3 * H * D :].reshape(3, H, H)
        hs, kept = [np.zeros(H, theta.dtype)], []
        for x_t in x:
            h = hs[-1]
            r, z = (0.5 * (1 + np.tanh((W[k] @ x_t + U[k] @ h) / 2)) for k in (0, 1))
            s = U[2] @ h
            n = np.tanh(W[2] @ x_t + r * s)
            hs.append((1 - z) * n + z * h)
            kept.append((r, z, s, n))
        dW, dU, carry = np.zeros_like(W), np.zeros_like(U), np.zeros(H, theta.dtype)
        for t in reversed(range(len(x))):
            (r, z, s, n), h = kept[t], hs[t]
            e = (hs[t + 1] - y[t]) + carry
            dn = e * (1 - z) * (1 - n * n)
            dr, dz = dn * s * r * (1 - r), e * (h - n) * z * (1 - z)
            ds = dn if bug else dn * r
            for k, (a, b) in enumerate(((dr, dr), (dz, dz), (dn, ds))):
                dW[k] += np.outer(a, x[t])
                dU[k] += np.outer(b, h)
            carry = e * z + U[0].T @ dr + U[1].T @ dz + U[2].T @ ds
        total = 0.5 * sum(np.sum((h - y_t) ** 2) for h, y_t in zip(hs[1:], y, strict=True))
        return total, np.concatenate([dW.ravel(), dU.ravel()])

    return loss


def lstm_forward(x: Array, h0: Array, c0: Array, W: Array, U: Array, b: Array) -> Any:
    """A pair that obeys the mirror rule."""
    h, c, kept = h0, c0, []
    hs, cs = [], []
    for x_t in x:
        z = (x_t @ W.T + h @ U.T + b).reshape(len(x_t), 4, -1)
        i, f, o = (0.5 * (1 + np.tanh(z[:, k] / 2)) for k in (0, 1, 3))
        g = np.tanh(z[:, 2])
        kept.append((h, c, i, f, g, o))
        c = f * c + i * g
        h = o * np.tanh(c)
        hs.append(h)
        cs.append(c)
    return (np.stack(hs), np.stack(cs)), (x, W, U, kept, cs)


def lstm_backward(dh: Array, dc: Array, cache: Any, *, bug: bool = False) -> Any:
    """Its backward pass; the bug takes the forget gate's slope from c_t, not c_(t-1)."""
    x, W, U, kept, cs = cache
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(len(U), x.dtype)
    carry_h, carry_c = np.zeros_like(dh[0]), np.zeros_like(dc[0])
    for t in reversed(range(len(x))):
        h, c, i, f, g, o = kept[t]
        tanh_c = np.tanh(cs[t])
        dh_t = dh[t] + carry_h
        dc_t = dc[t] + carry_c + dh_t * o * (1 - tanh_c**2)
        before = cs[t] if bug else c
        dz = np.concatenate(
            [
                dc_t * g * i * (1 - i),
                dc_t * before * f * (1 - f),
                dc_t * i * (1 - g * g),
                dh_t * tanh_c * o * (1 - o),
            ],
            axis=1,
        )
        dx[t], carry_h, carry_c = dz @ W, dz @ U, dc_t * f
        dW += dz.T @ x[t]
        dU += dz.T @ h
        db += dz.sum(axis=0)
    return dx, carry_h, carry_c, dW, dU, db
