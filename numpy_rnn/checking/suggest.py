"""What the pattern of a wrong gradient suggests.

A wrong gradient often equals the exact one with a part left out, or scaled, or moved. The parts
of a weight's gradient are its contributions, of two kinds:

    by loss    what the loss at step t of batch row b contributes          dL_tb / dW
    by use     what the use of the weight at step t contributes: run the pair up to t, one step
               with W moved, and on from there with the original W
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpy_rnn.checking.derivatives import STEP
from numpy_rnn.checking.shapes import Axes
from numpy_rnn.checking.target import Point, Target, Values
from numpy_rnn.functional.types import Array

CLOSE = 1e-7  # the relative distance at which a wrong gradient is taken for a suspect


def is_close(a: Array, b: Array) -> bool:
    """Whether two arrays are the same to a few digits, and not both zero."""
    scale = float(np.abs(b).max(initial=0.0))
    return bool(
        a.shape == b.shape and scale > 0 and np.abs(a - b).max(initial=0.0) <= CLOSE * scale
    )


def suggest_whole(got: Array, expected: Array, sizes: Mapping[str, int]) -> str | None:
    """Return what a wrong gradient is as a whole, if it is something simple.

    `sizes` has T and B, if known: a factor of 1/B is a mean instead of a sum.
    """
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero everywhere: is it never written, or overwritten?"
    if expected.ndim == 2 and got.shape == expected.T.shape and is_close(got, expected.T):
        return "equals the transpose"
    factor = float(np.vdot(expected, got) / max(float(np.vdot(expected, expected)), 1e-290))
    if factor and abs(factor - 1) > CLOSE and is_close(got, factor * expected):
        return _about_factor(factor, sizes)
    off = np.abs(got - expected) / max(float(np.abs(expected).max(initial=0.0)), 1e-290)
    wrong = int(np.count_nonzero(off > 1e-12))
    if 1e-9 < off.max(initial=0.0) < 1e-5 and wrong > got.size / 2:
        return "differs by the size of float32's rounding: is there a float32 array inside?"
    return f"is wrong in {wrong} of {got.size} elements" if 0 < wrong <= got.size / 4 else None


def _about_factor(factor: float, sizes: Mapping[str, int]) -> str:
    if np.isclose(factor, -1):
        return "has the opposite sign"
    for name, what in (("B", "rows of the batch"), ("T", "timesteps")):
        size = sizes.get(name, 1)
        if size > 1 and np.isclose(factor, 1 / size):
            return f"is 1/{size} of it, and there are {size} {what}: a mean instead of a sum?"
        if size > 1 and np.isclose(factor, size):
            return f"is {size} times it, and there are {size} {what}: a sum instead of a mean?"
    return f"is off by a constant factor {factor:.6g}"


def suggest_in_time(  # noqa: PLR0911 (a list of suspects)
    got: Array, expected: Array, wrong: tuple[int, ...]
) -> str | None:
    """Return what is wrong with gradients (T, ...) at these steps, if it is something simple."""
    T = len(expected)
    if T > 2 and is_close(got, expected[::-1]):
        return "equals the gradient reversed in time: is a reversed sequence not reversed back?"
    if T > 2 and is_close(got[1:], expected[:-1]):
        return "equals the gradient one step late"
    if T > 2 and is_close(got[:-1], expected[1:]):
        return "equals the gradient one step early"
    if wrong == (0,) and T > 1:
        zero = " (it is zero there)" if not got[0].any() else ""
        return f"is wrong only at t = 0{zero}: is the initial state's step skipped?"
    if wrong == (T - 1,) and T > 1:
        return "is wrong only at the last step: is the loop's first iteration a special case?"
    if len(wrong) == 1:
        return f"is wrong only at t = {wrong[0]}"
    if wrong and wrong[-1] == T - 2 and len(wrong) > T // 2:
        return (
            "is right at the last step, wrong before it: is the carry, the gradient that comes "
            "back through time, dropped or wrong?"
        )
    if wrong and wrong == tuple(range(wrong[-1] + 1)) and wrong[-1] < T - 2:
        return (
            f"is right for the last {T - 1 - wrong[-1]} steps, wrong before them: "
            f"does something happen at t = {wrong[-1]}, or is time truncated?"
        )
    return None


def suggest_from_loss(got: Array, parts: Array) -> str | None:
    """Return which contributions by loss, (T, B, ...), a wrong gradient consists of."""
    T, B = parts.shape[:2]
    total = parts.sum(axis=(0, 1))
    suspects: dict[str, Array] = {}
    if B > 1:
        for b in (0, B - 1):
            text = (
                f"equals what batch row {b} alone contributes: is the sum over the batch missing?"
            )
            suspects[text] = parts[:, b].sum(axis=0)
    if T > 1:
        first, last = parts[0].sum(axis=0), parts[-1].sum(axis=0)
        suspects |= {
            "equals what the loss at the last step contributes: are other steps dropped?": last,
            "lacks what the loss at the last step contributes": total - last,
            "lacks what the loss at t = 0 contributes": total - first,
        }
    return _first_close(got, suspects)


def suggest_from_use(got: Array, parts: Array) -> str | None:
    """Return which contributions by use, (T, ...), a weight's wrong gradient consists of."""
    T, total = len(parts), parts.sum(axis=0)
    if T < 2:
        return None
    return _first_close(
        got,
        {
            "equals what t = 0 alone contributes: is it = where += is meant?": parts[0],
            "equals what the last step alone contributes: is it = where += is meant?": parts[-1],
            "lacks what t = 0 contributes: is the loop one step short?": total - parts[0],
            "lacks what the last step contributes: is the loop one step short?": total - parts[-1],
            "is the mean over the timesteps where it should be the sum": total / T,
        },
    )


def _first_close(got: Array, suspects: Mapping[str, Array]) -> str | None:
    return next((text for text, suspect in suspects.items() if is_close(got, suspect)), None)


def contributions_by_loss(point: Point, name: str, T: int, B: int) -> Array | None:
    """Return what the loss at each (t, b) contributes to the exact gradient of a value.

    The result is (T, B, ...), or None if an output has no such axes.
    """
    if any(np.shape(dout)[:2] != (T, B) for dout in point.douts):
        return None
    value = point.values[name]
    parts = np.zeros((T, B, *value.shape))
    for index in np.ndindex(value.shape):
        outputs = point.outputs_with(name, _moved(value, index))
        for out, dout in zip(outputs, point.douts, strict=True):
            slope = np.imag(out) / STEP * dout
            parts[(slice(None), slice(None), *index)] += slope.reshape(T, B, -1).sum(axis=2)
    return parts


def contributions_by_use(point: Point, name: str, axes: Mapping[str, Axes]) -> Array | None:
    """Return what each use of a weight contributes to its exact gradient.

    The result is (T, ...), or None if the outputs are not the trajectories of the states. Among
    the axes, T marks a sequence and B alone a state.
    """
    target, values, douts = point
    states = [n for n, a in axes.items() if len(a) == 2 and a[0] == "B"]
    sequences = [n for n in values if "T" in axes.get(n, ())]
    if len(states) != len(douts) or not sequences or not states:
        return None
    weight, T = values[name], len(values[sequences[0]])
    if any(np.shape(dout)[:1] != (T,) for dout in douts):
        return None
    parts = np.zeros((T, *weight.shape))
    for t in range(T):
        before, here, later = slice(0, t), slice(t, t + 1), slice(t + 1, T)
        start = {}
        if t > 0:
            start = _last_states(_run_steps(target, values, sequences, before), states)
        for index in np.ndindex(weight.shape):
            moved = values | start | {name: _moved(weight, index)}
            outputs = _run_steps(target, moved, sequences, here)
            total: Any = sum(
                np.sum(o.imag / STEP * d[here]) for o, d in zip(outputs, douts, strict=True)
            )
            if t + 1 < T:
                rest_values = values | _last_states(outputs, states)
                rest = _run_steps(target, rest_values, sequences, later)
                total += sum(
                    np.sum(o.imag / STEP * d[later]) for o, d in zip(rest, douts, strict=True)
                )
            parts[(t, *index)] = total
    return parts


def _moved(value: Array, index: tuple[int, ...]) -> Array:
    """Return a value with one element moved by the complex step."""
    moved = value.astype(complex)
    moved[index] += 1j * STEP
    return moved


def _run_steps(
    target: Target, values: Values, sequences: list[str], steps: slice
) -> tuple[Array, ...]:
    return target.run(values | {n: values[n][steps] for n in sequences}).outputs


def _last_states(outputs: tuple[Array, ...], states: list[str]) -> Values:
    return dict(zip(states, (out[-1] for out in outputs), strict=True))
