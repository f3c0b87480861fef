"""How far back a loss reaches: the attribution matrix.

    (1) A[tau, t] = |dL_tau / ds_t| = |dL_tau / ds_tau  J_tau J_{tau-1} ... J_{t+1}|

Row tau is the step whose loss it is, column t the step that it reaches: the loss at t = 2
reaches t = 2, 1 and 0, and how much of it arrives is the length of the product of Jacobians
J_t = ds_t / ds_{t-1} (Pascanu et al. 2013). Above the diagonal it is zero: a loss does not reach
the future.

All rows go back side by side, so a step is one product, and no J_t is needed but the present one:

    (2) G_t = G_{t+1} J_{t+1}, and dL_t / ds_t as one more row;   A[tau, t] = |row tau of G_t|
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import RecurrentLayer
from numpy_rnn.layers.sequential import Sequential


def attribution(model: Any, x: Array, dy: Array, state: Any = None) -> list[Array]:
    """Return equation (1) for each component of a model's recurrent state.

    Parameters
    ----------
    model : RecurrentLayer or Sequential
        One-directional; of several recurrent layers in a Sequential, the last one is looked
        at. Time-major.
    x : (T, B, D) array, or (T, B) array of int
        Input of the model.
    dy : (T, B, K) array
        Row tau is the gradient of the loss at step tau with respect to the output there.
    state : optional
        Initial state, as the model's forward takes it.

    Returns
    -------
    matrices : list of (T, T) arrays
        One for each component, h and then c for an LSTM: the norm over the layers, the batch
        and the units.

    Raises
    ------
    TypeError
        If the model has no recurrent layer.
    ValueError
        If it is bidirectional or batch-first, or dy is not as long as x.
    """
    model = copy.deepcopy(model)  # so that a backward that is still to come is not disturbed
    if len(dy) != len(x):
        raise ValueError(f"attribution: dy has {len(dy)} steps, expected {len(x)}, those of x")
    layer, inputs, dh, initial = recurrent_part(model, x, dy, state)
    if layer.bidirectional or layer.batch_first:
        raise ValueError(f"attribution: {layer!r}, expected one direction, time-major")
    return back_through(layer, jacobians(layer, inputs, initial), dh)


def back_through(layer: Any, steps: Iterable[Array], dh: Array) -> list[Array]:
    """Return equation (1) from the Jacobians of a layer.

    Parameters
    ----------
    layer : RecurrentLayer
        Whose state it is.
    steps : iterable of (B, S, S) arrays
        From :func:`jacobians`, the last step first.
    dh : (T, B, K) array
        Gradient of each step's loss with respect to the output there.

    Returns
    -------
    matrices : list of (T, T) arrays
        As :func:`attribution`.
    """
    T, B = dh.shape[:2]
    sizes = [size * layer_count(layer) for size in layer.state_sizes]
    # The output is the topmost layer's first component.
    top = slice(sizes[0] - layer.state_sizes[0], sizes[0])
    reach = np.zeros((B, T, sum(sizes)))
    matrices = [np.zeros((T, T)) for _ in sizes]
    for t, J in zip(reversed(range(T)), steps, strict=True):
        reach[:, t, top] = dh[t]
        parts = np.split(reach[:, t:], np.cumsum(sizes)[:-1], axis=2)
        for matrix, part in zip(matrices, parts, strict=True):
            matrix[t:, t] = np.sqrt(np.sum(part * part, axis=(0, 2)))
        reach[:, t:] = reach[:, t:] @ J  # (2)
    return matrices


def layer_count(layer: Any) -> int:
    """Return how many cells of a layer stand on each other."""
    return int(layer.num_layers)


def recurrent_part(model: Any, x: Array, dy: Array, state: Any) -> tuple[Any, Array, Array, Any]:
    """Return the recurrent layer, its input, its output's gradient and its initial state."""
    if isinstance(model, RecurrentLayer):
        return model, x, dy, state
    if not isinstance(model, Sequential):
        raise TypeError(f"attribution: {model!r}, expected a recurrent layer or a Sequential")
    layers = list(model.layers.values())
    places = [i for i, layer in enumerate(layers) if isinstance(layer, RecurrentLayer)]
    if not places:
        raise TypeError(f"attribution: {model!r} has no recurrent layer, expected one")
    states = [None] * len(places) if state is None else list(state)
    used = 0
    for layer in layers[: places[-1]]:
        if isinstance(layer, RecurrentLayer):
            x, _ = layer.forward(x, states[used])
            used += 1
        else:
            x = layer.forward(x)
    inputs = x
    last: Any = layers[places[-1]]
    h, _ = last.forward(x, states[-1])
    for layer in layers[places[-1] + 1 :]:
        h = layer.forward(h)
    dh: Any = dy
    for layer in reversed(layers[places[-1] + 1 :]):
        dh = layer.gradients(dh)[0]
    return last, inputs, dh, states[-1]


def jacobians(layer: Any, inputs: Array, initial: Any) -> Iterator[Array]:
    """Yield J_t of every row of a batch, (B, S, S), the last step first.

    Parameters
    ----------
    layer : RecurrentLayer
        One-directional, time-major.
    inputs : (T, B, D) array, or (T, B) array of int
        What it reads.
    initial : optional
        Its initial state.
    """
    sizes, L = list(layer.state_sizes), layer_count(layer)
    S = L * sum(sizes)
    T, B = inputs.shape[:2]
    dtype = layer.parameters.dtype
    states = [initial]
    for t in range(T - 1):
        states.append(layer.forward(inputs[t : t + 1], states[t])[1])
    identity = [
        np.ascontiguousarray(part.reshape(S, L, -1).transpose(1, 0, 2))
        for part in np.split(np.eye(S, dtype=dtype), np.cumsum([L * s for s in sizes])[:-1], axis=1)
    ]
    for t in reversed(range(T)):
        J = np.empty((B, S, S), dtype)
        for b in range(B):
            copies = _rows(states[t], b, S, L, sizes, dtype)
            x = np.repeat(inputs[t : t + 1, b : b + 1], S, axis=1)
            layer.forward(x, _plain(copies))
            _, dstate, _ = layer.gradients(None, _plain(identity))
            parts = dstate if isinstance(dstate, tuple) else (dstate,)
            J[b] = np.concatenate(
                [part.transpose(1, 0, 2).reshape(S, -1) for part in parts], axis=1
            )
        yield J


def _rows(state: Any, b: int, S: int, L: int, sizes: list[int], dtype: Any) -> list[Array]:
    """Return S copies of one row of a state."""
    if state is None:
        return [np.zeros((L, S, size), dtype) for size in sizes]
    parts = state if isinstance(state, tuple) else (state,)
    return [np.repeat(part[:, b : b + 1], S, axis=1) for part in parts]


def _plain(parts: list[Array]) -> Any:
    return tuple(parts) if len(parts) > 1 else parts[0]
