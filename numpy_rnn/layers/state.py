"""States as values: write one to a file, read it back, reset some of its rows.

A state is an array (L, B, size), or a tuple of states; ``()`` is that of a layer without one. Keep
one for each user, robot or audio stream, and give it to ``predict`` or a stepper with each input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from numpy_rnn.functional.types import Array, State
from numpy_rnn.npz import FileFormat
from numpy_rnn.safetensors import open_safetensors, write

STATE_FILE = FileFormat("a state of numpy_rnn", settings_entry="numpy_rnn_state")


def save_state(path: str | PathLike[str], state: State) -> None:
    """Write a state to a .safetensors file, completely or not at all.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import LSTM
    >>> lstm = LSTM(3, 4, rng=0)
    >>> y, state = lstm.predict(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/user-1", state)  # see load_state
    """
    arrays = {str(n): array for n, array in enumerate(_leaves(state))}
    write(Path(path), STATE_FILE, {}, arrays)


def load_state(path: str | PathLike[str], like: State) -> State:
    """Return the state in a file, which must have the structure, shapes and dtype of `like`.

    `like` is ``model.zero_state(B)``. Other content is a DamagedFileError.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/user-1", np.ones((1, 1, 2)))  # L, B, H = 1, 1, 2
    ...     load_state(f"{folder}/user-1", GRU(3, 2).zero_state(1))
    array([[[1., 1.]]])
    """
    layout = {str(n): (array.shape, array.dtype) for n, array in enumerate(_leaves(like))}
    with open_safetensors(Path(path), STATE_FILE) as file:
        arrays = iter(file.read_arrays(layout).values())
        return _map(lambda _: next(arrays), like)


def reset_rows(state: State, rows: Array) -> State:
    """Return a state whose rows are zero where `rows` (B,) is true, or at these indices.

    Examples
    --------
    >>> from numpy_rnn import GRU
    >>> y, h = GRU(1, 1, rng=0).predict(np.ones((5, 3, 1)))  # T, B, D = 5, 3, 1
    >>> (reset_rows(h, [True, False, True]) == 0)[0, :, 0].tolist()
    [True, False, True]
    """

    def reset(array: Array) -> Array:
        new = array.copy()
        new[:, rows] = 0
        return new

    return _map(reset, state)


def _leaves(state: State) -> Iterator[Array]:
    if isinstance(state, tuple | list):
        for part in state:
            yield from _leaves(part)
    else:
        yield np.asarray(state)


def _map(function: Callable[[Array], Array], state: State) -> State:
    if isinstance(state, tuple | list):
        return tuple(_map(function, part) for part in state)
    return function(np.asarray(state))
