"""The pre-activations' gradient, seen from outside.

No one returns dz, the gradient of the pre-activations, but it tells most: which gate, at which
step, in which row. With one-hot inputs, another place for each step and row, x[t,b] = e_(tB+b),

    dW_ih = sum_t,b dz[t,b] x[t,b]^T        has dz[t,b] as its column tB + b.

So the gradient of W_ih shows dz itself, and comparing that column by column with the complex
step names the gate, the timestep and the row where a backward pass goes wrong first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, compare
from numpy_rnn.checking.methods import gradient
from numpy_rnn.checking.shapes import Axes, Given, Regime, draw, draw_gradients, letter
from numpy_rnn.checking.subject import PairSubject, copies
from numpy_rnn.functional.types import Array


class Probe(NamedTuple):
    """The pre-activations' gradient (T, B, G) as claimed and as it is."""

    comparison: Comparison
    got: Array
    expected: Array
    gates: tuple[str, ...]  # those that are wrong at the latest wrong step


def probe(
    subject: PairSubject,
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    gates: tuple[str, ...],
    regime: Regime,
    seed: int,
) -> Probe | None:
    """Look at the gradient of the pre-activations.

    Parameters
    ----------
    subject : PairSubject
        The pair.
    given : mapping of str to shape, array, function or None
        Its arguments.
    sizes : mapping of str to int
        The size of each letter.
    gates : tuple of str
        Names of the row blocks.
    regime : Regime
        In which something was wrong.
    seed : int
        For the inputs.

    Returns
    -------
    probe : Probe, or None where no argument is a sequence with a weight of its own
    """
    rng = np.random.default_rng(seed)
    _, axes = draw(rng, given, sizes, regime)
    found = _projection(axes)
    if found is None:
        return None
    x, W = found
    T, B = sizes["T"], sizes["B"]
    wide = {**sizes, letter(axes[x][2]): T * B}
    values, axes = draw(rng, given, wide, regime)
    values[x] = np.eye(T * B).reshape(T, B, T * B)
    douts = draw_gradients(rng, subject.run(values).outputs, T, regime)
    expected, _ = gradient(subject, values, douts, W, "complex step")
    got = subject.run(values).backward(copies(douts))[W]
    if got is None or np.shape(got) != expected.shape:
        return None
    G = len(expected)
    dz, claimed = (np.ascontiguousarray(a.T).reshape(T, B, G) for a in (expected, np.asarray(got)))
    token = axes[W][0]
    comparison = compare("dz", claimed, dz, ("T", "B", token), (), regime.rtol)
    return Probe(comparison, claimed, dz, _wrong_gates(comparison, claimed, dz, gates, regime))


def _projection(axes: Mapping[str, Axes]) -> tuple[str, str] | None:
    """Return the names of x (T, B, D) and of its weight (G, D)."""
    for x, a in axes.items():
        if len(a) == 3 and a[:2] == ("T", "B"):
            for W, b in axes.items():
                if len(b) == 2 and b[1] == a[2] and not {"T", "B"} & set(b):
                    return x, W
    return None


def _wrong_gates(
    comparison: Comparison, got: Array, expected: Array, gates: tuple[str, ...], regime: Regime
) -> tuple[str, ...]:
    if not comparison.wrong_steps or not gates:
        return ()
    t = comparison.wrong_steps[-1]
    off = np.abs(got[t] - expected[t]).reshape(len(expected[t]), len(gates), -1).max(axis=(0, 2))
    bound = regime.rtol * np.abs(expected[t]).max()
    return tuple(gate for gate, wrong in zip(gates, off > bound, strict=True) if wrong)
