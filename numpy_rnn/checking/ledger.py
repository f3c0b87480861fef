"""The ledger: what each timestep contributed to each weight's gradient.

The gradient of a shared weight is a sum over time; its ledger is that sum, not summed:

    (1) dW = sum_t dW[t],   dW[t] = sum_b dz[t,b] x[t,b]^T           (T, ...) for every weight

A ledger of T steps takes T times the memory of the weights. Where that is more than a budget, it
is made piece by piece, from the last steps to the first: the states at the pieces' beginnings are
kept, a piece's forward pass is run again, and what its first state receives is handed to the
piece before. Each piece can be looked at, reduced and dropped, as :func:`ledger_norms` does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array

BUDGET = 1 << 30  # bytes


class Piece(NamedTuple):
    """Some steps of a ledger."""

    start: int  # the first step
    shares: dict[str, Array]  # (steps, ...) for every parameter


def ledger(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return what each timestep contributed to each parameter's gradient.

    Parameters
    ----------
    model : recurrent layer or Sequential
        Time-major. Its parameters' gradients are left as they are.
    x : (T, B, D) array, or (T, B) array of int
        Its input.
    dy : (T, B, K) array
        Gradient of its output.
    state : optional
        Initial state, as its forward takes it.
    budget : int
        Bytes that the result may take.

    Returns
    -------
    shares : dict of str to (T, ...) array
        Equation (1). Each sums over T to the parameter's gradient, but for rounding.

    Raises
    ------
    ValueError
        If the result would take more than the budget.
    """
    needed = len(x) * model.parameters.data.nbytes
    if needed > budget:
        raise ValueError(
            f"ledger: {len(x)} steps of {model.parameters.data.size} parameters take {needed} "
            f"bytes, expected at most the budget of {budget}: use ledger_pieces or ledger_norms"
        )
    model = copy.deepcopy(model)  # so that a backward that is still to come is not disturbed
    model.forward(x, state)
    shares: dict[str, Array] = model.gradients(dy, None, "t")[2]
    return shares


def ledger_pieces(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> Iterator[Piece]:
    """Yield a ledger piece by piece, the last steps first.

    Parameters
    ----------
    model, x, dy, state
        As for :func:`ledger`; one-directional, because a piece must not need what comes after.
    budget : int
        Bytes that a piece may take; a piece has at least one step.

    Yields
    ------
    piece : Piece

    Raises
    ------
    ValueError
        If the model cannot be run in pieces, or dy is not as long as x.
    """
    steps = max(1, budget // max(1, model.parameters.data.nbytes))
    if len(dy) != len(x):
        raise ValueError(f"ledger_pieces: dy has {len(dy)} steps, expected {len(x)}, those of x")
    for layer in getattr(model, "layers", {"": model}).values():
        drops = layer.training and (getattr(layer, "dropout", 0) or getattr(layer, "p", 0))
        if getattr(layer, "bidirectional", False) or getattr(layer, "batch_first", False) or drops:
            raise ValueError(
                f"ledger_pieces: {layer!r} is bidirectional, batch-first or drops out, expected "
                "a time-major layer in one direction, in eval mode"
            )
    model = copy.deepcopy(model)  # so that a backward that is still to come is not disturbed
    starts = range(0, len(x), steps)
    states = [state]
    for start in starts[:-1]:
        _, after = model.forward(x[start : start + steps], states[-1])
        states.append(after)
    dstate = None
    for start, before in zip(reversed(starts), reversed(states), strict=True):
        piece = slice(start, start + steps)
        model.forward(x[piece], before)
        _, dstate, shares = model.gradients(dy[piece], dstate, "t")
        yield Piece(start, shares)


def ledger_norms(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return the length of each timestep's contribution to each parameter's gradient.

    Parameters
    ----------
    model, x, dy, state, budget
        As for :func:`ledger_pieces`.

    Returns
    -------
    norms : dict of str to (T,) array
    """
    norms = {name: np.zeros(len(x)) for name in model.parameters.shapes}
    for piece in ledger_pieces(model, x, dy, state, budget=budget):
        for name, shares in piece.shares.items():
            flat = shares.reshape(len(shares), -1)
            norms[name][piece.start : piece.start + len(shares)] = np.linalg.norm(flat, axis=1)
    return norms


def per_example(
    model: Any, x: Array, dy: Array, state: Any = None, *, budget: int = BUDGET
) -> dict[str, Array]:
    """Return the gradient of each example of a batch.

    Parameters
    ----------
    model, x, dy, state, budget
        As for :func:`ledger`.

    Returns
    -------
    gradients : dict of str to (B, ...) array
        Each sums over B to the parameter's gradient, but for rounding.

    Raises
    ------
    ValueError
        If the result would take more than the budget.
    """
    needed = x.shape[1] * model.parameters.data.nbytes
    if needed > budget:
        raise ValueError(
            f"per_example: {x.shape[1]} rows of {model.parameters.data.size} parameters take "
            f"{needed} bytes, expected at most the budget of {budget}: hand in fewer rows"
        )
    model = copy.deepcopy(model)  # so that a backward that is still to come is not disturbed
    model.forward(x, state)
    gradients: dict[str, Array] = model.gradients(dy, None, "b")[2]
    return gradients
