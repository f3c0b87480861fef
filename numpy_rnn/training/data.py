"""Batches, and the sources that they come from.

A source yields batches without end, and its position can be saved. :class:`Examples` are
independent sequences, shuffled anew for each epoch. :class:`Windows` are consecutive parts of one
long sequence, for truncated backpropagation through time:

    reader b   begins at floor(b N / B), advances by T each batch, and wraps around at the end

B readers stand at equal distances in a sequence of N elements. Each batch is the next T elements
of every reader, so its row b continues row b of the batch before. The state is carried from window
to window, the gradient is not: the gradient of a window's loss goes back to the window's first
step. This is BPTT(T; T) of Williams & Peng (1990).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from numpy_rnn.arguments import as_array, check_flag, check_rng, check_size, constructor_arguments
from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.layers.validate import check_lengths

ALL = slice(None)


class Described:
    """Base of a class whose attributes are named like its constructor's arguments: its repr."""

    def __repr__(self) -> str:
        kind: Any = type(self)
        names = [name for name in constructor_arguments(kind) if hasattr(self, name)]
        shown = ", ".join(f"{name}={_brief(getattr(self, name))}" for name in names)
        return f"{kind.__name__}({shown})"


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape}>"
    return str(getattr(value, "__qualname__", None) or repr(value))


class Batch(NamedTuple):
    """The input of one training step and its targets, time-major.

    Attributes
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input.
    target : (T, B, ...) array if `per_step`, or (B, ...) array
        Desired output of each step, or of each row. Steps past a row's end do not count.
    lengths : (B,) array of int or None
        Number of valid steps of each row; T if None.

    Examples
    --------
    >>> batch = Batch(np.zeros((3, 2, 1)), np.zeros((3, 2, 1)), lengths=np.array([3, 1]))
    >>> batch.mask()[:, 1]
    array([ True, False, False])
    """

    x: Array
    target: Array
    lengths: Array | None = None
    per_step: bool = True

    def rows(self, which: slice | Array) -> Batch:
        """Return the batch of some of the rows."""
        return self._replace(
            x=self.x[:, which],
            target=self.target[:, which] if self.per_step else self.target[which],
            lengths=None if self.lengths is None else self.lengths[which],
        )

    def mask(self) -> Array | None:
        """Return which steps count in the loss, (T, B), or None if all do."""
        if self.lengths is None or not self.per_step:
            return None
        return np.arange(len(self.x))[:, None] < self.lengths

    def check_finite(self, row: str = "batch row", first: int = 0) -> None:
        """Raise ValueError if an input or a counted target is not finite.

        `row` names axis 1, whose numbers begin at `first`.
        """
        for name, array, timed in (("x", self.x, True), ("target", self.target, self.per_step)):
            wrong = ~np.isfinite(array)
            if timed and self.lengths is not None:  # padding may hold anything
                wrong[np.arange(len(array))[:, None] >= self.lengths] = False
            if wrong.any():
                place = tuple(np.argwhere(wrong)[0])
                b, at = (place[1], f" at t = {place[0]}") if timed else (place[0], "")
                raise ValueError(
                    f"{name} of {row} {first + b} is {array[place]}{at}, expected finite numbers"
                )


@runtime_checkable
class Source(Protocol):
    """An endless supply of batches whose position can be saved.

    Examples
    --------
    >>> source: Source = Windows.next_of(np.arange(13), batch_size=2, window=3)
    >>> source.per_epoch
    2.0
    """

    batch_size: int  # B
    per_epoch: float  # number of batches in an epoch
    carries: bool  # whether row b continues, from its final state, row b of the batch before

    def next(self, rows: slice = ALL) -> Batch:
        """Return these rows of the next batch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position."""


class Examples(Described):
    """Mini-batches of independent sequences, a :class:`Source`.

    Parameters
    ----------
    x : (T, N, D) array, or (T, N) array of int
        N sequences, padded to T steps if their lengths differ.
    target, lengths, per_step
        As for a :class:`Batch` of N rows.
    batch_size : int
        B, at most N. The remainder of an epoch begins the next epoch's first batch.
    rng : numpy.random.Generator, int or None
        Source of the order.

    Examples
    --------
    >>> source = Examples(np.zeros((5, 8, 2)), np.arange(8), batch_size=3, rng=0)
    >>> source.next().x.shape
    (5, 3, 2)
    """

    carries = False

    def __init__(
        self,
        x: Array,
        target: Array,
        batch_size: int,
        *,
        lengths: Array | None = None,
        per_step: bool = False,
        rng: Rng = None,
    ) -> None:
        x, target = as_array("Examples", "x", x), as_array("Examples", "target", target)
        if x.ndim < 2:
            raise ValueError(f"Examples: x has shape {x.shape}, expected (T, N, D) or (T, N)")
        T, N = x.shape[:2]
        per_step = check_flag("Examples", "per_step", per_step)
        self.batch_size = check_size("Examples", "batch_size", batch_size, most=N)
        expected = (T, N) if per_step else (N,)
        if target.shape[: len(expected)] != expected:
            raise ValueError(
                f"Examples: target has shape {target.shape}, expected {expected} in front "
                f"with per_step={per_step}"
            )
        if lengths is not None:
            lengths = check_lengths("Examples", lengths, T, N)
        self.x, self.target, self.lengths, self.per_step = x, target, lengths, per_step
        self._all = Batch(x, target, lengths, per_step)
        self._all.check_finite("example")
        self.per_epoch = N / self.batch_size
        self.rng = check_rng("Examples", rng)
        self.order = self.rng.permutation(N)
        self.position = 0

    def next(self, rows: slice = ALL) -> Batch:
        """Return these rows of the next mini-batch."""
        which = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        if len(which) < self.batch_size:
            self.order = self.rng.permutation(len(self.order))
            self.position = self.batch_size - len(which)
            which = np.concatenate([which, self.order[: self.position]])
        return self._all.rows(which[rows])

    def state_dict(self) -> dict[str, Any]:
        """Return the order of this epoch, the position in it, and the generator's state."""
        rng = self.rng.bit_generator.state
        position = {"batch_size": self.batch_size, "position": self.position}
        return {"order": self.order.copy(), "rng": rng} | position

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position. Raise ValueError if it belongs to other data."""
        N = len(self.order)
        _check_same(state, batch_size=self.batch_size)
        order, position = np.asarray(state["order"]), _position(state, N)
        if not np.array_equal(np.sort(order), np.arange(N)):
            raise ValueError(f"order is not a permutation of {N} examples")
        self.rng.bit_generator.state = state["rng"]
        self.order, self.position = order, position


class Windows(Described):
    """Consecutive windows of one long sequence, a :class:`Source`.

    Parameters
    ----------
    x : (N, D) array, or (N,) array of int
        The sequence. It may be a ``numpy.memmap``: only the windows are read.
    target : (N, ...) array
        Desired output at each element. For the prediction of the next element, see
        :meth:`next_of`.
    batch_size : int
        B, the number of readers, at most N.
    window : int
        T, at most N.

    Examples
    --------
    >>> source = Windows.next_of(np.arange(9), batch_size=2, window=3)
    >>> source.next().x
    array([[0, 4],
           [1, 5],
           [2, 6]])
    >>> source.next().x[0]
    array([3, 7])
    """

    carries = True

    def __init__(self, x: Array, target: Array, batch_size: int, window: int) -> None:
        x, target = as_array("Windows", "x", x), as_array("Windows", "target", target)
        if x.ndim not in (1, 2):
            raise ValueError(f"Windows: x has shape {x.shape}, expected (N, D) or (N,)")
        N = len(x)
        if target.shape[:1] != (N,):
            count = len(target) if target.ndim else "no"
            raise ValueError(f"Windows: target has {count} elements, expected {N}")
        self.batch_size = check_size("Windows", "batch_size", batch_size, most=N)
        self.window = check_size("Windows", "window", window, most=N)
        self.x, self.target, self.per_epoch = x, target, N / (self.batch_size * self.window)
        self._starts = np.arange(self.batch_size) * N // self.batch_size
        self.position = 0  # of the first reader

    @classmethod
    def next_of(cls, sequence: Array, batch_size: int, window: int) -> Windows:
        """Return windows of a sequence in which each element is the target of the one before."""
        sequence = as_array("Windows.next_of", "sequence", sequence)
        return cls(sequence[:-1], sequence[1:], batch_size, window)

    def next(self, rows: slice = ALL) -> Batch:
        """Return the next window of these readers: x (T, B, ...) and target (T, B, ...)."""
        steps = self.position + np.arange(self.window)[:, None]
        places = (steps + self._starts[rows]) % len(self.x)  # (T, B)
        self.position = (self.position + self.window) % len(self.x)
        return Batch(self.x[places], self.target[places])

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the first reader, and the sizes by which it advances."""
        sizes = {"batch_size": self.batch_size, "window": self.window, "elements": len(self.x)}
        return {"position": self.position} | sizes

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position. Raise ValueError if it belongs to other data or windows."""
        _check_same(state, batch_size=self.batch_size, window=self.window, elements=len(self.x))
        self.position = _position(state, len(self.x) - 1)


def _check_same(state: dict[str, Any], **sizes: int) -> None:
    """Raise ValueError if a saved position is of another source than this one."""
    for name, size in sizes.items():
        if state.get(name) != size:
            raise ValueError(f"source: {name} is {state.get(name)!r}, expected {size}")


def _position(state: dict[str, Any], most: int) -> int:
    return check_size("source", "position", state["position"], 0, most)
