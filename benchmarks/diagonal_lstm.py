"""ADBench's LSTM as a custom cell of numpy_rnn, derived by hand, and its loss.

One layer, whose weights are vectors because its matrices are diagonal:

    (1) f_t = sigma(w_f * x_t + b_f)
    (2) i_t = sigma(w_i * h_{t-1} + b_i)
    (3) o_t = sigma(w_o * x_t + b_o)
    (4) g_t = tanh(w_g * h_{t-1} + b_g)
    (5) c_t = f_t * c_{t-1} + i_t * g_t
    (6) h_t = o_t * tanh(c_t)

f and o read the input only, so all their steps are computed at once, forward and backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn import Cell, Recurrent
from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.types import Array

Pair = tuple[Array, Array]


def sigmoid(v: Array) -> Array:
    """Return the logistic function."""
    half: Array = 0.5 + 0.5 * np.tanh(0.5 * v)
    return half


def cell_forward(x: Array, h0: Array, c0: Array, w: Array, b: Array) -> tuple[Pair, Any]:
    """Return h and c at every step, (T, B, H) each, and the cache. w and b hold f, i, o, g."""
    (w_f, w_i, w_o, w_g), (b_f, b_i, b_o, b_g) = np.split(w, 4), np.split(b, 4)
    f, o = sigmoid(x * w_f + b_f), sigmoid(x * w_o + b_o)  # (1), (3)
    W, b_ig = np.stack([0.5 * w_i, w_g])[:, None], np.stack([0.5 * b_i, b_g])[:, None]
    h, c = (np.empty((len(x) + 1, *h0.shape), np.result_type(f, h0, c0)) for _ in range(2))
    ig, tanh_c = np.empty((len(x), 2, *h0.shape), h.dtype), np.empty_like(h[1:])
    h[0], c[0] = h0, c0
    for t in range(len(x)):
        i, g = np.tanh(W * h[t] + b_ig, out=ig[t])  # (4), and (2) by sigma(v) = (1 + tanh(v/2))/2
        i *= 0.5
        i += 0.5
        c[t + 1] = f[t] * c[t] + i * g  # (5)
        h[t + 1] = o[t] * np.tanh(c[t + 1], out=tanh_c[t])  # (6)
    return (h[1:], c[1:]), (x, h, c, f, o, ig, tanh_c, w)


def cell_backward(
    dh: Array | None, dc: Array | None, cache: Any, keep: Keep = ""
) -> tuple[Array, ...]:
    """Return dx, dh0, dc0, dw and db."""
    x, h, c, f, o, ig, tanh_c, w = cache
    i, g = ig[:, 0], ig[:, 1]
    w_f, w_i, w_o, w_g = np.split(w, 4)
    to_c = o * (1 - tanh_c * tanh_c)  # (6') by c_t
    to_z = np.stack([g * i * (1 - i), i * (1 - g * g)], axis=1)  # (5') by the sums of (2) and (4)
    d_h, d_c = np.zeros((2, *h.shape), np.result_type(h, *[d for d in (dh, dc) if d is not None]))
    if dh is not None:
        d_h[1:] = dh
    if dc is not None:
        d_c[1:] = dc
    W, dz = np.stack([w_i, w_g])[:, None], np.empty(to_z.shape, d_h.dtype)
    for t in reversed(range(len(x))):
        d_c[t + 1] += d_h[t + 1] * to_c[t]
        np.multiply(to_z[t], d_c[t + 1], out=dz[t])
        d_h[t] += (W * dz[t]).sum(axis=0)  # (2'), (4'): both read h_{t-1}
        d_c[t] += d_c[t + 1] * f[t]  # (5') by c_{t-1}
    df, do = d_c[1:] * c[:-1] * f * (1 - f), d_h[1:] * tanh_c * o * (1 - o)  # (5'), (6')
    sums = np.concatenate([df, dz[:, 0], do, dz[:, 1]], axis=-1)  # (T, B, 4H)
    read = np.concatenate([x, h[:-1], x, h[:-1]], axis=-1)
    dw, db = contract_bias(sums * read, keep), contract_bias(sums, keep)
    return df * w_f + do * w_o, d_h[0], d_c[0], dw, db


class DiagonalLSTM(Recurrent):
    """The layer; num_layers stacks it."""

    def cell(self, input_size: int) -> Cell:
        """Return the cell. Input and state have the same size."""
        H = input_size
        return Cell(cell_forward, cell_backward, {"weight": (4 * H,), "bias": (4 * H,)}, (H, H))


def objective_forward(main: Array, extra: Array, state: Array, sequence: Array) -> tuple[Any, Any]:
    """Return ADBench's loss: the mean of -target * log_softmax, with 2 added to its sum.

    `main` has the rows w and b of each layer, `state` their h0 and c0. `extra` has a factor of the
    input, and factor and offset of the output.
    """
    x, target = sequence[:-1, None], sequence[1:, None]  # B = 1
    h, caches = x * extra[0], []
    for w, b, h0, c0 in zip(main[0::2], main[1::2], state[0::2], state[1::2], strict=True):
        (h, _), cache = cell_forward(h, h0[None], c0[None], w, b)
        caches.append(cache)
    y = h * extra[1] + extra[2]
    exp = np.exp(y)
    total = 2 + exp.sum(axis=-1, keepdims=True)
    log_p = y - np.log(total)
    loss = -np.sum(target * log_p) / target.size
    return loss, (caches, extra, x, h, target, exp / total, log_p)


def objective_backward(dloss: Any, cache: Any) -> tuple[Array, ...]:
    """Return the gradients by main, extra, state and sequence."""
    caches, extra, x, h, target, p, log_p = cache
    scale = dloss / target.size
    dy = scale * (p * target.sum(axis=-1, keepdims=True) - target)
    d = dy * extra[1]
    d_main: list[Array] = []
    d_state: list[Array] = []
    for inner in reversed(caches):
        d, dh0, dc0, dw, db = cell_backward(d, None, inner)
        d_main[:0], d_state[:0] = (dw, db), (dh0[0], dc0[0])
    d_extra = np.stack([(d * x).sum(axis=(0, 1)), (dy * h).sum(axis=(0, 1)), dy.sum(axis=(0, 1))])
    d_sequence = np.zeros((len(x) + 1, x.shape[2]), d.dtype)
    d_sequence[:-1] += d[:, 0] * extra[0]
    d_sequence[1:] -= scale * log_p[:, 0]
    return np.stack(d_main), d_extra, np.stack(d_state), d_sequence
