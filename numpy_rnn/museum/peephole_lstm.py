"""Room: the LSTM with peepholes: i and f see c_{t-1}, o sees c_t (Gers & Schmidhuber 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.sigmoid import sigmoid


class PeepholeLSTMCache(NamedTuple):
    """What backward needs; h and c have the initial state in front."""

    x: Array
    h: list[Array]
    c: list[Array]
    gates: Sequence[tuple[Array, ...]]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array
    w_i: Array
    w_f: Array
    w_o: Array


def peephole_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    w_i: Array,
    w_f: Array,
    w_o: Array,
) -> tuple[tuple[Array, Array], PeepholeLSTMCache]:
    """Return h and c at every step."""
    H = h0.shape[-1]
    h, c, gates = [h0], [c0], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh
        i = sigmoid(z[:, :H] + w_i * c[t])
        f = sigmoid(z[:, H : 2 * H] + w_f * c[t])
        g = np.tanh(z[:, 2 * H : 3 * H])
        c.append(f * c[t] + i * g)
        o = sigmoid(z[:, 3 * H :] + w_o * c[t + 1])
        h.append(o * np.tanh(c[t + 1]))
        gates.append((i, f, g, o))
    cache = PeepholeLSTMCache(x, h, c, gates, W_ih, W_hh, b_ih, b_hh, w_i, w_f, w_o)
    return (np.stack(h[1:]), np.stack(c[1:])), cache


def peephole_lstm_backward(dh: Array, dc: Array, cache: PeepholeLSTMCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, c, gates, W_ih, W_hh, b_ih, b_hh, w_i, w_f, w_o = cache
    dx, dh_next, dc_next = np.zeros_like(x), np.zeros_like(h[0]), np.zeros_like(c[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    dw_i, dw_f, dw_o = np.zeros_like(w_i), np.zeros_like(w_f), np.zeros_like(w_o)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        dh_t = dh[t] + dh_next
        dz_o = dh_t * tanh_c * o * (1 - o)
        dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2) + dz_o * w_o
        dz_i = dc_t * g * i * (1 - i)
        dz_f = dc_t * c[t] * f * (1 - f)
        dz_g = dc_t * i * (1 - g**2)
        dw_i += (dz_i * c[t]).sum(axis=0)
        dw_f += (dz_f * c[t]).sum(axis=0)
        dw_o += (dz_o * c[t + 1]).sum(axis=0)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db_ih += dz.sum(axis=0)
        db_hh += dz.sum(axis=0)
        dh_next = dz @ W_hh
        dc_next = dc_t * f + dz_i * w_i + dz_f * w_f
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh, dw_i, dw_f, dw_o


PEEPHOLE_LSTM = Room(
    "peephole lstm",
    peephole_lstm_forward,
    peephole_lstm_backward,
    {
        "x": "T B D",
        "h0": "B H",
        "c0": "B H",
        "W_ih": "4H D",
        "W_hh": "4H H",
        "b_ih": "4H",
        "b_hh": "4H",
        "w_i": "H",
        "w_f": "H",
        "w_o": "H",
    },
    ("i", "f", "g", "o"),
)
_bug = partial(Exhibit, PEEPHOLE_LSTM)

PEEPHOLE_LSTM_EXHIBITS = [
    _bug(
        "output peephole of the previous cell state",
        "dw_o += (dz_o * c[t + 1])",
        "dw_o += (dz_o * c[t])",
        "Three lines alike, the third of which is not: o looks at the new cell state.",
        ("w_o",),
    ),
    _bug(
        "output peephole missing in the cell's gradient",
        " + dz_o * w_o",
        "",
        "The peephole was added to forward and to its weight's gradient, and not here.",
        ("c0",),
    ),
    _bug(
        "output peephole in the carry",
        "dc_next = dc_t * f + dz_i * w_i + dz_f * w_f",
        "dc_next = dc_t * f + dz_i * w_i + dz_f * w_f + dz_o * w_o",
        "All three peepholes are carried back, also the one that looks at this step.",
        ("c0",),
    ),
    _bug(
        "input peephole missing in the carry",
        " + dz_i * w_i",
        "",
        "The carry is c * f's, as without peepholes.",
        ("c0",),
    ),
    _bug(
        "forget peephole missing in the carry",
        " + dz_f * w_f",
        "",
        "The carry is c * f's, as without peepholes.",
        ("c0",),
    ),
    _bug(
        "peepholes exchanged in the carry",
        "dz_i * w_i + dz_f * w_f",
        "dz_i * w_f + dz_f * w_i",
        "Two short names that differ in one letter.",
        ("c0",),
    ),
    _bug(
        "input peephole of the new cell state",
        "dw_i += (dz_i * c[t])",
        "dw_i += (dz_i * c[t + 1])",
        "i looks at c_{t-1}, which is c[t] in a list that starts with c0.",
        ("w_i",),
    ),
    _bug(
        "= for +=",
        "dw_f += (dz_f * c[t])",
        "dw_f = (dz_f * c[t])",
        "The peepholes were added to the code later, without the + of its neighbours.",
        ("w_f",),
    ),
    _bug(
        "first row of the batch only",
        "dw_i += (dz_i * c[t]).sum(axis=0)",
        "dw_i += (dz_i * c[t])[0]",
        "Written for one example; the shapes agree either way.",
        ("w_i",),
    ),
    _bug(
        "output gate's slope without the carry",
        "dz_o = dh_t * tanh_c",
        "dz_o = dh[t] * tanh_c",
        "dh[t] for dh_t: one has the carry, the other has not.",
        ("dx",),
    ),
    _bug(
        "truncated at the gates",
        "dh_next = dz @ W_hh",
        "dh_next = np.zeros_like(dh_next)",
        "The paper's own gradient, truncated where it leaves the cell; called a full one here.",
        ("h0",),
    ),
]
