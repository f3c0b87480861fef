"""How far back a loss reaches: the attribution matrix.

    (1) A[tau, t] = |dL_tau / ds_t| = |dL_tau / ds_tau  J_tau J_{tau-1} ... J_{t+1}|

Row tau is the step whose loss it is, column t the step that it reaches: the loss at t = 2
reaches t = 2, 1 and 0, and how much of it arrives is the length of the product of Jacobians
J_t = ds_t / ds_{t-1} (Pascanu et al. 2013). Above the diagonal it is zero: a loss does not reach
the future.
"""

from __future__ import annotations

import copy
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
    T = len(inputs)
    J, sizes = jacobians(layer, inputs, initial)  # (T, B, S, S)
    B, S = J.shape[1:3]
    # The output is the topmost layer's first component.
    top = slice(sizes[0] * (layer_count(layer) - 1), sizes[0] * layer_count(layer))
    splits = np.cumsum([size * layer_count(layer) for size in sizes])[:-1]
    matrices = [np.zeros((T, T)) for _ in sizes]
    for tau in range(T):
        reach = np.zeros((B, S))
        reach[:, top] = dh[tau]
        for t in range(tau, -1, -1):
            for matrix, part in zip(matrices, np.split(reach, splits, axis=1), strict=True):
                matrix[tau, t] = np.linalg.norm(part)
            reach = (reach[:, None] @ J[t])[:, 0]  # (1)
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


def jacobians(layer: Any, inputs: Array, initial: Any) -> tuple[Array, list[int]]:
    """Return J_t of every step and row, (T, B, S, S), and the size of each component."""
    sizes, L = list(layer.state_sizes), layer_count(layer)
    S = L * sum(sizes)
    T, B = inputs.shape[:2]
    dtype = layer.parameters.dtype
    state = initial
    found = np.empty((T, B, S, S), dtype)
    identity = [
        np.ascontiguousarray(part.reshape(S, L, -1).transpose(1, 0, 2))
        for part in np.split(np.eye(S, dtype=dtype), np.cumsum([L * s for s in sizes])[:-1], axis=1)
    ]
    for t in range(T):
        _, after = layer.forward(inputs[t : t + 1], state)
        for b in range(B):
            copies = _rows(state, b, S, L, sizes, dtype)
            x = np.repeat(inputs[t : t + 1, b : b + 1], S, axis=1)
            layer.forward(x, _plain(copies))
            _, dstate, _ = layer.gradients(None, _plain(identity))
            parts = dstate if isinstance(dstate, tuple) else (dstate,)
            found[t, b] = np.concatenate(
                [part.transpose(1, 0, 2).reshape(S, -1) for part in parts], axis=1
            )
        state = after
    return found, sizes


def _rows(state: Any, b: int, S: int, L: int, sizes: list[int], dtype: Any) -> list[Array]:
    """Return S copies of one row of a state."""
    if state is None:
        return [np.zeros((L, S, size), dtype) for size in sizes]
    parts = state if isinstance(state, tuple) else (state,)
    return [np.repeat(part[:, b : b + 1], S, axis=1) for part in parts]


def _plain(parts: list[Array]) -> Any:
    return tuple(parts) if len(parts) > 1 else parts[0]
