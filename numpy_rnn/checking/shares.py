"""Parts of an exact gradient, to tell what a wrong one is.

by loss    what the loss at step t of batch row b contributes          dL_tb / dW
by use     what the use of the weight at step t contributes: run the pair up to t, one step
           with W moved, and on from there with W as it was
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.methods import STEP
from numpy_rnn.checking.shapes import Axes
from numpy_rnn.checking.subject import PairSubject, Subject, Values
from numpy_rnn.functional.types import Array


class Sizes(NamedTuple):
    """Steps and rows."""

    T: int
    B: int


def shares_by_loss(
    subject: Subject, values: Values, douts: Sequence[Array], name: str, sizes: Sizes
) -> Array | None:
    """Return what each (t, b) of the outputs contributes to the exact gradient of a value.

    Parameters
    ----------
    subject, values, douts
        What is differentiated, where, and the gradient of each output.
    name : str
        Of the value.
    sizes : Sizes
        Steps and rows of the outputs.

    Returns
    -------
    shares : (T, B, ...) array, or None where an output has no such axes
    """
    if any(np.shape(dout)[:2] != sizes for dout in douts):
        return None
    value = values[name]
    shares = np.zeros((*sizes, *value.shape))
    for index in np.ndindex(value.shape):
        moved = value.astype(complex)
        moved[index] += 1j * STEP
        outputs = subject.run(values | {name: moved}).outputs
        for out, dout in zip(outputs, douts, strict=True):
            share = np.imag(out) / STEP * dout
            shares[(slice(None), slice(None), *index)] += share.reshape(*sizes, -1).sum(axis=2)
    return shares


def shares_by_use(
    subject: PairSubject,
    values: Values,
    axes: dict[str, Axes],
    douts: Sequence[Array],
    name: str,
) -> Array | None:
    """Return what each use of a weight contributes to its exact gradient.

    Parameters
    ----------
    subject : PairSubject
        A pair whose outputs are the trajectories of its states, in order.
    values, douts
        Where, and the gradient of each output.
    axes : dict of str to tuple of str
        Tokens: those with T are sequences, those with B alone states.
    name : str
        Of the weight.

    Returns
    -------
    shares : (T, ...) array, or None where the pair is not of that kind
    """
    states = [n for n, a in axes.items() if len(a) == 2 and a[0] == "B"]
    sequences = [n for n in values if "T" in axes.get(n, ())]
    if len(states) != len(douts) or not sequences or not states:
        return None
    value, T = values[name], len(values[sequences[0]])
    shares = np.zeros((T, *value.shape))
    for t in range(T):
        start = _piece(subject, values, sequences, states, slice(0, t))
        for index in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[index] += 1j * STEP
            here = values | start | {name: moved}
            outputs = _outputs(subject, here, sequences, slice(t, t + 1))
            later = values | dict(zip(states, (out[-1] for out in outputs), strict=True))
            rest = _outputs(subject, later, sequences, slice(t + 1, T)) if t + 1 < T else ()
            total = sum(
                np.sum(o.imag / STEP * d[t : t + 1]) for o, d in zip(outputs, douts, strict=True)
            )
            total += sum(
                np.sum(o.imag / STEP * d[t + 1 :]) for o, d in zip(rest, douts, strict=False)
            )
            shares[(t, *index)] = total
    return shares


def _outputs(
    subject: PairSubject, values: Values, sequences: list[str], steps: slice
) -> tuple[Any, ...]:
    return subject.run(values | {n: values[n][steps] for n in sequences}).outputs


def _piece(
    subject: PairSubject, values: Values, sequences: list[str], states: list[str], steps: slice
) -> Values:
    """Return the states after some first steps."""
    if steps.stop == 0:
        return {}
    outputs = _outputs(subject, values, sequences, steps)
    return dict(zip(states, (out[-1] for out in outputs), strict=True))
