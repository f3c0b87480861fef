"""Inputs that expose bugs, drawn from shapes written in letters.

    x="T B D", h0="B H", W_ih="4H D", W_hh="4H H", b_ih="4H"

A token is a letter, a number, or a number times a letter. The letters T (time) and B (batch)
decide what an argument is. With T it is a sequence, with B alone a state, and without either
a weight. A weight is recurrent if its last letter is the last letter of a state.

Letters may be in any order: ``"B T D"``, ``"D B T"``, ``"H B"``. A sum is a concatenation:
``"4H H+D"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from numpy_rnn.checking.regimes import InputRegime
from numpy_rnn.functional.types import Array

Axes: TypeAlias = tuple[str, ...]
# What can be drawn: a shape, or a function of (generator, sizes) for what no shape can express,
# such as targets. A given argument may also be an array, or None.
Drawn: TypeAlias = "str | Callable[[np.random.Generator, dict[str, int]], Any]"
Given: TypeAlias = "Drawn | Array | None"

SIZES = {"T": 11, "B": 3, "D": 5, "H": 4, "P": 2, "V": 6}


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
        total = 0
        for term in token.split("+"):
            match = re.fullmatch(r"(\d*)([A-Za-z]?)", term)
            if match is None or not term:
                raise ValueError(
                    f"{name}: {token!r} in {shape!r}, expected tokens such as T, 4H, H+D or 7 "
                    "with spaces between them, as in 'T B D'"
                )
            factor, letter = match.groups()
            if letter and letter not in sizes:
                raise ValueError(
                    f"{name}: {letter!r} in {shape!r} has no size, expected one of "
                    f"{', '.join(sizes)}, or sizes={{{letter!r}: 7}} (B is the batch)"
                )
            total += int(factor or 1) * (sizes[letter] if letter else 1)
        found.append(total)
    return axes, tuple(found)


def described(given: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """Return the arguments that were given as shapes, and what stands beside them, in words."""
    shapes = {name: shape for name, shape in given.items() if isinstance(shape, str)}
    if not shapes:
        return "these arguments"
    arrays = [f"{n} of shape {g.shape}" for n, g in given.items() if isinstance(g, np.ndarray)]
    numbers = [f"{n} the number {g}" for n, g in given.items() if isinstance(g, int | float)]
    letters = [f"{k} = {sizes[k]}" for k in sizes if arrays and k in "".join(shapes.values())]
    return ", ".join([*map(" ".join, shapes.items()), *arrays, *numbers, *letters])


def letter_of(axis: str) -> str:
    """Return the letter of a token: H of 4H."""
    return axis.lstrip("0123456789")


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
    states = [set(a) - {"B"} for a in axes.values() if "B" in a and "T" not in a and len(a) == 2]
    state_letters = set().union(*states) - {"1"}
    only_weights = not any({"T", "B"} & set(tokens) for tokens in axes.values())
    values: dict[str, Any] = {}
    for name, what in given.items():
        if name in parsed:
            tokens, shape = parsed[name]
            weight = "T" not in tokens and "B" not in tokens
            scale = 1.0
            if weight:
                first = _gated_last(tokens) or "+" in "".join(tokens[:1])
                inputs = (tokens[:1] if first else tokens[1:]) if len(tokens) == 2 else ()
                recurrent = not state_letters.isdisjoint("+".join(inputs).split("+"))
                scale *= regime.weights * (regime.recurrent if recurrent else 1.0)
                # So that a sum of products is as large as one product, whatever their number.
                fan_in = min(shape) if _gated_last(tokens) else shape[-1] if shape else 1
                scale *= 1.0 / np.sqrt(max(1, fan_in)) if len(tokens) > 1 else 0.5
            numbers = scale * _numbers(rng, shape, regime, wide=only_weights or not weight)
            values[name] = np.asarray(numbers)  # not a scalar, for a shape of no axes
        else:
            values[name] = what(rng, dict(sizes)) if callable(what) else what
    return values, axes


def _gated_last(tokens: Axes) -> bool:
    return len(tokens) == 2 and tokens[1][:1].isdigit() and not tokens[0][:1].isdigit()


def _numbers(
    rng: np.random.Generator, shape: tuple[int, ...], regime: InputRegime, *, wide: bool
) -> Array:
    """Draw numbers of scale 1, as a regime has them."""
    numbers: Array = np.asarray(rng.standard_normal(shape))
    if regime.values == "wide" and wide:
        numbers = np.sign(numbers) * 10 ** rng.uniform(-3, 2.5, shape)
    if regime.values == "with zeros" and numbers.size > 1:
        numbers = np.where(rng.random(shape) < 0.2, 0.7, numbers)
        numbers = np.where(rng.random(shape) < 0.3, 0.0, numbers)
    return np.asarray(numbers)


def time_axis_of_output(shape: tuple[int, ...], T: int | None, position: int | None) -> int | None:
    """Return which axis of an output is time: of T steps, at the input's position if it fits."""
    fits = [axis for axis, size in enumerate(shape) if size == T]
    if T is None or len(shape) < 2 or not fits:
        return None
    return position if position in fits else fits[0] if len(fits) == 1 else None


def draw_gradients(
    rng: np.random.Generator,
    outputs: tuple[Array, ...],
    T: int | None,
    regime: InputRegime,
    position: int | None = 0,
) -> list[Array]:
    """Draw a gradient for every output, non-zero wherever the regime has a loss.

    T is the number of steps, or None if the outputs have no time. `position` is the axis of time
    in the inputs. As many outputs as steps are one output for each step.
    """
    douts = []
    for number, out in enumerate(outputs):
        dtype = np.float32 if np.asarray(out).dtype == np.float32 else np.float64
        dout = np.asarray(rng.standard_normal(np.shape(out)), dtype)
        if regime.loss_steps != "all" and T is not None:
            steps = {T - 1, T // 2 if regime.loss_steps == "last and middle" else T - 1}
            axis = time_axis_of_output(dout.shape, T, position)
            if axis is not None:
                dout[(slice(None),) * axis + ([t for t in range(T) if t not in steps],)] = 0.0
            elif len(outputs) == T > 1 and number not in steps:
                dout[...] = 0.0
        douts.append(dout)
    return douts


def draw_parameters(
    rng: np.random.Generator,
    parameters: Mapping[str, Array],
    regime: InputRegime,
    keep: Sequence[str],
) -> dict[str, Array]:
    """Draw an object's parameters at the scales of a regime, those in `keep` as they are.

    Initial values hide bugs: ones, an identity, 0.01. A square matrix, or one with `hh` in its
    name, counts as recurrent. A vector of positive numbers stays positive.
    """
    drawn = {}
    for name, value in parameters.items():
        if name in keep or not value.size:
            drawn[name] = value
            continue
        matrix = value.ndim > 1
        recurrent = value.ndim == 2 and ("hh" in name or value.shape[0] == value.shape[1])
        scale = 1 / np.sqrt(min(value.shape)) if matrix and min(value.shape) > 1 else 0.5
        numbers = _numbers(rng, value.shape, regime, wide=False)
        if not matrix and (value > 0).all():
            numbers, scale = 0.5 + np.abs(numbers), 1.0
        scale *= regime.weights * (regime.recurrent if recurrent else 1)
        drawn[name] = np.asarray(numbers * scale, value.dtype)
    return drawn


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
    if any("T" in a for a in (*known.values(), *axes.values())):
        return axes  # where T and B are is known
    for name, value in arrays.items():
        if name not in axes and value.ndim >= 3 and value.shape[:2] == sequences[0].shape[:2]:
            axes[name] = ("T", "B", *("",) * (value.ndim - 2))
    return axes


def num_steps(values: Mapping[str, Any], axes: Mapping[str, Axes]) -> tuple[int | None, int | None]:
    """Return T and the axis it has, if an argument has it."""
    for name, tokens in axes.items():
        if "T" in tokens:
            return int(values[name].shape[tokens.index("T")]), tokens.index("T")
    return None, None
