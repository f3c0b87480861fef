"""One timestep of stacked cells, as light as it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.validate import check_shape, split_state

Step = Callable[..., tuple[Array, ...]]


def take_step(
    where: str,
    steps: Sequence[Step],
    input_size: int,
    sizes: Sequence[int],
    dtype: np.dtype[Any],
    x_t: Array,
    state: Any,
) -> tuple[Array, Any]:
    """Take one step through cells that stand on each other.

    Parameters
    ----------
    where : str
        The layer, for messages.
    steps : sequence of callable
        One for each cell, lowest first: of :meth:`Cell.single_steps`.
    input_size : int
        D.
    sizes : sequence of int
        Of each state component.
    dtype : dtype
        Of the states that are zero.
    x_t : (B, D) or (D,) array, or (B,) array of int
        Input of the step.
    state : (L, B, size) or (L, size) array, a tuple of them, or None for zeros
        State before the step. It is not changed.

    Returns
    -------
    y_t : (B, K) or (K,) array
        Output of the step.
    state : like the one before
        State after the step, of new arrays.

    Raises
    ------
    ValueError
        If a shape is wrong: NumPy would repeat some of these over the batch.
    """
    symbols = x_t.dtype.kind in "iu"
    batched = x_t.ndim == (1 if symbols else 2)
    x = x_t if batched else x_t[None]
    L, B = len(steps), len(x)
    if x.shape != ((B,) if symbols else (B, input_size)):
        row = () if symbols else (input_size,)
        check_shape(f"{where}.step", "x_t", x_t, (("B", *row), row))
    if state is None:
        before = tuple(np.zeros((L, B, size), dtype) for size in sizes)
    else:
        before = tuple(state) if isinstance(state, tuple | list) else (state,)
        if not batched:
            before = tuple(part[:, None] for part in before)
        right = len(before) == len(sizes)
        for part, size in zip(before, sizes):  # noqa: B905 (said before, and quicker so)
            right = right and part.shape == (L, B, size)
        if not right:
            _explain(f"{where}.step", state, [(L, B, n) if batched else (L, n) for n in sizes])
    if len(steps) == 1:  # the state's arrays are the cell's
        after = steps[0](x, *before)
        x = after[0][0]
    else:
        states: list[tuple[Array, ...]] = []
        for layer, step in enumerate(steps):
            states.append(step(x, *[part[layer : layer + 1] for part in before]))
            x = states[layer][0][0]
        after = tuple(map(np.concatenate, zip(*states, strict=True)))
    y_t = x.copy()  # whoever writes to it does not change the state
    if not batched:
        y_t, after = y_t[0], tuple(part[:, 0] for part in after)
    return y_t, after[0] if len(after) == 1 else after


def _explain(where: str, state: Any, shapes: list[tuple[int, ...]]) -> None:
    """Raise ValueError of a state that is not of these shapes."""
    parts = split_state(where, "state", state, len(shapes))
    for (name, part), shape in zip(parts, shapes, strict=True):
        check_shape(where, name, np.asarray(part), (shape,))
