"""Generate with a language model, one token at a time.

    (1) p_v ~ exp(y_v / temperature)      temperature 0: the most likely token
    (2) top-k   only the k most likely tokens             Fan, Lewis & Dauphin 2018
    (3) top-p   the smallest set of most likely tokens    Holtzman et al. 2020 ("nucleus")
                whose total probability is at least p

(1), (2) and (3) are applied in this order. The probabilities that are left are scaled to sum 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.layers import Layer


def distribution(
    y: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> Array:
    """Return the probability with which each token is drawn.

    Parameters
    ----------
    y : (V,) array
        Logits.
    temperature : float
        Temperature of equation (1), at least 0.
    top_k : int, optional
        k of equation (2), at least 1; default: no limit.
    top_p : float
        p of equation (3), above 0 and at most 1.

    Returns
    -------
    p : (V,) array of float64
        Of equal logits, the first counts as the more likely one.

    Raises
    ------
    ValueError
        If an option is out of its range.

    Examples
    --------
    >>> distribution(np.log([0.1, 0.6, 0.3]), top_k=2).round(3)
    array([0.   , 0.667, 0.333])
    """
    _check_options(temperature, top_k, top_p)
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


def generate(
    model: Layer,
    prompt: Array,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    rng: Rng = None,
) -> Iterator[int]:
    """Draw tokens without end, each from the model's prediction after all tokens before it.

    Parameters
    ----------
    model : Layer
        Token ids in, logits out. It is used as it is now and does not change.
    prompt : (N,) array of int
        At least one token. It is read first, from a zero state.
    temperature, top_k, top_p
        As for :func:`distribution`.
    rng : numpy.random.Generator, int or None
        Generator of the draws, or its seed.

    Yields
    ------
    token : int

    Raises
    ------
    ValueError
        If the prompt is empty or an option is out of its range.

    Examples
    --------
    >>> from itertools import islice
    >>> from numpy_rnn import RNN, Linear, Sequential
    >>> model = Sequential(RNN(4, 2, rng=0), Linear(2, 4, rng=0))
    >>> len(list(islice(generate(model, np.array([0, 3]), rng=0), 5)))
    5
    """
    _check_options(temperature, top_k, top_p)
    if not len(prompt):
        raise ValueError("prompt is empty, expected at least one token")
    generator = np.random.default_rng(rng)
    y, state = model.predict(np.asarray(prompt)[:, None])
    step, y_t = model.stepper(), y[-1]  # (1, V)
    while True:
        p = distribution(y_t[0], temperature, top_k, top_p)
        token = int(generator.choice(len(p), p=p))
        yield token
        y_t, state = step(np.array([token]), state)


def _check_options(temperature: float, top_k: int | None, top_p: float) -> None:
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}, expected a finite number, at least 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected at least 1")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}, expected above 0 and at most 1")
