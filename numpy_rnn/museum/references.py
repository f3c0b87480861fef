"""All references and all bugs, in the order in which they are shown.

Most references are textbook pages. What is around a cell has no page, so its readable code is here:
windows, padding, two directions, the last step.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.museum import optimizers
from numpy_rnn.museum.bug import Bug, OptimizerReference, read_bugs
from numpy_rnn.museum.registry import TEXTBOOK_PAIRS, RegisteredPair, Shapes
from numpy_rnn.textbook.elman import elman_backward, elman_forward

WINDOW = 4  # steps of a window; the last window may be shorter


def windows_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Cache]:
    """Return h at every step. Each window passes its last state to the next one."""
    outputs, windows, state = [], [], h0
    for start in range(0, len(x), WINDOW):
        h, cache = elman_forward(x[start : start + WINDOW], state, W_ih, W_hh, b_ih, b_hh)
        state = h[-1]
        outputs.append(h)
        windows.append((start, cache))
    return np.concatenate(outputs), (x, windows)


def windows_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`windows_forward`."""
    x, windows = cache
    _, h, *weights = windows[0][1]
    dx, dstate = np.zeros_like(x), np.zeros_like(h[0])
    dweights = [np.zeros_like(weight) for weight in weights]
    for start, window in reversed(windows):
        dh_window = dh[start : start + WINDOW].copy()
        dh_window[-1] += dstate
        dx_window, dstate, *dweights_window = elman_backward(dh_window, window)
        dx[start : start + WINDOW] = dx_window
        for k, dweight in enumerate(dweights_window):
            dweights[k] += dweight
    return dx, dstate, *dweights


def padded_forward(
    x: Array, lengths: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array
) -> tuple[tuple[Array, Array], Cache]:
    """Return h at every step, zero after a sequence's end, and the state at its end."""
    mask = (np.arange(len(x))[:, None] < lengths)[..., None].astype(x.dtype)
    h = [h0]
    for t in range(len(x)):
        new = np.tanh(x[t] @ W_ih.T + h[t] @ W_hh.T + b)
        h.append(mask[t] * new + (1 - mask[t]) * h[t])
    return (mask * np.stack(h[1:]), h[-1]), (x, h, mask, W_ih, W_hh, b)


def padded_backward(dy: Array, dlast: Array, cache: Cache) -> tuple[Array | None, ...]:
    """Return the gradient of every argument of :func:`padded_forward`."""
    x, h, mask, W_ih, W_hh, b = cache
    dx, dW_ih, dW_hh, db = np.zeros_like(x), np.zeros_like(W_ih), np.zeros_like(W_hh), 0 * b
    dh_next = dlast
    for t in reversed(range(len(x))):
        dh_t = mask[t] * dy[t] + dh_next
        dz = mask[t] * dh_t * (1 - h[t + 1] ** 2)
        dx[t] = dz @ W_ih
        dW_ih += dz.T @ x[t]
        dW_hh += dz.T @ h[t]
        db += dz.sum(axis=0)
        dh_next = dz @ W_hh + (1 - mask[t]) * dh_t
    return dx, None, dh_next, dW_ih, dW_hh, db


def bidirectional_forward(x: Array, *arguments: Array) -> tuple[Array, Cache]:
    """Return h of both directions at every step, (T, B, 2H)."""
    ahead, ahead_cache = elman_forward(x, *arguments[:5])
    back, back_cache = elman_forward(x[::-1], *arguments[5:])
    h = np.concatenate([ahead, back[::-1]], axis=-1)
    return h, (ahead_cache, back_cache)


def bidirectional_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`bidirectional_forward`."""
    H = dh.shape[-1] // 2
    ahead_cache, back_cache = cache
    dx_ahead, *ahead = elman_backward(dh[..., :H], ahead_cache)
    dx_back, *back = elman_backward(dh[::-1, :, H:], back_cache)
    dx = dx_ahead + dx_back[::-1]
    return dx, *ahead, *back


def last_step_forward(h: Array, lengths: Array) -> tuple[Array, Cache]:
    """Return ``h[lengths[b] - 1, b]`` of each sequence b, (B, H)."""
    return h[lengths - 1, np.arange(len(lengths))], (h, lengths)


def last_step_backward(dlast: Array, cache: Cache) -> tuple[Array, None]:
    """Return the gradient of every argument of :func:`last_step_forward`."""
    h, lengths = cache
    dh = np.zeros_like(h)
    for b in range(len(lengths)):
        dh[lengths[b] - 1, b] = dlast[b]
    return dh, None


def draw_lengths(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw sequence lengths: the first is T, the others are shorter, in descending order."""
    T, B = sizes["T"], sizes["B"]
    lengths = np.sort(rng.integers(1, max(T, 2), B))[::-1].copy()
    lengths[0] = T
    return lengths


_WEIGHTS: Shapes = {"h0": "B H", "W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"}
_ELMAN: Shapes = {"x": "T B D", **_WEIGHTS}
_PADDED: Shapes = {"x": "T B D", "lengths": draw_lengths, "h0": "B H"}
_PADDED |= {"W_ih": "H D", "W_hh": "H H", "b": "H"}
_TWO = _ELMAN | {f"{name}_reverse": shape for name, shape in _WEIGHTS.items()}
_LAST: Shapes = {"h": "T B H", "lengths": draw_lengths}
_CELLS = ("elman", "lstm", "projected_lstm", "peephole_lstm", "gru", "gru_reset_before")
_OTHERS = ("linear", "embedding", "layer_norm", "dropout", "mse", "cross_entropy")


def _page(name: str) -> RegisteredPair:
    """Return the registry's row of a textbook page; of a loss, that of its mean."""
    rows = (row for row in TEXTBOOK_PAIRS if row.backward.__name__ == f"{name}_backward")
    return next(rows)._replace(name=name)


REFERENCES = [
    *map(_page, _CELLS + _OTHERS),
    RegisteredPair("windows", windows_forward, windows_backward, _ELMAN),
    RegisteredPair("padded", padded_forward, padded_backward, _PADDED),
    RegisteredPair("bidirectional", bidirectional_forward, bidirectional_backward, _TWO),
    RegisteredPair("last_step", last_step_forward, last_step_backward, _LAST),
]

OPTIMIZER_REFERENCES: list[OptimizerReference] = optimizers.REFERENCES

_ALL: list[RegisteredPair | OptimizerReference] = [*REFERENCES, *OPTIMIZER_REFERENCES]
_BY_NAME = {reference.name: reference for reference in _ALL}
_TABLES = ("cells", "layers", "sequences", "optimizers")
BUGS: list[Bug] = [bug for table in _TABLES for bug in read_bugs(table, _BY_NAME)]
