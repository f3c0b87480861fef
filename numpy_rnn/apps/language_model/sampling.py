"""Writing with a language model, one character at a time.

    (1) p_v ~ exp(y_v / temperature)           temperature 0: the likeliest character
    (2) top-k   only the k likeliest           Fan, Lewis & Dauphin 2018
    (3) top-p   only the likeliest that together have the probability p or, the last of them,
                more; at least one             Holtzman et al. 2020 ("nucleus")

(2) and (3) follow (1) in this order, and what is left is scaled to the sum 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.layers import Sequential


def distribution(
    y: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> Array:
    """Return the probability with which each symbol is drawn.

    Parameters
    ----------
    y : (V,) array
        Logits.
    temperature : float
        Equation (1).
    top_k : int, optional
        Equation (2).
    top_p : float
        Equation (3).

    Returns
    -------
    p : (V,) array of float64
        With sum 1. Of equal logits the one that comes first counts as likelier.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """
    check_options(temperature, top_k, top_p)
    y = y.astype(np.float64)
    order = np.argsort(-y, kind="stable")
    p = np.zeros(len(y))
    if temperature == 0:
        p[order[0]] = 1
        return p
    with np.errstate(under="ignore"):
        likeliest = np.exp((y[order] - y[order[0]]) / temperature)  # (1)
    if top_k is not None:
        likeliest[top_k:] = 0  # (2)
    likeliest /= likeliest.sum()
    before = np.cumsum(likeliest) - likeliest
    likeliest[1:][before[1:] >= top_p] = 0  # (3)
    p[order] = likeliest / likeliest.sum()
    return p


def check_options(temperature: float, top_k: int | None, top_p: float) -> None:
    """Raise ValueError if an option of :func:`distribution` is out of its range."""
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}, expected a finite number, at least 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected at least 1")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}, expected above 0 and at most 1")


def generate(
    model: Sequential,
    prompt: Array,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    rng: Rng = None,
) -> Iterator[int]:
    """Draw symbols without end, each from what the model expects after those before it.

    Parameters
    ----------
    model : Sequential
        Symbols in, logits out. It is put into evaluation mode.
    prompt : (N,) array of int
        What is read first, from the zero state; at least one symbol.
    temperature, top_k, top_p
        As for :func:`distribution`.
    rng : numpy.random.Generator, int or None
        What is drawn from; nothing else is.

    Yields
    ------
    symbol : int

    Raises
    ------
    ValueError
        If the prompt is empty or an option is out of its range.
    """
    check_options(temperature, top_k, top_p)
    if not len(prompt):
        raise ValueError("prompt is empty, expected at least one symbol")
    generator = np.random.default_rng(rng)
    model.eval()
    y, state = model.forward(np.asarray(prompt)[:, None])
    y_t = y[-1, 0]
    while True:
        p = distribution(y_t, temperature, top_k, top_p)
        symbol = int(generator.choice(len(p), p=p))
        yield symbol
        y, state = model.step(np.array([symbol]), state)
        y_t = y[0]
