"""Hypothesis strategies for property tests of recurrent code.

Shapes, states, sequences, gradients and lengths, with the corners that bugs live in: no step,
one step, one row, rows of unequal length, rows of no length. This is the only module here that
needs Hypothesis: ``pip install hypothesis``.

>>> import numpy as np
>>> from hypothesis import find
>>> find(sizes(), lambda drawn: drawn["P"] > 1)
{'T': 0, 'B': 1, 'D': 1, 'H': 2, 'V': 1, 'P': 2}
>>> drawn = find(arguments({"x": "T B D", "h0": "B H"}), lambda values: len(values["x"]) == 2)
>>> drawn["x"].shape, drawn["h0"].shape
((2, 1, 1), (1, 1))
>>> find(seeds(), lambda seed: seed > 2)
3
>>> find(states(1, 2), lambda state: not state.any()).tolist()
[[0.0, 0.0]]
>>> (dh,) = find(cotangents(np.ones((4, 1, 2))), lambda douts: not douts[0][:-1].any())
>>> dh.shape, bool(dh[-1].all())
((4, 1, 2), True)
>>> sorted(find(lengths(3, 5), lambda drawn: drawn.max() == 5).tolist())
[0, 0, 5]
>>> find(resets(2, 2), lambda drawn: drawn.shape == (2, 2)).tolist()
[[False, False], [False, False]]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpy_rnn.checking.nested import as_tuple
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import Given, draw
from numpy_rnn.functional.types import Array

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover (the tests need it themselves)
    raise ImportError(
        "numpy_rnn.checking.strategies needs the extra test: pip install hypothesis"
    ) from error


def sizes(
    *, T: tuple[int, int] = (0, 12), B: tuple[int, int] = (1, 4), other: tuple[int, int] = (1, 6)
) -> st.SearchStrategy[dict[str, int]]:
    """Return a strategy for the sizes of the letters T, B, D, H, P and V.

    The pairs are the smallest and the largest size, `other` those of D, H and V. P is at most H.
    """
    bounds = {"T": T, "B": B, "D": other, "H": other, "V": other}
    return st.fixed_dictionaries(
        {letter: st.integers(*pair) for letter, pair in bounds.items()}
    ).flatmap(lambda s: st.integers(1, s["H"]).map(lambda P: {**s, "P": P}))


@st.composite
def arguments(
    draw_from: st.DrawFn,
    shapes: Mapping[str, Given],
    sizes: st.SearchStrategy[dict[str, int]] | None = None,
) -> dict[str, Any]:
    """Return a strategy for the arguments of a forward pass, none of them zero.

    `shapes` are as for :func:`numpy_rnn.checking.check_gradients`. Sizes of the letters are drawn
    from :func:`sizes` by default.
    """
    chosen = draw_from(globals()["sizes"]() if sizes is None else sizes)
    rng = np.random.default_rng(draw_from(seeds()))
    values, _ = draw(rng, shapes, chosen, REGIMES[0])
    return values


def seeds() -> st.SearchStrategy[int]:
    """Return a strategy for seeds of ``numpy.random.default_rng``."""
    return st.integers(0, 2**32 - 1)


@st.composite
def states(draw_from: st.DrawFn, B: int, size: int) -> Array:
    """Return a strategy for states (B, size): random, zero, or saturated at -1 and 1."""
    rng = np.random.default_rng(draw_from(seeds()))
    kind = draw_from(st.sampled_from(["random", "zero", "saturated"]))
    state = np.asarray(rng.standard_normal((B, size)))
    return {"random": state, "zero": np.zeros_like(state), "saturated": np.sign(state)}[kind]


@st.composite
def cotangents(draw_from: st.DrawFn, outputs: Any) -> tuple[Array, ...]:
    """Return a strategy for gradients of outputs: at every step, at one only, or tiny.

    `outputs` are what forward returned. The strategy gives a tuple with one gradient for each.
    """
    rng = np.random.default_rng(draw_from(seeds()))
    kind = draw_from(st.sampled_from(["everywhere", "last step", "first step", "tiny"]))
    douts = []
    for out in as_tuple(outputs):
        dout = np.asarray(rng.standard_normal(out.shape))
        if kind == "tiny":
            dout *= 1e-20
        if kind == "last step":
            dout[:-1] = 0.0
        if kind == "first step":
            dout[1:] = 0.0
        douts.append(dout)
    return tuple(douts)


def lengths(B: int, T: int) -> st.SearchStrategy[Array]:
    """Return a strategy for the lengths (B,) of the rows of a padded batch, 0 to T."""
    return st.lists(st.integers(0, T), min_size=B, max_size=B).map(lambda n: np.array(n, int))


def resets(T: int, B: int) -> st.SearchStrategy[Array]:
    """Return a strategy for booleans (T, B): the steps before which a row's state is reset."""
    return st.lists(st.lists(st.booleans(), min_size=B, max_size=B), min_size=T, max_size=T).map(
        lambda rows: np.array(rows, bool).reshape(T, B)
    )
