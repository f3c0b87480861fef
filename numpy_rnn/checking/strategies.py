"""Hypothesis strategies for property tests of recurrent code.

Shapes, states, sequences, gradients and lengths, with the corners that bugs live in: no step,
one step, one row, rows of unequal length, rows of no length. Needs Hypothesis, the only module
here that does: ``pip install numpy-rnn[test]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.shapes import REGIMES, Given, draw
from numpy_rnn.functional.types import Array

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover (the tests need it themselves)
    raise ImportError(
        "numpy_rnn.checking.strategies needs hypothesis: pip install numpy-rnn[test]"
    ) from error


def sizes(
    *, T: tuple[int, int] = (0, 12), B: tuple[int, int] = (1, 4), other: tuple[int, int] = (1, 6)
) -> st.SearchStrategy[dict[str, int]]:
    """Sizes of all letters.

    Parameters
    ----------
    T, B, other : pairs of int
        Smallest and largest number of steps, of rows, and of everything else.

    Returns
    -------
    strategy : of dict with keys T, B, D, H, P, V
        P is at most H.
    """
    return st.fixed_dictionaries(
        {
            "T": st.integers(*T),
            "B": st.integers(*B),
            **{letter: st.integers(*other) for letter in "DHV"},
        }
    ).flatmap(lambda s: st.integers(1, s["H"]).map(lambda P: {**s, "P": P}))


@st.composite
def arguments(
    draw_from: st.DrawFn,
    shapes: Mapping[str, Given],
    sizes: st.SearchStrategy[dict[str, int]] | None = None,
) -> dict[str, Any]:
    """Arguments of a forward pass, none of them zero.

    Parameters
    ----------
    shapes : mapping of str to shape
        As for :func:`numpy_rnn.checking.check_gradients`: ``{"x": "T B D", "h0": "B H"}``.
    sizes : strategy, optional
        Of the sizes; :func:`sizes` if left out.

    Returns
    -------
    strategy : of dict of str to array
    """
    chosen = draw_from(globals()["sizes"]() if sizes is None else sizes)
    rng = np.random.default_rng(draw_from(seeds()))
    values, _ = draw(rng, shapes, chosen, REGIMES[0])
    return values


def seeds() -> st.SearchStrategy[int]:
    """Seeds for numpy.random.default_rng."""
    return st.integers(0, 2**32 - 1)


@st.composite
def states(draw_from: st.DrawFn, B: int, size: int) -> Array:
    """States (B, size): random, zero, or saturated at -1 and 1."""
    rng = np.random.default_rng(draw_from(seeds()))
    kind = draw_from(st.sampled_from(["random", "zero", "saturated"]))
    state = np.asarray(rng.standard_normal((B, size)))
    return {"random": state, "zero": 0.0 * state, "saturated": np.sign(state)}[kind]


@st.composite
def cotangents(draw_from: st.DrawFn, outputs: Any) -> tuple[Array, ...]:
    """Gradients for the outputs of a forward pass: everywhere, at one step only, or tiny.

    Parameters
    ----------
    outputs : array or tuple of arrays
        What forward returned.

    Returns
    -------
    strategy : of tuple of arrays, one for each output
    """
    rng = np.random.default_rng(draw_from(seeds()))
    flat: Sequence[Array] = outputs if isinstance(outputs, tuple) else (outputs,)
    kind = draw_from(st.sampled_from(["everywhere", "last step", "first step", "tiny"]))
    douts = []
    for out in flat:
        dout = np.asarray(rng.standard_normal(np.shape(out)))
        if kind == "tiny":
            dout *= 1e-20
        if kind == "last step":
            dout[:-1] = 0.0
        if kind == "first step":
            dout[1:] = 0.0
        douts.append(dout)
    return tuple(douts)


def lengths(B: int, T: int) -> st.SearchStrategy[Array]:
    """Lengths (B,) of the rows of a padded batch, 0 to T, in any order."""
    return st.lists(st.integers(0, T), min_size=B, max_size=B).map(lambda n: np.array(n, int))


def resets(T: int, B: int) -> st.SearchStrategy[Array]:
    """Booleans (T, B): where a row's state is put back."""
    return st.lists(st.lists(st.booleans(), min_size=B, max_size=B), min_size=T, max_size=T).map(
        lambda rows: np.array(rows, bool).reshape(T, B)
    )
