"""States as values: write one to a file, read it back, reset some of its rows.

A state is an array (L, B, size), or a tuple of states; ``()`` is that of a layer without one. Keep
one for each user, robot or audio stream, and give it to ``predict`` or a stepper with each input.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

import numpy as np

from numpy_rnn.arguments import as_array, check_path
from numpy_rnn.functional.types import Array, State
from numpy_rnn.layers.cut import map_state
from numpy_rnn.layers.validate import check_float, check_shape, check_tokens
from numpy_rnn.safetensors import open_safetensors, write

STATE_FILE, ENTRY = "a state of numpy_rnn", "numpy_rnn_state"


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
    arrays = {str(n): array for n, array in enumerate(_leaves("save_state", "state", state))}
    write(check_path("save_state", "path", path), {ENTRY: {}}, arrays)


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
    leaves = enumerate(_leaves("load_state", "like", like))
    layout = {str(n): (array.shape, array.dtype) for n, array in leaves}
    with open_safetensors(check_path("load_state", "path", path), STATE_FILE) as file:
        file.settings(ENTRY)
        arrays = iter(file.read_arrays(layout).values())
        return map_state(lambda _: next(arrays), like)


def reset_rows(state: State, rows: Array) -> State:
    """Return a state whose rows are zero where `rows` (B,) is true, or at these indices.

    Examples
    --------
    >>> from numpy_rnn import GRU
    >>> y, h = GRU(1, 1, rng=0).predict(np.ones((5, 3, 1)))  # T, B, D = 5, 3, 1
    >>> (reset_rows(h, [True, False, True]) == 0)[0, :, 0].tolist()
    [True, False, True]
    """
    where = "reset_rows"
    which = as_array(where, "rows", rows)
    which = which if which.size else which.astype(int)  # an empty list
    if which.dtype.kind not in "biu":
        raise TypeError(f"{where}: rows has dtype {which.dtype}, expected bool or integers")

    def reset(array: Array) -> Array:
        if which.dtype == bool:
            check_shape(where, "rows", which, ((array.shape[1],),))
        else:
            check_tokens(where, "rows", which, array.shape[1])
        new = np.array(array)
        new[:, which] = 0
        return new

    list(_leaves(where, "state", state, axes=(3,)))
    return map_state(reset, state)


def _leaves(where: str, name: str, state: State, axes: tuple[int, ...] = (2, 3)) -> Iterator[Array]:
    """Yield the arrays of a state, each of which has one of these numbers of axes."""
    if isinstance(state, tuple | list):
        for n, part in enumerate(state):
            yield from _leaves(where, f"{name}[{n}]", part, axes)
        return
    array = check_float(where, name, state)
    if array.ndim not in axes:
        expected = "(L, B, size)" if axes == (3,) else "(L, B, size) or (L, size)"
        raise ValueError(f"{where}: {name} has shape {array.shape}, expected {expected}")
    yield array
