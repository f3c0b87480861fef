"""Inputs that expose bugs, drawn from shapes written in letters.

    x="T B D", h0="B H", W_ih="4H D", W_hh="4H H", b_ih="4H"

A token is a letter, a number, or a number times a letter. The letters T (time) and B (batch)
decide what an argument is. With T it is a sequence, with B alone a state, and without either
a weight. A weight is recurrent if its last letter is the last letter of a state.

Whether a check finds a bug depends on its inputs. No array drawn here is zero. T and B differ
from each other and from every other size. Five regimes put the gradient where a bug is hard
to see:

    usual           every step sends a gradient
    last-step-only  the loss is at the last step, so early slices see only what crossed time
    saturated       pre-activations near +-5: slopes of 1e-3 and far less
    vanishing       recurrent weights so small that the gradient shrinks 10 to 100 times a step;
                    the loss is at the last step and at one in the middle
    exploding       recurrent weights so large that the gradient grows; the loss is at the
                    last step
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array

Axes: TypeAlias = tuple[str, ...]
# What can be drawn: a shape, or a function of (generator, sizes) for what no shape can express,
# such as targets. A given argument may also be an array, or None.
Drawn: TypeAlias = "str | Callable[[np.random.Generator, dict[str, int]], Any]"
Given: TypeAlias = "Drawn | Array | None"

SIZES = {"T": 11, "B": 3, "D": 5, "H": 4, "P": 2, "V": 6}


class InputRegime(NamedTuple):
    """The scales of the inputs, the steps with a loss, and the tolerance that goes with them."""

    name: str
    weights: float = 1.0
    recurrent: float = 1.0
    loss_steps: Literal["all", "last", "last and middle"] = "all"
    rtol: float = 1e-10  # of a time slice, for an exact method


REGIMES = (
    InputRegime("usual"),
    InputRegime("last-step-only", loss_steps="last"),
    # 1 - h^2, from an h within 1e-9 of 1, has lost nine of its sixteen digits.
    InputRegime("saturated", weights=3.0, rtol=1e-6),
    InputRegime("vanishing", recurrent=0.03, loss_steps="last and middle"),
    InputRegime("exploding", recurrent=3.0, loss_steps="last", rtol=1e-8),
)
# For arguments that are given as arrays, whose scale is not ours to choose.
GIVEN_REGIMES = (InputRegime("given"), InputRegime("given, last step only", loss_steps="last"))


def choose_regimes(names: Sequence[str] | None) -> tuple[InputRegime, ...]:
    """Return the regimes of these names, or all of them for None."""
    if names is None:
        return REGIMES
    known = {regime.name: regime for regime in REGIMES}
    wrong = [repr(name) for name in names if name not in known]
    if wrong or not names:
        given = wrong[0] if wrong else "none"
        raise ValueError(f"regimes: {given}, expected some of {', '.join(known)}")
    return tuple(known[name] for name in names)


def complete_sizes(chosen: Mapping[str, int] | None) -> dict[str, int]:
    """Return the size of every letter: those chosen, and the defaults for the others."""
    sizes = {**SIZES, **(chosen or {})}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"sizes: {name} is {size}, expected at least 1")
    return sizes


def parse(name: str, shape: str, sizes: Mapping[str, int]) -> tuple[Axes, tuple[int, ...]]:
    """Return the tokens of an argument's shape such as ``"4H D"``, and their sizes."""
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


def letter_of(axis: str) -> str:
    """Return the letter of a token: H of 4H."""
    return axis.lstrip("0123456789")


def time_axis_of(axes: Axes) -> int | None:
    """Return the position of T among the axes, or None."""
    return axes.index("T") if "T" in axes else None


def draw(
    rng: np.random.Generator,
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    regime: InputRegime,
) -> tuple[dict[str, Any], dict[str, Axes]]:
    """Draw an argument for every shape, in float64, and call the functions.

    Return the arguments, arrays and None as they were given, and the tokens of every shape.
    """
    parsed = {n: parse(n, g, sizes) for n, g in given.items() if isinstance(g, str)}
    axes = {name: tokens for name, (tokens, _) in parsed.items()}
    state_letters = {a[1] for a in axes.values() if len(a) == 2 and a[0] == "B"}
    values: dict[str, Any] = {}
    for name, what in given.items():
        if name in parsed:
            tokens, shape = parsed[name]
            scale = 1.0
            if "T" not in tokens and "B" not in tokens:
                recurrent = len(tokens) == 2 and tokens[1] in state_letters
                scale = regime.weights * (regime.recurrent if recurrent else 1.0)
                # So that a sum of products is as large as one product, whatever their number.
                scale *= 1.0 / np.sqrt(max(1, shape[-1])) if len(tokens) > 1 else 0.5
            values[name] = np.asarray(rng.standard_normal(shape) * scale)
        elif callable(what):
            values[name] = what(rng, dict(sizes))
        else:
            values[name] = what
    return values, axes


def draw_gradients(
    rng: np.random.Generator, outputs: tuple[Array, ...], T: int | None, regime: InputRegime
) -> list[Array]:
    """Draw a gradient for every output, non-zero wherever the regime has a loss.

    T is the number of steps, or None if the outputs have no time.
    """
    douts = []
    for out in outputs:
        dtype = np.float32 if np.asarray(out).dtype == np.float32 else np.float64
        dout = np.asarray(rng.standard_normal(np.shape(out)), dtype)
        if regime.loss_steps != "all" and T and dout.ndim > 1 and len(dout) == T:
            middle = T // 2 if regime.loss_steps == "last and middle" else T - 1
            dout[:middle] = dout[middle + 1 : -1] = 0.0
        douts.append(dout)
    return douts


def scale_parameters(parameters: Mapping[str, Array], regime: InputRegime) -> dict[str, Array]:
    """Return new arrays with an object's parameters at the scales of a regime.

    A square matrix, or one with `hh` in its name, counts as recurrent. A parameter that is zero
    everywhere is drawn instead, because it would hide its factors.
    """
    rng = np.random.default_rng(0)
    scaled = {}
    for name, value in parameters.items():
        recurrent = value.ndim == 2 and ("hh" in name or value.shape[0] == value.shape[1])
        if not value.any():
            value = 0.5 * rng.standard_normal(value.shape).astype(value.dtype)  # noqa: PLW2901 (its stand-in)
        scaled[name] = value * regime.weights * (regime.recurrent if recurrent else 1)
    return scaled


def axes_of_arrays(
    values: Mapping[str, Any], known: Mapping[str, Axes], chosen: Mapping[str, str] | None
) -> dict[str, Axes]:
    """Return the axes of arguments that were not given as shapes, and so are not `known`.

    They are those that the caller chose, such as ``{"x": "T B D"}``. For other arrays with
    three axes, T, B and another are assumed.
    """
    axes = {name: tuple(text.split()) for name, text in (chosen or {}).items()}
    for name in axes:
        if name not in values:
            raise ValueError(f"axes: {name!r}, expected some of {', '.join(values)}")
    arrays = {n: v for n, v in values.items() if isinstance(v, np.ndarray) and n not in known}
    sequences = [
        v for v in arrays.values() if v.ndim >= 3 or (v.dtype.kind in "iu" and v.ndim == 2)
    ]
    for name, value in arrays.items():
        if name not in axes and value.ndim >= 3 and value.shape[:2] == sequences[0].shape[:2]:
            axes[name] = ("T", "B", *("",) * (value.ndim - 2))
    return axes


def num_steps(values: Mapping[str, Any], axes: Mapping[str, Axes]) -> int | None:
    """Return T, if an argument has it."""
    lengths = [values[n].shape[a.index("T")] for n, a in axes.items() if "T" in a]
    return int(lengths[0]) if lengths else None
