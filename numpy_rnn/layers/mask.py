"""Masks with holes: a masked step carries the state and repeats the output, as in Keras.

    (1)  h_t = cell(x_t, h_{t-1}) if mask_t else h_{t-1}
    (2)  y_t = h_t                if mask_t else y_{t-1}      zero before the first valid step

Cells know nothing of this. Each row's valid steps are moved to its front, the layer runs on what
is then a padded batch with lengths, and its outputs are moved back. Backward is the same in
reverse, where the gradients of a repeated output add up. A reset before a masked step is made
before the next valid one. A layer of two directions gives zeros at masked steps (Keras sets
`zero_output_for_mask` there), because they repeat different steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, State
from numpy_rnn.layers.batch import read_layout, to_time_major, user_layout
from numpy_rnn.layers.validate import check_bool, check_lengths


class MaskedCache(NamedTuple):
    """Values of ``apply`` with a mask that ``vjp`` needs."""

    compaction: Compaction
    cache: Any  # of the layer's ``apply`` on the compacted batch


class Compaction(NamedTuple):
    """Where the valid steps of each row are, and what the others show."""

    batched: bool
    batch_first: bool
    shape: tuple[int, ...]  # of the mask, in the user's layout
    steps: Array  # (T, B): the valid steps of each row in order, then its masked ones
    lengths: Array  # (B,): the number of valid steps
    shown: Array  # (T, B): position in `steps` of the output at each step; -1: zero
    reset: Array | None  # in the user's layout, each moved to the next valid step
    restarts: Array  # (L, B): a reset after the last valid step, so the final state is the initial

    def gather(self, sequence: Array) -> Array:
        """Return a sequence with the valid steps of each row first."""
        time_major = to_time_major(sequence, self.batched, self.batch_first)
        return user_layout(time_major[self.steps, self._rows], self.batched, self.batch_first)

    def scatter(self, sequence: Array) -> Array:
        """Undo :meth:`gather`."""
        time_major = to_time_major(sequence, self.batched, self.batch_first)
        return user_layout(self.scatter_steps(time_major), self.batched, self.batch_first)

    def scatter_steps(self, time_major: Array) -> Array:
        """Undo :meth:`gather` for an array (T, B, ...), such as a gradient that keeps both."""
        scattered = np.empty_like(time_major)
        scattered[self.steps, self._rows] = time_major
        return scattered

    def show(self, y: Array) -> Array:
        """Return the output at every step of the user's."""
        time_major = to_time_major(y, self.batched, self.batch_first)
        shown = np.zeros_like(time_major)
        live = self.shown >= 0
        shown[live] = time_major[self.shown, self._rows][live]
        return user_layout(shown, self.batched, self.batch_first)

    def show_vjp(self, dy: Array) -> Array:
        """Return the gradient of the argument of :meth:`show`."""
        time_major = to_time_major(dy, self.batched, self.batch_first)
        total = np.zeros_like(time_major)
        for dy_t, shown_t in zip(time_major, self.shown, strict=True):
            rows = np.flatnonzero(shown_t >= 0)
            total[shown_t[rows], rows] += dy_t[rows]
        return user_layout(total, self.batched, self.batch_first)

    def restart(self, initial: State, final: State) -> State:
        """Return the final state, where `restarts` is true the initial one (None: zero)."""
        if isinstance(final, tuple):
            firsts = [None] * len(final) if initial is None else initial
            return tuple(self.restart(a, b) for a, b in zip(firsts, final, strict=True))
        first = np.zeros_like(final) if initial is None else np.asarray(initial)
        return np.where(self._restarted, first, final)

    def restart_vjp(self, dfinal: State) -> tuple[State, State]:
        """Return the gradients of the arguments of :meth:`restart`."""
        if isinstance(dfinal, tuple | list):
            parts = [self.restart_vjp(part) for part in dfinal]
            return tuple(first for first, _ in parts), tuple(last for _, last in parts)
        return self._restarted * dfinal, ~self._restarted * dfinal

    @property
    def _restarted(self) -> Array:
        rows = self.restarts if self.batched else self.restarts[:, 0]
        return rows[..., None]

    @property
    def _rows(self) -> Array:
        return np.arange(len(self.lengths))


def compact(
    where: object,
    x: Array,
    lengths: Array | None,
    reset: Array | None,
    mask: Array,
    *,
    input_size: int,
    batch_first: bool,
    backwards: Sequence[bool],
) -> tuple[Array, Compaction]:
    """Check a mask and return the input, zero at masked steps, and where its valid steps go.

    `backwards` tells of each layer-direction whether it runs from the end to the beginning.
    """
    x, batched, tokens = read_layout(where, x, input_size, batch_first)
    shape = x.shape if tokens else x.shape[:-1]
    valid = to_time_major(check_bool(where, "mask", mask, shape), batched, batch_first)
    T, B = valid.shape
    t = np.arange(T)[:, None]
    ends = np.full(B, T) if lengths is None else check_lengths(where, lengths, T, B)
    valid = valid & (t < ends)
    count = valid.sum(axis=0)
    before: Array = np.cumsum(valid, axis=0) - valid  # number of valid steps before each step
    if len({*backwards}) == 2:
        shown = np.where(valid, before, -1)
    elif backwards[0]:
        shown = np.where(before < count, before, -1)
    else:
        shown = np.where(t < ends, before + valid - 1, -1)
    restarts = np.zeros((len(backwards), B), bool)
    moved = None
    if reset is not None:
        reset = to_time_major(check_bool(where, "reset", reset, shape), batched, batch_first)
        reset = reset & (t < ends)
        moved = np.zeros_like(reset)
        step, row = np.nonzero(reset & (before < count))
        moved[before[step, row], row] = True
        after_last = (reset & (before == count)).any(axis=0)
        # In the reverse direction a reset comes after its step, and step 0 is the last one.
        before_first = (reset & (before == 0) & (t > 0)).any(axis=0)
        restarts = np.array([before_first if back else after_last for back in backwards])
        moved = user_layout(moved, batched, batch_first)
    steps = np.argsort(~valid, axis=0, kind="stable")
    x = np.where(user_layout(valid, batched, batch_first)[(..., *(None,) * (not tokens))], x, 0)
    return x, Compaction(batched, batch_first, shape, steps, count, shown, moved, restarts)


def restore_kept(compaction: Compaction, gradient: Array, keep: Keep) -> Array:
    """Return a gradient that keeps steps and rows of the compacted batch as `keep` asks for."""
    if keep in ("t", "tb"):
        gradient = compaction.scatter_steps(gradient)
        return np.add.reduce(gradient, axis=1) if keep == "t" else gradient
    return gradient
