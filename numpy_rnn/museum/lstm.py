"""Room: the LSTM, c_t = f c_{t-1} + i g, h_t = o tanh(c_t); gates in the order i, f, g, o."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.sigmoid import sigmoid


class LSTMCache(NamedTuple):
    """What backward needs; h and c have the initial state in front."""

    x: Array
    h: list[Array]
    c: list[Array]
    gates: Sequence[tuple[Array, ...]]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array


def lstm_forward(
    x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[tuple[Array, Array], LSTMCache]:
    """Return h and c at every step."""
    H = h0.shape[-1]
    h, c, gates = [h0], [c0], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh
        i, f = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H])
        g, o = np.tanh(z[:, 2 * H : 3 * H]), sigmoid(z[:, 3 * H :])
        c.append(f * c[t] + i * g)
        h.append(o * np.tanh(c[t + 1]))
        gates.append((i, f, g, o))
    return (np.stack(h[1:]), np.stack(c[1:])), LSTMCache(x, h, c, gates, W_ih, W_hh, b_ih, b_hh)


def lstm_backward(dh: Array, dc: Array, cache: LSTMCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, c, gates, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dx, dh_next, dc_next = np.zeros_like(x), np.zeros_like(h[0]), np.zeros_like(c[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    for t in reversed(range(T)):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        dh_t = dh[t] + dh_next
        dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2)
        di = dc_t * g
        df = dc_t * c[t]
        dg = dc_t * i
        do = dh_t * tanh_c
        dz_i = di * i * (1 - i)
        dz_f = df * f * (1 - f)
        dz_g = dg * (1 - g**2)
        dz_o = do * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db_ih += dz.sum(axis=0)
        db_hh += dz.sum(axis=0)
        dh_next = dz @ W_hh
        dc_next = dc_t * f
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh


LSTM_SHAPES = {
    "x": "T B D",
    "h0": "B H",
    "c0": "B H",
    "W_ih": "4H D",
    "W_hh": "4H H",
    "b_ih": "4H",
    "b_hh": "4H",
}
LSTM = Room("lstm", lstm_forward, lstm_backward, LSTM_SHAPES, ("i", "f", "g", "o"))
_bug = partial(Exhibit, LSTM)

LSTM_EXHIBITS = [
    _bug(
        "cell's carry without f",
        "dc_next = dc_t * f",
        "dc_next = dc_t",
        "The constant error carousel of 1997, from before there was a forget gate.",
        ("c0",),
    ),
    _bug(
        "cell's carry with the f of another step",
        "dc_next = dc_t * f",
        "dc_next = dc_t * gates[max(t - 1, 0)][1]",
        "The carry to t - 1 takes the gate of t - 1, not the one that multiplied c[t - 1].",
        ("dx",),
    ),
    _bug(
        "cell's carry dropped",
        "dc[t] + dc_next + dh_t * o",
        "dc[t] + dh_t * o",
        "Only h is carried back, as in the Elman cell that the code grew from.",
        ("dx",),
    ),
    _bug(
        "cell's carry through tanh",
        "dc_next = dc_t * f",
        "dc_next = dc_t * f * (1 - tanh_c**2)",
        "The slope that belongs to the way from h to c, once more.",
        ("c0",),
    ),
    _bug(
        "cell's carry replaced, not added to",
        "dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2)",
        "dc_t = dc[t] + (dc_next if t < T - 1 else dh_t * o * (1 - tanh_c**2))",
        "The last step starts the carry, the other steps forget their own share.",
        ("dx",),
    ),
    _bug(
        "slope of tanh(c) forgotten",
        "dh_t * o * (1 - tanh_c**2)",
        "dh_t * o",
        "h = o * tanh(c) differentiated as if it were o * c; equal for small c.",
        ("c0",),
    ),
    _bug(
        "slope at the cell state before",
        "tanh_c = np.tanh(c[t + 1])",
        "tanh_c = np.tanh(c[t])",
        "The cache has T + 1 cell states; the one of this step is at t + 1.",
        ("c0",),
    ),
    _bug(
        "carried gradient does not enter the cell",
        "dh_t * o * (1 - tanh_c**2)",
        "dh[t] * o * (1 - tanh_c**2)",
        "dh[t] for dh_t: one has the carry, the other has not.",
        ("dx",),
    ),
    _bug(
        "carried gradient does not enter the output gate",
        "do = dh_t * tanh_c",
        "do = dh[t] * tanh_c",
        "dh[t] for dh_t: one has the carry, the other has not.",
        ("gate o",),
    ),
    _bug(
        "hidden carry dropped",
        "dh_t = dh[t] + dh_next",
        "dh_t = dh[t]",
        "Only c is carried back; where the forget gate is open, it is most of the gradient.",
        ("dx",),
    ),
    _bug(
        "gradient of c ignored",
        "dc_t = dc[t] + dc_next",
        "dc_t = dc_next",
        "No loss looks at c, until a window hands its state to the next.",
        ("c0",),
    ),
    _bug(
        "gradient of the last step only",
        "dh_t = dh[t] + dh_next",
        "dh_t = dh[t] * (t == T - 1) + dh_next",
        "Code for one output per sequence, used with an output per step.",
        ("dx",),
    ),
    _bug(
        "hidden carry of one gate only",
        "dh_next = dz @ W_hh",
        "dh_next = dz_o @ W_hh[-dz_o.shape[1] :]",
        "h is the output gate's, so its gradient seems to be, too.",
        ("h0",),
    ),
    _bug(
        "sigma' = s (1 + s)",
        "dz_f = df * f * (1 - f)",
        "dz_f = df * f * (1 + f)",
        "A sign.",
        ("gate f",),
    ),
    _bug(
        "sigma' for tanh'",
        "dz_g = dg * (1 - g**2)",
        "dz_g = dg * g * (1 - g)",
        "Four lines alike, the third of which is not.",
        ("gate g",),
    ),
    _bug(
        "tanh' for sigma'",
        "dz_o = do * o * (1 - o)",
        "dz_o = do * (1 - o**2)",
        "The output gate is beside the tanh, and gets its slope.",
        ("gate o",),
    ),
    _bug(
        "slope forgotten",
        "dz_i = di * i * (1 - i)",
        "dz_i = di * i",
        "The end of a line was lost.",
        ("gate i",),
    ),
    _bug(
        "gates in another order",
        "[dz_i, dz_f, dz_g, dz_o]",
        "[dz_i, dz_f, dz_o, dz_g]",
        "Forward has the order of one library, backward that of another.",
        ("W_ih",),
    ),
    _bug(
        "input and forget gate exchanged",
        "[dz_i, dz_f, dz_g, dz_o]",
        "[dz_f, dz_i, dz_g, dz_o]",
        "f comes first in the papers, i in the libraries.",
        ("W_ih",),
    ),
    _bug(
        "forget gate sees the new cell state",
        "df = dc_t * c[t]",
        "df = dc_t * c[t + 1]",
        "f multiplies c_{t-1}, which is c[t] in a list that starts with c0.",
        ("gate f",),
    ),
    _bug(
        "output gate without tanh",
        "do = dh_t * tanh_c",
        "do = dh_t * c[t + 1]",
        "h = o * tanh(c) differentiated as if it were o * c; equal for small c.",
        ("gate o",),
    ),
    _bug(
        "di and dg exchanged",
        "di = dc_t * g\n        df = dc_t * c[t]\n        dg = dc_t * i",
        "di = dc_t * i\n        df = dc_t * c[t]\n        dg = dc_t * g",
        "The derivative of a product is the other factor.",
        ("W_ih",),
    ),
    _bug(
        "the new state in the weight's gradient",
        "dz.T @ h[t]",
        "dz.T @ h[t + 1]",
        "The cache has T + 1 states, and h[t + 1] looks like the state of this step: it is.",
        ("W_hh",),
    ),
    _bug(
        "= for +=",
        "dW_ih += dz.T @ x[t]",
        "dW_ih = dz.T @ x[t]",
        "Right for one step, the case that was tried; then the loop was put around it.",
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
        "initial cell state's gradient forgotten",
        "return dx, dh_next, dc_next,",
        "return dx, dh_next, np.zeros_like(dc_next),",
        "The first state is zero in the tutorial, so its gradient is too.",
        ("c0",),
    ),
    _bug(
        "mean over the batch for sum",
        "db_ih += dz.sum(axis=0)",
        "db_ih += dz.mean(axis=0)",
        "The loss has the mean already, and it is taken again here.",
        ("b_ih",),
    ),
    _bug(
        "input's gradients in reversed order",
        "dx[t] = dz @ W_ih",
        "dx[T - 1 - t] = dz @ W_ih",
        "Appended to a list in a loop that runs backwards, and not turned round.",
        ("dx",),
    ),
    _bug(
        "cell's carry clipped inside",
        "dc_next = dc_t * f",
        "dc_next = np.clip(dc_t * f, -10, 10)",
        "Graves (2013) clips here, and says so; few who copied it do.",
        ("dx",),
        kind="nonlinear",
    ),
    _bug(
        "small gradients flushed to zero",
        "dh_next = dz @ W_hh",
        "dh_next = np.where(np.abs(dz) > 1e-12, dz, 0) @ W_hh",
        "A threshold against denormal numbers, far too high where gradients vanish.",
        ("dx",),
        kind="nonlinear",
    ),
    _bug(
        "float32 inside",
        "[dz_i, dz_f, dz_g, dz_o], axis=1)",
        "[dz_i, dz_f, dz_g, dz_o], axis=1).astype(np.float32)",
        "A dtype written for the graphics card and left there.",
        ("dx",),
        kind="float32",
    ),
    _bug(
        "cache overwritten",
        "dz_o = do * o * (1 - o)",
        "o *= do * (1 - o)\n        dz_o = o",
        "In place, to save an allocation; a second backward starts from another cache.",
        ("gates",),
        kind="mutates",
    ),
    _bug(
        "cut at every fifth step",
        "dc_next = dc_t * f",
        "dc_next = dc_t * f * (t % 5 > 0)",
        "h and c are detached at a window's start, and the window counted from the wrong end.",
        ("dx",),
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
        "dz_f = df * f * (1 - f)",
        "dz_f = df * f * (1 - f)\n        dz_f[0, 1] *= 1.0005 if t == 4 else 1",
        "What is left of an experiment, or of a damaged memory chip.",
        ("t = 4",),
    ),
]
