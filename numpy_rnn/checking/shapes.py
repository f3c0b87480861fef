"""Inputs that expose bugs, drawn from shapes written in letters.

    x="T B D", h0="B H", W_ih="4H D", W_hh="4H H", b_ih="4H"

A token is a letter, a number, or a number times a letter. The letters T (time) and B (batch)
decide what an argument is. With T it is a sequence, with B alone a state, and without either
a weight. A weight is recurrent if its last letter is the last letter of a state.

Letters may be in any order: ``"B T D"``, ``"D B T"``, ``"H B"``. A sum is a concatenation:
``"4H H+D"``.

Whether a check finds a bug depends on its inputs. T and B differ from each other and from every
other size. Eight regimes put the gradient where a bug is hard to see:

    usual           every step sends a gradient
    last-step-only  the loss is at the last step, so early slices see only what crossed time
    saturated       pre-activations near +-5: slopes of 1e-3 and far less
    vanishing       recurrent weights so small that the gradient shrinks 10 to 100 times a step;
                    the loss is at the last step and at one in the middle
    exploding       recurrent weights so large that the gradient grows; the loss is at the
                    last step
    wide            magnitudes from 1e-3 to 300, with both signs
    zeros and ties  a part of every array is exactly zero, another part is twice the same number
    one step        T = 1 and B = 1
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
    values: Literal["normal", "wide", "with zeros"] = "normal"
    single: str = ""  # letters whose size is 1
    factor: float = 1.0  # on everything, to reach the other side of a comparison
    extra: bool = False  # other than what the caller gave

    @property
    def optional(self) -> bool:
        """Whether code need not take such inputs: a failure or an overflow is a remark."""
        return self.values != "normal" or bool(self.single) or self.factor != 1 or self.extra


REGIMES = (
    InputRegime("usual"),
    InputRegime("last-step-only", loss_steps="last"),
    # 1 - h^2, from an h within 1e-9 of 1, has lost nine of its sixteen digits.
    InputRegime("saturated", weights=3.0, rtol=1e-6),
    InputRegime("vanishing", recurrent=0.03, loss_steps="last and middle"),
    InputRegime("exploding", recurrent=3.0, loss_steps="last", rtol=1e-8),
)
# Inputs that code may refuse, where values and not the flow of the gradient matter.
OPTIONAL_REGIMES = (
    InputRegime("wide", values="wide", rtol=1e-6),
    InputRegime("zeros and ties", values="with zeros", rtol=1e-8),
    InputRegime("one step", single="TB"),
)
# For arguments that are given as arrays, whose scale is not ours to choose.
GIVEN_REGIMES = (InputRegime("given"), InputRegime("given, last step only", loss_steps="last"))


def choose_regimes(names: Sequence[str] | None) -> tuple[InputRegime, ...]:
    """Return the regimes of these names, or all of them for None."""
    if names is None:
        return REGIMES + OPTIONAL_REGIMES
    known = {regime.name: regime for regime in REGIMES + OPTIONAL_REGIMES}
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
        total = 0
        for term in token.split("+"):
            match = re.fullmatch(r"(\d*)([A-Za-z]?)", term)
            if match is None or not term:
                raise ValueError(
                    f"{name}: {token!r} in {shape!r}, expected tokens such as T, 4H, H+D or 7"
                )
            factor, letter = match.groups()
            if letter and letter not in sizes:
                known = ", ".join(sizes)
                raise ValueError(
                    f"{name}: {letter!r} in {shape!r} has no size, expected one of {known}"
                )
            total += int(factor or 1) * (sizes[letter] if letter else 1)
        found.append(total)
    return axes, tuple(found)


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
            scale = regime.factor
            if weight:
                recurrent = len(tokens) == 2 and any(
                    letter in state_letters for letter in _inputs_of(tokens)
                )
                scale *= regime.weights * (regime.recurrent if recurrent else 1.0)
                # So that a sum of products is as large as one product, whatever their number.
                fan_in = min(shape) if _gated_last(tokens) else shape[-1] if shape else 1
                scale *= 1.0 / np.sqrt(max(1, fan_in)) if len(tokens) > 1 else 0.5
            numbers = scale * _numbers(rng, shape, regime, wide=only_weights or not weight)
            values[name] = np.asarray(numbers)  # not a scalar, for a shape of no axes
        elif callable(what):
            values[name] = what(rng, dict(sizes))
        else:
            values[name] = what
    return values, axes


def _gated_last(tokens: Axes) -> bool:
    return len(tokens) == 2 and tokens[1][:1].isdigit() and not tokens[0][:1].isdigit()


def _inputs_of(tokens: Axes) -> list[str]:
    """Return the letters of a matrix's input axis: H of 4H H and of H 4H, H and D of 4H H+D."""
    axis = tokens[0] if _gated_last(tokens) or "+" in tokens[0] else tokens[1]
    return axis.split("+")


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
        scale *= regime.weights * (regime.recurrent if recurrent else 1) * regime.factor
        drawn[name] = np.asarray(numbers * scale, value.dtype)
    return drawn


def with_repeats(value: Any) -> Any:
    """Return indices some of which repeat along every axis, if those given do not; else `value`.

    Permutations and limits of parts stay as they are, and rows of zeros and ones stay whole.
    """
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size > 1):
        return value
    ordered = [np.sort(np.moveaxis(value, axis, -1)) for axis in range(value.ndim)]
    if any((rows == np.arange(rows.shape[-1])).all() for rows in ordered):
        return value
    if value.ndim == 1 and (np.unique(value).size < value.size or (np.diff(value) > 0).all()):
        return value
    repeated = value.copy()
    for axis in range(1 if value.max() <= 1 else value.ndim):
        first = np.moveaxis(repeated, axis, 0)
        first[1:2] = first[0]
    return value if np.array_equal(repeated, value) else repeated


def of_one(
    given: Mapping[str, Any], sizes: Mapping[str, int], letters: str
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return arguments and sizes in which these letters are 1; of indices, the first ones."""
    used = "".join(shape for shape in given.values() if isinstance(shape, str))
    cut, one = dict(given), {**sizes, **dict.fromkeys(letters, 1)}
    arrays = {n: v for n, v in given.items() if isinstance(v, np.ndarray)}
    for letter in (x for x in letters if x in used):
        for name, value in arrays.items():
            for axis in (i for i, size in enumerate(value.shape) if size == sizes[letter]):
                if value.dtype.kind in "biu":
                    cut[name] = np.take(cut[name], [0], axis)
                else:  # what its axes are is not known
                    one[letter] = sizes[letter]
    return cut, one


def of_one_entry(given: Mapping[str, Any], axis: int) -> dict[str, Any]:
    """Return arrays of whole numbers cut to the first entry of an axis, if all have it alike."""
    arrays = [v for v in given.values() if isinstance(v, np.ndarray) and v.dtype.kind in "biu"]
    sizes = {v.shape[axis] for v in arrays if v.ndim > axis}
    if len(arrays) < len(given) or len(sizes) != 1 or sizes <= {0, 1}:
        return dict(given)
    return {n: np.take(v, [0], axis) if v.ndim > axis else v for n, v in given.items()}


def without_coincidences(given: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return sizes in which no letter but T and B has a size of an array that was given."""
    taken = {n for v in given.values() if isinstance(v, np.ndarray) for n in v.shape}
    others = dict(sizes)
    for letter, size in sizes.items():
        if letter not in "TB" and size in taken:
            taken |= set(others.values())
            others[letter] = next(n for n in range(size + 1, 10**9) if n not in taken)
    return others


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
    if any("T" in a for a in axes.values()):
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
