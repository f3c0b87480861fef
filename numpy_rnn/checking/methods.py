"""Three ways to a derivative that need no backward pass.

    (1) complex step   Im f(v + ihd) / h = f'(v) d + O(h^2)         nothing is subtracted, so h
                       can be 1e-30 and the result is right to the last bits
                       (Squire & Trapp 1998)
    (2) central        (f(v + hd) - f(v - hd)) / 2h = f'(v) d + O(h^2)
                       with h = eps^(1/3) max(1, |v|): truncation and rounding balance at about
                       eps^(2/3), 1e-10 in float64 and 1e-5 in float32
    (3) projection     one derivative along a random normal d in place of one for each element:
                       f'(v) d against the claimed gradient times d. A wrong gradient agrees with
                       probability zero; a bisection over the elements then finds where.

f is sum(dout * out). Every way here is (1) or (2) along a direction d: an element or a
projection.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from numpy_rnn.checking.subject import Subject, Values
from numpy_rnn.functional.types import Array

STEP = 1e-30  # of (1)
Method = Literal["complex step", "central differences"]


class Derivative(NamedTuple):
    """A directional derivative of each output's share of the loss, and how far to trust it."""

    value: float
    noise: float  # what rounding alone can make of it; 0 for the complex step


def directional(
    subject: Subject,
    values: Values,
    douts: Sequence[Array],
    name: str,
    direction: Array,
    method: Method,
    stretch: float = 1.0,
) -> Derivative:
    """Return the derivative of sum(dout * out) when one value moves along a direction.

    Parameters
    ----------
    subject : Subject
        What is differentiated.
    values : dict
        Where. Not changed.
    douts : sequence of arrays
        Gradient of each output.
    name : str
        Which value moves.
    direction : array like that value
        d of (1) and (2).
    method : {"complex step", "central differences"}
        Which of the two.
    stretch : float
        What h of (2) is multiplied with.

    Returns
    -------
    derivative : Derivative
    """
    value = values[name]
    if method == "complex step":
        moved = value + 1j * STEP * direction
        outputs = subject.run(values | {name: moved}).outputs
        with np.errstate(under="ignore"):
            total = sum(
                float(np.sum(np.imag(out) / STEP * dout))
                for out, dout in zip(outputs, douts, strict=True)
            )
        return Derivative(total, 0.0)  # (1)
    eps = float(np.finfo(value.dtype).eps)
    h = eps ** (1 / 3) * max(1.0, float(np.abs(value[direction != 0]).max(initial=0.0))) * stretch
    above = subject.run(values | {name: (value + h * direction).astype(value.dtype)}).outputs
    below = subject.run(values | {name: (value - h * direction).astype(value.dtype)}).outputs
    total, size = 0.0, 0.0
    for up, down, dout in zip(above, below, douts, strict=True):
        total += float(np.sum((up - down) * dout))
        size += float(np.sum(np.abs(up * dout)))
    return Derivative(total / (2 * h), eps * size / h)  # (2)


def gradient(
    subject: Subject, values: Values, douts: Sequence[Array], name: str, method: Method
) -> tuple[Array, float]:
    """Return the gradient of one value, element by element.

    Parameters
    ----------
    subject, values, douts, name, method
        As for :func:`directional`.

    Returns
    -------
    gradient : array like the value
    noise : float
        The largest that rounding can have added to an element.
    """
    value = values[name]
    found = np.zeros(value.shape, np.result_type(value.dtype, np.float64))
    noise = 0.0
    for index in np.ndindex(value.shape):
        direction = np.zeros(value.shape, value.dtype)
        direction[index] = 1
        found[index], n = directional(subject, values, douts, name, direction, method)
        noise = max(noise, n)
    return found, noise


def blocks(shape: tuple[int, ...], time_axis: int | None) -> Iterator[tuple[Any, ...]]:
    """Yield the slices that are compared on their own: every timestep, or the whole."""
    if time_axis is None:
        yield (Ellipsis,)
        return
    for t in range(shape[time_axis]):
        yield (*[slice(None)] * time_axis, t)


def disagreement(
    subject: Subject,
    values: Values,
    douts: Sequence[Array],
    name: str,
    claimed: Array,
    method: Method,
    candidates: Array,
) -> tuple[tuple[int, ...], float, float]:
    """Find by bisection an element whose claimed gradient is wrong.

    Parameters
    ----------
    subject, values, douts, name, method
        As for :func:`directional`.
    claimed : array like the value
        The gradient to judge, known to disagree along a random direction.
    candidates : (N,) array of int
        Flat indices of the elements that the direction had.

    Returns
    -------
    index : tuple of int
    got, expected : float
    """
    rng = np.random.default_rng(0)
    while len(candidates) > 1:
        worst: tuple[float, Array] = (-1.0, candidates)
        for half in np.array_split(candidates, 2):
            direction = np.zeros(claimed.size)
            direction[half] = rng.choice([-1.0, 1.0], len(half))
            direction = direction.reshape(claimed.shape).astype(values[name].dtype)
            exact = directional(subject, values, douts, name, direction, method).value
            off = abs(float(np.sum(claimed * direction)) - exact)
            worst = max(worst, (off, half), key=lambda pair: pair[0])
        candidates = worst[1]
    index = tuple(int(i) for i in np.unravel_index(candidates[0], claimed.shape))
    direction = np.zeros(claimed.shape, values[name].dtype)
    direction[index] = 1
    exact = directional(subject, values, douts, name, direction, method).value
    return index, float(claimed[index]), exact


def is_analytic(subject: Subject, values: Values, douts: Sequence[Array], name: str) -> bool:
    """Whether the complex step gives the slope that central differences see.

    Parameters
    ----------
    subject, values, douts, name
        As for :func:`directional`.

    Returns
    -------
    analytic : bool
        False too if the code refuses complex numbers, drops an imaginary part or warns.
    """
    value = values[name]
    direction = np.asarray(np.random.default_rng(0).standard_normal(value.shape), value.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            exact = directional(subject, values, douts, name, direction, "complex step").value
    except Exception:  # whatever code raises that was not written for complex numbers
        return False
    rough, rougher = (
        directional(subject, values, douts, name, direction, "central differences", stretch)
        for stretch in (1.0, 2.0)
    )
    # Truncation grows by four from one to the other; an edge, as of abs, shows no such growth.
    truncation = abs(rough.value - rougher.value)
    slack = 1e-6 * abs(rough.value) + 10 * truncation + 1e3 * rough.noise + 1e-9
    return abs(exact - rough.value) <= slack
