"""Where a gradient comes from: the ledger and the attribution matrix.

The ledger is the per-timestep gradients of the weights. A shared weight's gradient is a sum over
time, and its ledger is that sum, not summed:

    (1) dW = sum_t dW[t],   dW[t] = sum_b dz[t,b] x[t,b]^T           (T, ...) for every weight

A ledger of T steps takes T times the memory of the weights. Above a budget it is made in chunks,
from the last steps to the first. The states at the beginnings of the chunks are kept. A chunk's
forward pass is run again, and the gradient of its first state goes to the chunk before.

The attribution matrix shows how far back a loss reaches (Pascanu et al. 2013):

    (2) A[tau, t] = |dL_tau / ds_t| = |dL_tau / ds_tau  J_tau J_{tau-1} ... J_{t+1}|

Row tau is the step of the loss, column t the step that it reaches, J_t = ds_t / ds_{t-1}. Above
the diagonal the matrix is zero, because a loss does not reach the future. All rows go back side
by side, so a step is one product and only the present J_t is needed:

    (3) G_t = G_{t+1} J_{t+1}, and dL_t / ds_t as one more row;   A[tau, t] = |row tau of G_t|
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.nested import as_tuple, regroup
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Recurrent, Sequential

BUDGET = 1 << 30  # bytes
KEPT = {  # by the axis that is kept: what is asked for, and what to do if it is too large
    "t": ("ledger: {} steps", "use ledger_chunks or ledger_norms"),
    "b": ("per_example: {} examples", "pass fewer examples"),
}


class LedgerChunk(NamedTuple):
    """Some steps of a ledger."""

    start: int  # the first step
    gradients: dict[str, Array]  # (steps, ...) for every parameter


def ledger(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return what each timestep contributes to each parameter's gradient.

    Parameters
    ----------
    model : recurrent layer or Sequential
        Time-major. Nothing of it is changed.
    x : (T, B, D) array, or (T, B) array of int
        Its input.
    dy : (T, B, K) array
        Gradient of its output.
    state : optional
        Initial state, as its forward takes it; zeros by default.
    budget : int
        Largest size of the result in bytes. A larger one is a ValueError.

    Returns
    -------
    gradients : dict of str to (T, ...) array
        Equation (1). Each sums over T to the parameter's gradient, up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> dy = np.zeros((5, 1, 4))
    >>> dy[2] = 1.0  # the loss at t = 2 reaches t = 2, 1 and 0
    >>> by_step = ledger(RNN(3, 4, rng=0), np.ones((5, 1, 3)), dy)["weight_ih_l0"]
    >>> by_step.shape, [bool(step.any()) for step in by_step]
    ((5, 4, 3), [True, True, True, False, False])
    """
    return _kept_gradients(model, x, dy, state, budget, "t")


def per_example(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return the gradient (B, ...) of each example of a batch, for each parameter.

    The arguments are those of :func:`ledger`. Each sums over B to the parameter's gradient, up to
    rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> x, dy = np.ones((5, 2, 3)), np.ones((5, 2, 4))
    >>> per_example(RNN(3, 4, rng=0), x, dy)["weight_hh_l0"].shape
    (2, 4, 4)
    """
    return _kept_gradients(model, x, dy, state, budget, "b")


def _kept_gradients(
    model: Any, x: Array, dy: Array, state: Any, budget: int, keep: str
) -> dict[str, Array]:
    count, flat = x.shape["tb".index(keep)], model.parameters.data
    what, advice = KEPT[keep]
    if count * flat.nbytes > budget:
        raise ValueError(
            f"{what.format(count)} of {flat.size} parameters take {count * flat.nbytes} bytes, "
            f"expected at most the budget of {budget}: {advice}"
        )
    model = copy.deepcopy(model)  # so that its dropout draws the next mask again
    _, _, cache = model.apply(x, state)
    gradients: dict[str, Array] = model.vjp(cache, dy, keep=keep)[2]
    return gradients


def ledger_chunks(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> Iterator[LedgerChunk]:
    """Yield a ledger in chunks, the last steps first.

    The arguments are those of :func:`ledger`. The model has one direction only, because a chunk
    must not need what comes after. `budget` is for each chunk, which has at least one step.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> x, dy = np.ones((5, 1, 3)), np.ones((5, 1, 4))
    >>> rnn = RNN(3, 4, rng=0)
    >>> budget = 2 * rnn.parameters.data.nbytes  # two steps
    >>> [chunk.start for chunk in ledger_chunks(rnn, x, dy, budget=budget)]
    [4, 2, 0]
    """
    steps = max(1, budget // max(1, model.parameters.data.nbytes))
    if len(dy) != len(x):
        raise ValueError(f"ledger_chunks: dy has {len(dy)} steps, expected {len(x)}, those of x")
    for layer, _ in _flatten(model, None):
        drops = layer.training and (getattr(layer, "dropout", 0) or getattr(layer, "p", 0))
        other_way = getattr(layer, "bidirectional", False) or getattr(layer, "reverse", False)
        if other_way or getattr(layer, "batch_first", False) or drops:
            raise ValueError(
                f"ledger_chunks: {layer!r} runs backwards, is batch-first or drops out, expected "
                "a time-major layer in one direction, in eval mode"
            )
    starts = range(0, len(x), steps)
    states = [state]
    for start in starts[:-1]:
        states.append(model.apply(x[start : start + steps], states[-1])[1])
    dstate = None
    for start, before in zip(reversed(starts), reversed(states), strict=True):
        chunk = slice(start, start + steps)
        _, _, cache = model.apply(x[chunk], before)
        _, dstate, gradients = model.vjp(cache, dy[chunk], dstate, "t")
        yield LedgerChunk(start, gradients)


def ledger_norms(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return the norm (T,) of each timestep's contribution to each parameter's gradient.

    The arguments are those of :func:`ledger_chunks`.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> x, dy = np.ones((5, 1, 3)), np.ones((5, 1, 4))
    >>> ledger_norms(RNN(3, 4, rng=0), x, dy)["weight_hh_l0"].shape
    (5,)
    """
    norms = {name: np.zeros(len(x)) for name in model.parameters.shapes}
    for chunk in ledger_chunks(model, x, dy, state, budget=budget):
        for name, gradients in chunk.gradients.items():
            flat = gradients.reshape(len(gradients), -1)
            norms[name][chunk.start : chunk.start + len(flat)] = np.linalg.norm(flat, axis=1)
    return norms


def attribution(model: Any, x: Array, dy: Array, state: Any = None) -> list[Array]:
    """Return the attribution matrix of each component of a model's recurrent state.

    Parameters
    ----------
    model : recurrent layer or Sequential
        One-directional and time-major. Of several recurrent layers in a Sequential, the last
        one is measured.
    x, state
        As for :func:`ledger`.
    dy : (T, B, K) array
        Row tau is the gradient of the loss at step tau with respect to the output there.

    Returns
    -------
    matrices : list of (T, T) arrays
        Equation (2), one for each component: h and then c for an LSTM. The norm is over the
        layers, the batch and the units.

    References
    ----------
    Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> (A,) = attribution(RNN(3, 4, rng=0), np.ones((3, 1, 3)), np.ones((3, 1, 4)))
    >>> (A > 0).astype(int).tolist()  # row: step of the loss; column: step that it reaches
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    if len(dy) != len(x):
        raise ValueError(f"attribution: dy has {len(dy)} steps, expected {len(x)}, those of x")
    layer, inputs, dh, initial = recurrent_part(copy.deepcopy(model), x, dy, state)
    if not layer.causal or layer.batch_first:
        raise ValueError(f"attribution: {layer!r}, expected one direction, time-major")
    return back_through(layer, jacobians(layer, inputs, initial), dh)


def recurrent_part(model: Any, x: Array, dy: Array, state: Any) -> tuple[Any, Array, Array, Any]:
    """Return the last recurrent layer, its input, its output's gradient and its initial state."""
    if not isinstance(model, Recurrent | Sequential):
        raise TypeError(f"attribution: {model!r}, expected a recurrent layer or a Sequential")
    stages = list(_flatten(model, state))
    last = max((i for i, (s, _) in enumerate(stages) if isinstance(s, Recurrent)), default=None)
    if last is None:
        raise TypeError(f"attribution: {model!r} has no recurrent layer, expected one")
    for layer, initial in stages[:last]:
        x, _, _ = layer.apply(x, initial)
    recurrent, initial = stages[last]
    h, _, _ = recurrent.apply(x, initial)
    caches = []
    for layer, _ in stages[last + 1 :]:
        h, _, cache = layer.apply(h)
        caches.append((layer, cache))
    for layer, cache in reversed(caches):
        dy = layer.vjp(cache, dy)[0]
    return recurrent, x, dy, initial


def _flatten(model: Any, state: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the layers of nested Sequentials in order, each with its part of the state."""
    if not isinstance(model, Sequential):
        yield model, state
        return
    states = iter(() if state is None else state)
    for layer in model.layers.values():
        yield from _flatten(layer, next(states, None) if layer.stateful else None)


def jacobians(layer: Any, inputs: Array, initial: Any) -> Iterator[Array]:
    """Yield J_t of every row of a batch, (B, S, S), the last step first."""
    T, B = inputs.shape[:2]
    L, dtype = layer.num_layers, layer.parameters.dtype
    sizes = [L * size for size in layer.state_sizes]
    S = sum(sizes)
    states = [layer.zero_state(B) if initial is None else initial]
    for t in range(T - 1):
        states.append(layer.apply(inputs[t : t + 1], states[t])[1])
    # The gradients of S copies of each state: copy i asks for row i of J_t.
    unit = [
        np.tile(columns.reshape(S, L, -1).transpose(1, 0, 2), (1, B, 1))  # (L, B S, size)
        for columns in np.split(np.eye(S, dtype=dtype), np.cumsum(sizes)[:-1], axis=1)
    ]
    for t in reversed(range(T)):
        copies = [np.repeat(part, S, axis=1) for part in as_tuple(states[t])]
        x_t = np.repeat(inputs[t : t + 1], S, axis=1)
        _, _, cache = layer.apply(x_t, regroup(copies, states[t]))
        _, dstate, _ = layer.vjp(cache, None, regroup(unit, states[t]))
        rows = [part.transpose(1, 0, 2).reshape(B, S, -1) for part in as_tuple(dstate)]
        yield np.concatenate(rows, axis=2)


def back_through(layer: Any, steps: Iterable[Array], dh: Array) -> list[Array]:
    """Return the attribution matrix (T, T) of each component of a layer's state.

    `steps` are from :func:`jacobians`. `dh` (T, B, K) is the gradient of each step's loss with
    respect to the layer's output there.
    """
    T, B = dh.shape[:2]
    sizes = [size * layer.num_layers for size in layer.state_sizes]
    # The output is the topmost layer's first component.
    top = slice(sizes[0] - layer.state_sizes[0], sizes[0])
    reach = np.zeros((B, T, sum(sizes)))
    matrices = [np.zeros((T, T)) for _ in sizes]
    for t, J in zip(reversed(range(T)), steps, strict=True):
        reach[:, t, top] = dh[t]
        parts = np.split(reach[:, t:], np.cumsum(sizes)[:-1], axis=2)
        for matrix, part in zip(matrices, parts, strict=True):
            matrix[t:, t] = np.sqrt(np.sum(part * part, axis=(0, 2)))
        reach[:, t:] = reach[:, t:] @ J  # (3)
    return matrices
