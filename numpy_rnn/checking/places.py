"""The wrong element of a gradient, in the field's words: "gate f, t = 4, batch row 1, unit 2"."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, Context, exact, slices_of
from numpy_rnn.checking.shapes import Axes, letter_of
from numpy_rnn.functional.types import Array

MAX_EACH = 100  # above this, the worst element is not looked for, but any wrong one
GATES = {3: ("r", "z", "n"), 4: ("i", "f", "g", "o")}  # PyTorch's orders


class Location(NamedTuple):
    """One element of one gradient, in the field's words, and both of its values."""

    parameter: str
    words: str  # "gate f, t = 4, batch row 1, unit 2"
    got: float
    expected: float

    def __str__(self) -> str:
        where = f"{self.parameter}, {self.words}" if self.words else self.parameter
        return f"{where}: got {self.got:.9g}, expected {self.expected:.9g}"


def find_place(context: Context, comparison: Comparison, claimed: Array) -> Location:
    """Return a wrong element of a claimed gradient, at the wrong step that backward begins with.

    Of a small slice it is the worst. A bisection along random directions finds one in a large one.
    """
    name, axes = comparison.name, context.axes.get(comparison.name, ())
    rng = np.random.default_rng(0)

    def both(elements: Array, signs: Any) -> tuple[float, float]:
        """Return the claimed and the exact derivative along these elements."""
        direction: Array = np.zeros(claimed.size)
        direction[elements] = signs
        direction = direction.reshape(claimed.shape)
        return float(np.sum(claimed * direction)), exact(context, name, direction).value

    step = comparison.wrong_steps[first_of_backward(context)]
    elements = slices_of(claimed.shape, axes)[step]
    if len(elements) <= MAX_EACH:
        pairs = [both(np.array([e]), 1) for e in elements]
        elements = elements[[int(np.argmax([abs(a - b) for a, b in pairs]))]]
    while len(elements) > 1:
        halves = np.array_split(elements, 2)
        errors = [abs(np.subtract(*both(h, rng.choice([-1.0, 1.0], len(h))))) for h in halves]
        elements = halves[int(np.argmax(errors))]
    index = tuple(int(i) for i in np.unravel_index(elements[0], claimed.shape))
    text = words(index, axes, claimed.shape, context.settings.gates)
    return Location(name, text, *both(elements, 1))


def first_of_backward(context: Context) -> int:
    """Return the index of the step that a backward pass begins with: -1, or 0.

    It is 0 if forward runs from the last step to the first: its first output follows from the
    last input, and its last output not from the first input.
    """
    point, axes = context.point, context.axes
    name = next((n for n in point.real_names() if "T" in axes.get(n, ())), None)
    if name is None:
        return -1
    follows, axis = list[bool](), axes[name].index("T")
    T = point.values[name].shape[axis]
    with contextlib.suppress(Exception):  # code that takes no other inputs
        for here, there in ((-1, 0), (0, -1)):
            moved = point.values[name].copy()
            np.moveaxis(moved, axis, 0)[here] += 0.1
            pairs = zip(point.outputs_with({}), point.outputs_with({name: moved}), strict=True)
            timed = [both for both in pairs if T in both[0].shape[axis : axis + 1]]
            steps = [(a.take(there, axis), b.take(there, axis)) for a, b in timed]
            follows.append(any(not np.array_equal(a, b) for a, b in steps))
    return 0 if follows == [True, False] else -1


def words(
    index: tuple[int, ...], axes: Axes, shape: tuple[int, ...], gates: tuple[str, ...]
) -> str:
    """Return the index of an element in the field's words: ``"gate f, unit 2, column 0"``."""
    if len(axes) != len(index):
        axes = ("",) * len(index)
    in_time, found = "T" in axes or "B" in axes, []
    block_axis = [axis == f"{len(gates)}{letter_of(axis)}" for axis in axes]  # 4H of four gates
    gated = [place for place, fits in enumerate(block_axis) if fits]
    if not any(axes) and gates and shape and not shape[0] % len(gates):
        gated = [0]
    others = len(axes) - len({"T", "B"} & set(axes))
    for place, (i, axis) in enumerate(zip(index, axes, strict=True)):
        if axis in ("T", "B"):
            found.append(f"t = {i}" if axis == "T" else f"batch row {i}")
        elif place in gated[:1]:
            block = shape[place] // len(gates)
            found.append(f"{gate_name(gates[i // block])}, unit {i % block}")
        elif len(index) == 2 and not in_time:
            found.append(f"{'column' if place else 'row'} {i}")
        elif others == 1:
            found.append(f"unit {i}")
        else:
            found.append(f"index {i} of axis {place}")
    return ", ".join(found)


def gate_name(gate: str) -> str:
    """Return how a report names a gate: a guess is a block, and its name a condition."""
    return gate if gate.startswith("block") else f"gate {gate}"


def guess_gates(shapes: dict[str, tuple[int, ...]], axes: dict[str, Axes]) -> tuple[str, ...]:
    """Return the blocks that a weight's shape implies: (4H, H) and (D, 4H) are an LSTM's.

    Which block is which gate cannot be seen, so its name is PyTorch's with an "if".
    """
    count = 0
    for name, shape in shapes.items():
        tokens = axes.get(name, ())
        found = [t[0] for t in tokens if t in ("3H", "4H")]
        recurrent = "hh" in name.lower() and len(shape) == 2 and shape[1]
        if found and not {"T", "B"} & set(tokens):
            count = int(found[0])
        elif not tokens and recurrent and shape[0] // shape[1] in GATES:
            count = 0 if shape[0] % shape[1] else shape[0] // shape[1]
        if count:
            order = GATES[count]
            return tuple(
                f"block {k + 1} of {count} ({g} if the order is PyTorch's)"
                for k, g in enumerate(order)
            )
    return ()
