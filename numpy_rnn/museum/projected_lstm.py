"""Room: the LSTM with a projection, h_t = W_hr (o tanh(c_t)) (Sak et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.sigmoid import sigmoid


class ProjectedLSTMCache(NamedTuple):
    """What backward needs; m is what is projected."""

    x: Array
    h: list[Array]
    c: list[Array]
    m: list[Array]
    gates: Sequence[tuple[Array, ...]]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array
    W_hr: Array


def projected_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_hr: Array,
) -> tuple[tuple[Array, Array], ProjectedLSTMCache]:
    """Return h and c at every step."""
    H = c0.shape[-1]
    h, c, m, gates = [h0], [c0], [], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh
        i, f = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H])
        g, o = np.tanh(z[:, 2 * H : 3 * H]), sigmoid(z[:, 3 * H :])
        c.append(f * c[t] + i * g)
        m.append(o * np.tanh(c[t + 1]))
        h.append(m[t] @ W_hr.T)
        gates.append((i, f, g, o))
    cache = ProjectedLSTMCache(x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr)
    return (np.stack(h[1:]), np.stack(c[1:])), cache


def projected_lstm_backward(dh: Array, dc: Array, cache: ProjectedLSTMCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr = cache
    dx, dh_next, dc_next = np.zeros_like(x), np.zeros_like(h[0]), np.zeros_like(c[0])
    dW_ih, dW_hh, dW_hr = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(W_hr)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        dh_t = dh[t] + dh_next
        dW_hr += dh_t.T @ m[t]
        dm = dh_t @ W_hr
        dc_t = dc[t] + dc_next + dm * o * (1 - tanh_c**2)
        dz_i = dc_t * g * i * (1 - i)
        dz_f = dc_t * c[t] * f * (1 - f)
        dz_g = dc_t * i * (1 - g**2)
        dz_o = dm * tanh_c * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db_ih += dz.sum(axis=0)
        db_hh += dz.sum(axis=0)
        dh_next = dz @ W_hh
        dc_next = dc_t * f
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh, dW_hr


PROJECTED_LSTM = Room(
    "lstm with projection",
    projected_lstm_forward,
    projected_lstm_backward,
    {
        "x": "T B D",
        "h0": "B P",
        "c0": "B H",
        "W_ih": "4H D",
        "W_hh": "4H P",
        "b_ih": "4H",
        "b_hh": "4H",
        "W_hr": "P H",
    },
    ("i", "f", "g", "o"),
)
_bug = partial(Exhibit, PROJECTED_LSTM)

PROJECTED_LSTM_EXHIBITS = [
    _bug(
        "output gate forgotten in the projection's gradient",
        "dW_hr += dh_t.T @ m[t]",
        "dW_hr += dh_t.T @ tanh_c",
        "tanh(c) is at hand, o * tanh(c) is not.",
        ("W_hr",),
    ),
    _bug(
        "carry left out of the projection's gradient",
        "dW_hr += dh_t.T @ m[t]",
        "dW_hr += dh[t].T @ m[t]",
        "The projection is taken for an output layer, which the recurrence does not go through.",
        ("W_hr",),
    ),
    _bug(
        "carry does not go through the projection",
        "dm = dh_t @ W_hr",
        "dm = dh[t] @ W_hr",
        "The projection is taken for an output layer, which the recurrence does not go through.",
        ("dx",),
    ),
    _bug(
        "= for +=",
        "dW_hr += dh_t.T @ m[t]",
        "dW_hr = dh_t.T @ m[t]",
        "The projection was added to the code later, without the + of its neighbours.",
        ("W_hr",),
    ),
    _bug(
        "projected values of another step",
        "dh_t.T @ m[t]",
        "dh_t.T @ m[t - 1]",
        "m is indexed like h, although it has no initial entry; m[-1] hides it.",
        ("W_hr",),
    ),
    _bug(
        "mean over the batch for sum",
        "dh_t.T @ m[t]",
        "dh_t.T @ m[t] / len(dh_t)",
        "The loss has the mean already, and it is taken again here.",
        ("W_hr",),
    ),
    _bug(
        "t = 0 left out of the projection's gradient",
        "dW_hr += dh_t.T @ m[t]",
        "dW_hr += dh_t.T @ m[t] * (t > 0)",
        "h0 is not projected, so the first step seems not to be.",
        ("W_hr",),
    ),
    _bug(
        "slope of the projected value",
        "dm * o * (1 - tanh_c**2)",
        "dm * o * (1 - m[t] ** 2)",
        "1 - h^2, from a cell in which h is the tanh; m is o times it.",
        ("c0",),
    ),
]
