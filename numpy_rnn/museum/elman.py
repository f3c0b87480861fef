"""Room: the Elman cell, h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room


class ElmanCache(NamedTuple):
    """What backward needs; h has one entry more than z, the initial state in front."""

    x: Array
    h: list[Array]
    z: list[Array]
    W_ih: Array
    W_hh: Array
    b_ih: Array
    b_hh: Array


def elman_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, ElmanCache]:
    """Return h at every step."""
    h, z = [h0], []
    for t in range(len(x)):
        z.append(x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh)
        h.append(np.tanh(z[t]))
    return np.stack(h[1:]), ElmanCache(x, h, z, W_ih, W_hh, b_ih, b_hh)


def elman_backward(dh: Array, cache: ElmanCache) -> tuple[Array, ...]:
    """Backpropagation through time."""
    x, h, z, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dx, dh_next = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    for t in reversed(range(T)):
        dh_t = dh[t] + dh_next
        dz = dh_t * (1 - np.tanh(z[t]) ** 2)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db_ih += dz.sum(axis=0)
        db_hh += dz.sum(axis=0)
        dh_next = dz @ W_hh
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


ELMAN_SHAPES = {"x": "T B D", "h0": "B H", "W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"}
ELMAN = Room("elman", elman_forward, elman_backward, ELMAN_SHAPES)
_bug = partial(Exhibit, ELMAN)

ELMAN_EXHIBITS = [
    _bug(
        "= for +=",
        "dW_hh += dz.T @ h[t]",
        "dW_hh = dz.T @ h[t]",
        "Right for one step, the case that was tried; then the loop was put around it.",
        ("W_hh",),
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
        "dz.T @ h[t]",
        "dz.T @ h[t + 1]",
        "The cache has T + 1 states, and h[t + 1] looks like the state of this step: it is.",
        ("W_hh",),
    ),
    _bug(
        "the input of the step before",
        "dz.T @ x[t]",
        "dz.T @ x[t - 1]",
        "x is shifted like h, although it has no initial entry; x[-1] hides it.",
        ("W_ih",),
    ),
    _bug(
        "carry dropped",
        "dh_t = dh[t] + dh_next",
        "dh_t = dh[t]",
        "Each step is differentiated by itself, as a feed-forward layer.",
        ("dx",),
    ),
    _bug(
        "carry not transposed",
        "dh_next = dz @ W_hh",
        "dh_next = dz @ W_hh.T",
        "W_hh is square, so the wrong product has the right shape.",
        ("h0",),
    ),
    _bug(
        "carry without the slope",
        "dh_next = dz @ W_hh",
        "dh_next = dh_t @ W_hh",
        "dh and dz have the same shape and change places.",
        ("h0",),
    ),
    _bug(
        "input's gradient without the slope",
        "dx[t] = dz @ W_ih",
        "dx[t] = dh_t @ W_ih",
        "dh and dz change places in one line of five.",
        ("dx",),
    ),
    _bug(
        "initial state's gradient forgotten",
        "return dx, dh_next,",
        "return dx, np.zeros_like(dh_next),",
        "The first state is zero in the tutorial, so its gradient is too.",
        ("h0",),
    ),
    _bug(
        "one bias forgotten",
        "db_hh += dz.sum(axis=0)",
        "db_hh = np.zeros_like(b_hh)",
        "Two biases are added, so one seems enough; the optimiser then moves half as far.",
        ("b_hh",),
    ),
    _bug(
        "first row of the batch only",
        "db_ih += dz.sum(axis=0)",
        "db_ih += dz[0]",
        "Written for one example; broadcasting hid the missing sum.",
        ("b_ih",),
    ),
    _bug(
        "mean over the batch for sum",
        "dz.T @ x[t]",
        "dz.T @ x[t] / len(dz)",
        "The loss has the mean already, and it is taken again here.",
        ("W_ih",),
    ),
    _bug(
        "divided by the length",
        "return dx, dh_next, dW_ih,",
        "return dx, dh_next, dW_ih / T,",
        "An average over time, to be independent of the length.",
        ("W_ih",),
    ),
    _bug(
        "slope from z instead of h",
        "(1 - np.tanh(z[t]) ** 2)",
        "(1 - z[t] ** 2)",
        "1 - h^2 with the wrong one of two cached arrays; equal for small z.",
        ("dx",),
    ),
    _bug(
        "square forgotten",
        "(1 - np.tanh(z[t]) ** 2)",
        "(1 - np.tanh(z[t]))",
        "1 - tanh, by analogy with 1 - sigma; near 0 both slopes are 1.",
        ("dx",),
    ),
    _bug(
        "slope of the step before",
        "(1 - np.tanh(z[t]) ** 2)",
        "(1 - np.tanh(z[t - 1]) ** 2)",
        "A list with T entries indexed like one with T + 1; z[-1] hides it.",
        ("dx",),
    ),
    _bug(
        "clipped inside",
        "dh_next = dz @ W_hh",
        "dh_next = np.clip(dz @ W_hh, -5, 5)",
        "Clipping against explosion, put into the loop instead of behind it.",
        ("dx",),
        kind="nonlinear",
    ),
    _bug(
        "float32 inside",
        "(1 - np.tanh(z[t]) ** 2)",
        "(1 - np.tanh(z[t]) ** 2).astype(np.float32)",
        "A dtype written for the graphics card and left there.",
        ("dx",),
        kind="float32",
    ),
    _bug(
        "incoming gradient changed",
        "dh_t = dh[t] + dh_next",
        "dh_t = dh[t]\n        dh_t += dh_next",
        "+= into a view of the caller's array, to save an allocation.",
        ("dh",),
        kind="mutates",
    ),
    _bug(
        "cut at every fifth step",
        "dh_next = dz @ W_hh",
        "dh_next = dz @ W_hh * (t % 5 > 0)",
        "A detach() for windows of five, and a test with four steps.",
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
        "        dx[t] = dz @ W_ih",
        "        dz[0, 1] *= 1.0005 if t == 4 else 1\n        dx[t] = dz @ W_ih",
        "What is left of an experiment, or of a damaged memory chip.",
        ("t = 4",),
    ),
    _bug(
        "gradient of the last step only",
        "dh_t = dh[t] + dh_next",
        "dh_t = dh[t] * (t == T - 1) + dh_next",
        "Code for one output per sequence, used with an output per step.",
        ("dx",),
    ),
]
