"""Room: a padded batch. Behind its end a row's output is zero and its state stands still."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room, Sizes


class PaddedCache(NamedTuple):
    """What backward needs; live is 1 where a row has not ended."""

    x: Array
    h: list[Array]
    live: Array
    W_ih: Array
    W_hh: Array
    b: Array


def padded_forward(
    x: Array, lengths: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array
) -> tuple[tuple[Array, Array], PaddedCache]:
    """Return h at every step, and each row's h at its end."""
    live = (np.arange(len(x))[:, None] < lengths)[..., None].astype(x.dtype)
    h = [h0]
    for t in range(len(x)):
        new = np.tanh(x[t] @ W_ih.T + h[t] @ W_hh.T + b)
        h.append(live[t] * new + (1 - live[t]) * h[t])
    return (live * np.stack(h[1:]), h[-1]), PaddedCache(x, h, live, W_ih, W_hh, b)


def padded_backward(dy: Array, dlast: Array, cache: PaddedCache) -> tuple[Array | None, ...]:
    """Backpropagation through time; behind its end a row's gradient stands still, too."""
    x, h, live, W_ih, W_hh, b = cache
    dx, dW_ih, dW_hh, db = np.zeros_like(x), np.zeros_like(W_ih), np.zeros_like(W_hh), 0 * b
    dh_next = dlast
    for t in reversed(range(len(x))):
        dh_t = live[t] * dy[t] + dh_next
        dz = live[t] * dh_t * (1 - h[t + 1] ** 2)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db += dz.sum(axis=0)
        dh_next = dz @ W_hh + (1 - live[t]) * dh_t
    return dx, None, dh_next, dW_ih, dW_hh, db


def draw_lengths(rng: np.random.Generator, sizes: Sizes) -> Array:
    """Draw where rows end: the first at T, the others before, longest first."""
    T, B = sizes["T"], sizes["B"]
    lengths = np.sort(rng.integers(1, max(T, 2), B))[::-1].copy()
    lengths[0] = T
    return lengths


PADDED = Room(
    "padded batch",
    padded_forward,
    padded_backward,
    {
        "x": "T B D",
        "lengths": draw_lengths,
        "h0": "B H",
        "W_ih": "H D",
        "W_hh": "H H",
        "b": "H",
    },
)
_bug = partial(Exhibit, PADDED)

PADDED_EXHIBITS = [
    _bug(
        "gradient of the last state lost in the padding",
        " + (1 - live[t]) * dh_t",
        "",
        "The gradient starts at T and is multiplied by a mask of zeros before it finds the end.",
        ("h0",),
    ),
    _bug(
        "padding's gradient not zeroed",
        "dh_t = live[t] * dy[t] + dh_next",
        "dh_t = dy[t] + dh_next",
        "The loss masks its padding, so here it seems to be zero already.",
        ("dx",),
    ),
    _bug(
        "padding runs through the cell",
        "dz = live[t] * dh_t",
        "dz = dh_t",
        "Masked on the way in, and not where it is needed.",
        ("dx",),
    ),
    _bug(
        "carried twice in the padding",
        "(1 - live[t]) * dh_t",
        "dh_t",
        "The residual connection that a frozen state resembles.",
        ("h0",),
    ),
    _bug(
        "one step short",
        "dz = live[t] * dh_t",
        "dz = live[min(t + 1, len(x) - 1)] * dh_t",
        "The mask is shifted like h, and a row's last step is taken for padding.",
        ("dx",),
    ),
    _bug(
        "gradient of the last state forgotten",
        "dh_next = dlast",
        "dh_next = np.zeros_like(dlast)",
        "The state at the end was added as an output later.",
        ("dx",),
    ),
    _bug(
        "slope at the state before",
        "(1 - h[t + 1] ** 2)",
        "(1 - h[t] ** 2)",
        "The list has T + 1 states; the one of this step is at t + 1.",
        ("dx",),
    ),
]
