"""A custom cell: the minimal gated unit (Zhou et al. 2016).

(1) a_t = W_ih x_t + b_ih          in two blocks: f, n
(2) f_t = sigma(a_f + U_f h_{t-1})
(3) n_t = tanh(a_n + U_n (f_t * h_{t-1}))
(4) h_t = (1 - f_t) * h_{t-1} + f_t * n_t
"""

from typing import Any

import numpy as np

from numpy_rnn import Cell, Recurrent
from numpy_rnn.functional import contract, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


def mgu_forward(x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array) -> tuple[Array, Any]:
    a, projection = linear_forward(x, W_ih, b_ih)  # (1)
    H = h0.shape[1]
    h = np.empty((len(a) + 1, *h0.shape), np.result_type(a, h0, W_hh))
    f, n = np.empty_like(h[1:]), np.empty_like(h[1:])
    h[0] = h0
    for t in range(len(a)):
        f[t] = 0.5 + 0.5 * np.tanh(0.5 * (a[t, :, :H] + h[t] @ W_hh[:H].T))  # (2)
        n[t] = np.tanh(a[t, :, H:] + (f[t] * h[t]) @ W_hh[H:].T)  # (3)
        h[t + 1] = (1 - f[t]) * h[t] + f[t] * n[t]  # (4)
    return h[1:], (projection, h, f, n, W_hh)


def mgu_backward(dh: Array | None, cache: Any, keep: Any = "") -> tuple[Any, ...]:
    projection, h, f, n, W_hh = cache
    T, B, H = f.shape
    dh = np.zeros_like(f) if dh is None else dh
    dz = np.empty((T, B, 2 * H), np.result_type(dh, h, W_hh))
    carry = np.zeros((B, H), dz.dtype)
    for t in reversed(range(T)):
        d = dh[t] + carry
        dz[t, :, H:] = d * f[t] * (1 - n[t] * n[t])  # (3')
        dfh = dz[t, :, H:] @ W_hh[H:]
        dz[t, :, :H] = (d * (n[t] - h[t]) + dfh * h[t]) * f[t] * (1 - f[t])  # (2')
        carry = d * (1 - f[t]) + dfh * f[t] + dz[t, :, :H] @ W_hh[:H]  # (4')
    dU_f, dU_n = contract(dz[..., :H], h[:-1], keep), contract(dz[..., H:], f * h[:-1], keep)
    dx, dW_ih, db_ih = linear_backward(dz, projection, keep)
    return dx, carry, dW_ih, np.concatenate([dU_f, dU_n], axis=-2), db_ih


class MGU(Recurrent):
    def cell(self, input_size: int) -> Cell:
        H = self.hidden_size
        weights = {"weight_ih": (2 * H, input_size), "weight_hh": (2 * H, H), "bias_ih": (2 * H,)}
        return Cell(mgu_forward, mgu_backward, weights, (H,))
