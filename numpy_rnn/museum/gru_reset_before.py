"""Room: the GRU, reset gate before the product: n = tanh(a_n + W_hn (r h))."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.gru import GRU_SHAPES
from numpy_rnn.museum.sigmoid import sigmoid


class GRUResetBeforeCache(NamedTuple):
    """What backward needs; gates are r, z, n."""

    x: Array
    h: list[Array]
    gates: Sequence[tuple[Array, ...]]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUResetBeforeCache]:
    """Return h at every step."""
    H = h0.shape[-1]
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih + b_hh
        r = sigmoid(a[:, :H] + h[t] @ W_hh[:H].T)
        z = sigmoid(a[:, H : 2 * H] + h[t] @ W_hh[H : 2 * H].T)
        n = np.tanh(a[:, 2 * H :] + (r * h[t]) @ W_hh[2 * H :].T)
        h.append((1 - z) * n + z * h[t])
        gates.append((r, z, n))
    return np.stack(h[1:]), GRUResetBeforeCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_reset_before_backward(dh: Array, cache: GRUResetBeforeCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    H = h[0].shape[-1]
    dx, dh_next = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    for t in reversed(range(len(x))):
        r, z, n = gates[t]
        dh_t = dh[t] + dh_next
        da_n = dh_t * (1 - z) * (1 - n**2)
        dm = da_n @ W_hh[2 * H :]
        da_r = dm * h[t] * r * (1 - r)
        da_z = dh_t * (h[t] - n) * z * (1 - z)
        da_rz = np.concatenate([da_r, da_z], axis=1)
        da = np.concatenate([da_rz, da_n], axis=1)
        dx[t] = da @ W_ih
        dW_ih += da.T @ x[t]
        dW_hh[: 2 * H] += da_rz.T @ h[t]
        dW_hh[2 * H :] += da_n.T @ (r * h[t])
        db_ih += da.sum(axis=0)
        db_hh += da.sum(axis=0)
        dh_next = dh_t * z + dm * r + da_rz @ W_hh[: 2 * H]
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


GRU_RESET_BEFORE = Room(
    "gru, reset before",
    gru_reset_before_forward,
    gru_reset_before_backward,
    GRU_SHAPES,
    ("r", "z", "n"),
)
_bug = partial(Exhibit, GRU_RESET_BEFORE)

GRU_RESET_BEFORE_EXHIBITS = [
    _bug(
        "state for reset state in the weight's gradient",
        "da_n.T @ (r * h[t])",
        "da_n.T @ h[t]",
        "W_hn multiplies r * h, the other two blocks multiply h.",
        ("W_hh", "gate n"),
    ),
    _bug(
        "carry through the reset state forgotten",
        " + dm * r",
        "",
        "h_{t-1} is used in four places; the one inside the product is overlooked.",
        ("h0",),
    ),
    _bug(
        "carry through the reset state without r",
        "dm * r",
        "dm",
        "dm is the gradient of r * h, not of h.",
        ("h0",),
    ),
    _bug(
        "carry through the gates forgotten",
        " + da_rz @ W_hh[: 2 * H]",
        "",
        "r and z depend on the state, too.",
        ("h0",),
    ),
    _bug(
        "reset gate without its product",
        "da_r = dm * h[t]",
        "da_r = da_n * h[t]",
        "The gradient jumps over W_hn; the shapes agree either way.",
        ("gate r",),
    ),
    _bug(
        "reset gate with the reset state",
        "da_r = dm * h[t]",
        "da_r = dm * (r * h[t])",
        "The derivative of a product is the other factor, not the product.",
        ("gate r",),
    ),
    _bug(
        "product not transposed",
        "dm = da_n @ W_hh[2 * H :]",
        "dm = da_n @ W_hh[2 * H :].T",
        "The block is square, so the wrong product has the right shape.",
        ("gate r",),
    ),
    _bug(
        "= for +=",
        "dW_hh[2 * H :] += da_n",
        "dW_hh[2 * H :] = da_n",
        "Assigning to a slice looks like filling in a block.",
        ("W_hh", "gate n"),
    ),
    _bug(
        "1 - z in the carry",
        "dh_next = dh_t * z",
        "dh_next = dh_t * (1 - z)",
        "Chung et al. exchange z and 1 - z; backward follows them, forward does not.",
        ("h0",),
    ),
]
