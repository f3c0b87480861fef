"""Places in the field's words: "gate f, t = 4, batch row 1, unit 2"."""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.checking.shapes import Axes, letter_of

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
