"""What a run of a graph records, so that the next one for the same shapes only repeats steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph.nodes import Node

MAX_BYTES = 1 << 20  # of a plan's arrays; a graph of larger ones is not slowed by its nodes
MAX_TURNS = 1 << 17  # of all loops in one run
MAX_STEPS = 1 << 13  # of a plan with a loop, which holds those of each turn
CONSTANT, SHAPE, NUMBERS = range(3)  # what a value depends on


class Known(NamedTuple):
    """A value in a run, and what it depends on."""

    array: Any
    depends: int = CONSTANT
    label: Any = None  # of a walk over the layers of a chain


class NewShapeError(Exception):
    """A result has another shape than in the run that recorded the plan."""


class Plan:
    """Steps that fill the arrays of a run again: None if they get large, or numbers decide them."""

    def __init__(self) -> None:
        self.steps: list[tuple[Node, Callable[[], Any]]] | None = []
        self.bytes = self.turns = 0

    def decide(self, known: Known) -> bool:
        """Return whether a value is true. If it depends on numbers, nothing is recorded."""
        self.steps = self.steps if known.depends < NUMBERS else None
        return known.array is None or bool(known.array.all())

    def record(self, node: Node, step: Callable[[], Any], results: Sequence[Array]) -> None:
        """Append the step of a node, which fills these results."""
        if self.steps is not None:
            self.steps.append((node, step))
            self.bytes += sum(y.nbytes for y in results)
            self.steps = self.steps if self.bytes <= MAX_BYTES else None

    def count(self, node: Node) -> None:
        """Count a turn of a loop."""
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise ValueError(f"node {node.name!r} ({node.op}): more than {MAX_TURNS} turns")
        if self.steps is not None and len(self.steps) > MAX_STEPS:
            self.steps = None


def several(result: Any) -> tuple[Any, ...]:
    """Return the outputs of a function."""
    return result if isinstance(result, tuple) else (result,)


def repeat(function: Callable[..., Any], arrays: Sequence[Any], places: Sequence[Array]) -> None:
    """Compute outputs again, in their places."""
    for place, y in zip(places, several(function(*arrays)), strict=True):
        if y.shape != place.shape or y.dtype != place.dtype:
            raise NewShapeError
        place[...] = y
