"""Inputs that expose bugs, drawn from shapes in the mathematics' letters.

    x="T B D", h0="B H", W_ih="4H D", W_hh="4H H", b_ih="4H"

A token is a letter, a number, or a number times a letter. Time, T, and batch, B, say what an
argument is: with T it is a sequence, with B alone a state, and without either a weight. A weight
whose last letter is the last letter of a state is recurrent.

What decides whether a check finds a bug is its input. No array here is zero, T and B are
unequal to each other and to every other size, and five regimes put the gradient where it is
hard to see:

    usual        every step sends a gradient
    distant      only the last step does, so early slices see nothing but what came through time
    saturated    pre-activations of about +-5: slopes of 1e-3 and far less
    vanishing    recurrent weights so small that the gradient loses a factor of 10 to 100 a step;
                 the last step and one in the middle send one
    exploding    recurrent weights so large that it grows; the last step sends one
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array

Axes: TypeAlias = tuple[str, ...]
# What is drawn: a shape, or what a function of (generator, sizes) returns, for what no shape can
# say, such as targets. An argument may also be given as an array, or be None.
Drawn: TypeAlias = "str | Callable[[np.random.Generator, dict[str, int]], Any]"
Given: TypeAlias = "Drawn | Array | None"

SIZES = {"T": 11, "B": 3, "D": 5, "H": 4, "P": 2, "V": 6}


class Regime(NamedTuple):
    """How to scale what is drawn, and what to ask of the comparison."""

    name: str
    weights: float = 1.0
    recurrent: float = 1.0
    senders: Literal["all", "last", "last and middle"] = "all"  # steps that send a gradient
    rtol: float = 1e-10  # of a time slice, for an exact method


REGIMES = (
    Regime("usual"),
    Regime("distant", senders="last"),
    # 1 - h^2, from an h within 1e-9 of 1, has lost nine of its sixteen digits.
    Regime("saturated", weights=3.0, rtol=1e-6),
    Regime("vanishing", recurrent=0.03, senders="last and middle"),
    Regime("exploding", recurrent=3.0, senders="last", rtol=1e-8),
)


def parse(name: str, shape: str, sizes: Mapping[str, int]) -> tuple[Axes, tuple[int, ...]]:
    """Read a shape in letters.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    shape : str
        ``"4H D"``.
    sizes : mapping of str to int
        The size of each letter.

    Returns
    -------
    axes : tuple of str
        The tokens.
    shape : tuple of int
        Their sizes.

    Raises
    ------
    ValueError
        If a token is not a letter, a number or both, or the letter has no size.
    """
    axes = tuple(shape.split())
    found = []
    for token in axes:
        match = re.fullmatch(r"(\d*)([A-Za-z]?)", token)
        if match is None or not token:
            raise ValueError(f"{name}: {token!r} in {shape!r}, expected tokens such as T, 4H or 7")
        factor, letter = match.groups()
        if letter and letter not in sizes:
            known = ", ".join(sizes)
            raise ValueError(
                f"{name}: {letter!r} in {shape!r} has no size, expected one of {known}"
            )
        found.append(int(factor or 1) * (sizes[letter] if letter else 1))
    return axes, tuple(found)


def letter(axis: str) -> str:
    """Return the letter of a token: H of 4H."""
    return axis.lstrip("0123456789")


def state_letters(axes: Mapping[str, Axes]) -> set[str]:
    """Return the letters that the states' sizes have: of every argument (B, letter)."""
    return {a[1] for a in axes.values() if len(a) == 2 and a[0] == "B"}


def draw(
    rng: np.random.Generator,
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    regime: Regime,
) -> tuple[dict[str, Any], dict[str, Axes]]:
    """Draw an argument for every shape.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the numbers come from.
    given : mapping of str to shape, array, function or None
        The arguments. Only shapes are drawn; the others are taken as they are.
    sizes : mapping of str to int
        The size of each letter.
    regime : Regime
        The scales.

    Returns
    -------
    values : dict
        Arguments, float64 where drawn.
    axes : dict of str to tuple of str
        Tokens of those that were given as shapes.
    """
    parsed = {n: parse(n, g, sizes) for n, g in given.items() if isinstance(g, str)}
    axes = {name: a for name, (a, _) in parsed.items()}
    states = state_letters(axes)
    values: dict[str, Any] = {}
    for name, what in given.items():
        if name in parsed:
            a, shape = parsed[name]
            scale = 1.0
            if "T" not in a and "B" not in a:
                recurrent = len(a) == 2 and a[1] in states
                scale = regime.weights * (regime.recurrent if recurrent else 1.0)
                # Sums of products of the size of one product, whatever their number.
                scale *= 1.0 / np.sqrt(max(1, shape[-1])) if len(a) > 1 else 0.5
            values[name] = np.asarray(rng.standard_normal(shape) * scale)
        elif callable(what):
            values[name] = what(rng, dict(sizes))
        else:
            values[name] = what
    return values, axes


def draw_gradients(
    rng: np.random.Generator, outputs: tuple[Array, ...], T: int | None, regime: Regime
) -> list[Array]:
    """Draw a gradient for every output, none of them zero where the loss looks.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the numbers come from.
    outputs : tuple of arrays
        What the forward pass returned.
    T : int or None
        The number of steps, where there is one.
    regime : Regime
        Which steps send a gradient.

    Returns
    -------
    douts : list of arrays
        Like the outputs.
    """
    douts = []
    for out in outputs:
        dtype = np.float32 if np.asarray(out).dtype == np.float32 else np.float64
        dout = np.asarray(rng.standard_normal(np.shape(out)), dtype)
        if regime.senders != "all" and T and dout.ndim > 1 and len(dout) == T:
            middle = T // 2 if regime.senders == "last and middle" else T - 1
            dout[:middle] = dout[middle + 1 : -1] = 0.0
        douts.append(dout)
    return douts
