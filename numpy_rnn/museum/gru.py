"""Room: the GRU, reset gate after the product: n = tanh(a_n + r (W_hn h + b_hn))."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.sigmoid import sigmoid


class GRUCache(NamedTuple):
    """What backward needs; gates are r, z, n and the state's part of n."""

    x: Array
    h: list[Array]
    gates: Sequence[tuple[Array, ...]]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array


def gru_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUCache]:
    """Return h at every step."""
    H = h0.shape[-1]
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih
        s = h[t] @ W_hh.T + b_hh
        r = sigmoid(a[:, :H] + s[:, :H])
        z = sigmoid(a[:, H : 2 * H] + s[:, H : 2 * H])
        n = np.tanh(a[:, 2 * H :] + r * s[:, 2 * H :])
        h.append((1 - z) * n + z * h[t])
        gates.append((r, z, n, s[:, 2 * H :]))
    return np.stack(h[1:]), GRUCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_backward(dh: Array, cache: GRUCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dx, dh_next = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    for t in reversed(range(T)):
        r, z, n, s_n = gates[t]
        dh_t = dh[t] + dh_next
        dn = dh_t * (1 - z)
        dz = dh_t * (h[t] - n)
        da_n = dn * (1 - n**2)
        dr = da_n * s_n
        da_r = dr * r * (1 - r)
        da_z = dz * z * (1 - z)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        ds = np.concatenate([da_r, da_z, da_n * r], axis=1)
        dx[t] = da @ W_ih
        dW_ih += da.T @ x[t]
        dW_hh += ds.T @ h[t]
        db_ih += da.sum(axis=0)
        db_hh += ds.sum(axis=0)
        dh_next = dh_t * z + ds @ W_hh
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


GRU_SHAPES = {
    "x": "T B D",
    "h0": "B H",
    "W_ih": "3H D",
    "W_hh": "3H H",
    "b_ih": "3H",
    "b_hh": "3H",
}
GRU = Room("gru", gru_forward, gru_backward, GRU_SHAPES, ("r", "z", "n"))
_bug = partial(Exhibit, GRU)

GRU_EXHIBITS = [
    _bug(
        "1 - z in the carry",
        "dh_next = dh_t * z + ds",
        "dh_next = dh_t * (1 - z) + ds",
        "Papers exchange z and 1 - z; backward follows another one than forward.",
        ("h0",),
    ),
    _bug(
        "z for 1 - z",
        "dn = dh_t * (1 - z)",
        "dn = dh_t * z",
        "Papers exchange z and 1 - z; backward follows another one than forward.",
        ("dx",),
    ),
    _bug(
        "direct carry forgotten",
        "dh_next = dh_t * z + ds @ W_hh",
        "dh_next = ds @ W_hh",
        "h_{t-1} is used four times; the one without a weight is overlooked.",
        ("h0",),
    ),
    _bug(
        "carry through the weights forgotten",
        "dh_next = dh_t * z + ds @ W_hh",
        "dh_next = dh_t * z",
        "The direct carry is most of the gradient where z is near 1.",
        ("h0",),
    ),
    _bug(
        "direct carry without the carry",
        "dh_next = dh_t * z + ds",
        "dh_next = dh[t] * z + ds",
        "dh[t] for dh_t: one has the carry, the other has not.",
        ("dx",),
    ),
    _bug(
        "sign of the update gate",
        "dz = dh_t * (h[t] - n)",
        "dz = dh_t * (n - h[t])",
        "Right for the papers with h = z n + (1 - z) h.",
        ("gate z",),
    ),
    _bug(
        "update gate sees the new state",
        "dz = dh_t * (h[t] - n)",
        "dz = dh_t * (h[t + 1] - n)",
        "z multiplies h_{t-1}, which is h[t] in a list that starts with h0.",
        ("gate z",),
    ),
    _bug(
        "reset gate forgotten on the way to the state",
        "[da_r, da_z, da_n * r]",
        "[da_r, da_z, da_n]",
        "One gradient of the pre-activations for both products, as in every other cell.",
        ("W_hh", "gate n"),
    ),
    _bug(
        "b_hn treated as b_in",
        "db_hh += ds.sum(axis=0)",
        "db_hh += da.sum(axis=0)",
        "The two biases have equal gradients in every other cell, and in every other gate.",
        ("b_hh", "gate n"),
    ),
    _bug(
        "recurrent weight with the input's gradient",
        "dW_hh += ds.T @ h[t]",
        "dW_hh += da.T @ h[t]",
        "da and ds have the same shape and differ in one block of three.",
        ("W_hh", "gate n"),
    ),
    _bug(
        "carry with the input's gradient",
        "+ ds @ W_hh",
        "+ da @ W_hh",
        "da and ds have the same shape and differ in one block of three.",
        ("h0",),
    ),
    _bug(
        "reset before the product",
        "dr = da_n * s_n",
        "dr = da_n * h[t]",
        "The formula of the other variant: r multiplies the product here, not the state.",
        ("gate r",),
    ),
    _bug(
        "reset gate from n's gradient before the slope",
        "dr = da_n * s_n",
        "dr = dn * s_n",
        "dn and da_n are a tanh apart, and for small numbers equal.",
        ("gate r",),
    ),
    _bug(
        "slope of n forgotten",
        "da_n = dn * (1 - n**2)",
        "da_n = dn",
        "A line that seems done by the one before.",
        ("dx",),
    ),
    _bug(
        "sigma' = s (1 + s)",
        "da_r = dr * r * (1 - r)",
        "da_r = dr * r * (1 + r)",
        "A sign.",
        ("gate r",),
    ),
    _bug(
        "slope of the update gate, half of it",
        "da_z = dz * z * (1 - z)",
        "da_z = dz * (1 - z)",
        "dz = dh_t * ... * z was in the line before, and then was not.",
        ("gate z",),
    ),
    _bug(
        "gates in another order",
        "[da_r, da_z, da_n],",
        "[da_z, da_r, da_n],",
        "Keras and ONNX have z first, PyTorch has r.",
        ("W_ih",),
    ),
    _bug(
        "t = 0 skipped",
        "reversed(range(T))",
        "range(T - 1, 0, -1)",
        "range() stops before its end, also when it counts down.",
        ("t = 0",),
    ),
    _bug(
        "the new state in the weight's gradient",
        "ds.T @ h[t]",
        "ds.T @ h[t + 1]",
        "The cache has T + 1 states, and h[t + 1] looks like the state of this step: it is.",
        ("W_hh",),
    ),
    _bug(
        "initial state's gradient forgotten",
        "return dx, dh_next,",
        "return dx, np.zeros_like(dh_next),",
        "The first state is zero in the tutorial, so its gradient is too.",
        ("h0",),
    ),
    _bug(
        "clipped inside",
        "dh_next = dh_t * z + ds @ W_hh",
        "dh_next = np.clip(dh_t * z + ds @ W_hh, -10, 10)",
        "Clipping against explosion, put into the loop instead of behind it.",
        ("dx",),
        kind="nonlinear",
    ),
    _bug(
        "cache overwritten",
        "da_n = dn * (1 - n**2)",
        "n *= -n\n        n += 1\n        da_n = dn * n",
        "In place, to save an allocation; a second backward starts from another cache.",
        ("gates",),
        kind="mutates",
    ),
    _bug(
        "stops 25 steps back",
        "reversed(range(T))",
        "range(T - 1, max(T - 26, -1), -1)",
        "Truncated backpropagation through time, in a library that does not say so.",
        ("dx",),
        steps=30,
    ),
    _bug(
        "0.05 % in one element of one step",
        "da_z = dz * z * (1 - z)",
        "da_z = dz * z * (1 - z)\n        da_z[0, 1] *= 1.0005 if t == 4 else 1",
        "What is left of an experiment, or of a damaged memory chip.",
        ("t = 4",),
    ),
]
