"""One run of a graph: its nodes in order, branches and loops.

It keeps the results that constants alone decide, and records a plan, so that the next run for the
same shapes only repeats steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph.nodes import CALL, ERRORS, INNER, Node, turns_of
from numpy_rnn.interchange.onnx.operators import PREPARED, RANDOM, function_of, takes_out

MAX_BYTES = 1 << 20  # of a plan's arrays; a graph of larger ones is not slowed by its nodes
MAX_TURNS = 1 << 17  # of all loops in one run
MAX_STEPS = 1 << 13  # of a plan with a loop, which holds those of each turn
CONSTANT, SHAPE, NUMBERS = range(3)  # what a value depends on
SHAPES = {"Shape", "Size", "SequenceLength"}


class Known(NamedTuple):
    """A value in a run, and what it depends on."""

    array: Any
    depends: int = CONSTANT
    label: str = ""  # of a walk over the layers of a chain


class NewShapeError(Exception):
    """A result has another shape than in the run that recorded the plan."""


class Run:
    """One run of a graph.

    `kept` is the thread's: the results that depend on constants alone, functions, and layers.
    `steps` fill the arrays of the run again. They are None if arrays get large, or if numbers
    decide what runs.
    """

    def __init__(self, kept: dict[Any, Any]) -> None:
        self.kept = kept
        self.results: dict[int, list[Known]] = kept.setdefault("results", {})
        self.steps: list[tuple[Node, Callable[[], Any]]] | None = []
        self.bytes = self.turns = 0

    def graph(
        self, graph: Any, inputs: Sequence[Known], scope: Mapping[str, Known] | None = None
    ) -> list[Known]:
        """Return the outputs of a graph, or of a branch in the scope around it."""
        values = dict(scope or {}) | {name: Known(x) for name, x in graph.constants.items()}
        values |= zip(graph.names, inputs, strict=True)
        for node, last in graph.order:
            values[""] = Known(None)
            reads = [values[name] for name in node.inputs]
            inner = node.op in INNER
            results = self.inner(node, reads, values) if inner else self.node(node, reads)
            if any(node.outputs[len(results) :]):
                expected = f"{len(node.outputs)} outputs, expected at most {len(results)}"
                raise ValueError(f"{node}: {expected}")
            values.update(zip(node.outputs, results, strict=False))
            for name in last:
                values.pop(name, None)
        return [values[name] for name in graph.outputs]

    def inner(self, node: Node, reads: list[Known], values: Mapping[str, Known]) -> Sequence[Known]:
        """Run a node that runs graphs: a call of a function, a branch or a loop."""
        if node.op == CALL:
            body = node.attributes["body"]
            left_out = [Known(None)] * (len(body.names) - len(reads))
            return self.graph(body, [*reads, *left_out])
        if node.op == "If":
            which = "then_branch" if self._decide(reads[0]) else "else_branch"
            return _at_least(reads[0].depends, self.graph(node.attributes[which], [], values))
        return _at_least(SHAPE, self._loop(node, reads, values))

    def _loop(self, node: Node, reads: list[Known], values: Mapping[str, Known]) -> list[Known]:
        """Run a Loop or Scan. The steps of one turn are recorded after those of the turn before."""
        is_loop, (count, inputs, outputs) = node.op == "Loop", turns_of(node)
        first = 2 if is_loop else 0
        carried, scanned = reads[first : first + count], reads[first + count :]
        scanned = [
            known._replace(array=np.moveaxis(known.array, axis, 0)[::way])
            for known, (axis, way) in zip(scanned, inputs, strict=True)
        ]
        go = not is_loop or self._decide(reads[1])
        limit = reads[0].array if is_loop else len(scanned[0].array)
        if is_loop:
            self._decide(reads[0])
        parts: list[list[Known]] = [[] for _ in outputs]
        turn = 0
        while go and (limit is None or turn < limit):
            self._count(node)
            head = [Known(np.array(turn)), Known(np.array(True))] if is_loop else []
            tail = [known._replace(array=known.array[turn, ...]) for known in scanned]  # views
            given = _at_least(SHAPE, [*head, *carried, *tail])
            found = self.graph(node.attributes["body"], given, values)
            go = self._decide(found.pop(0)) if is_loop else True
            carried, last = found[:count], found[count:]
            for part, known in zip(parts, last, strict=True):
                part.append(known)
            turn += 1
        stacked = [
            self._stacked(node, part[::way], axis)
            for part, (axis, way) in zip(parts, outputs, strict=True)
        ]
        return [*carried, *stacked]

    def _stacked(self, node: Node, parts: Sequence[Known], axis: int) -> Known:
        if not parts:
            raise ValueError(f"{node}: its loop has no turn, so no results")
        stack: Any = partial(np.stack, [known.array for known in parts], axis)
        y, depends = stack(), max(known.depends for known in parts)
        if depends == NUMBERS:
            self._record(node, partial(repeat, stack, (), [y]), [y])
        return Known(y, depends)

    def _decide(self, known: Known) -> bool:
        """Return whether a value is true. If it depends on numbers, nothing is recorded."""
        self.steps = self.steps if known.depends < NUMBERS else None
        return known.array is None or bool(known.array.all())

    def _record(self, node: Node, step: Callable[[], Any], results: Sequence[Array]) -> None:
        """Append the step of a node, which fills these results."""
        if self.steps is not None:
            self.steps.append((node, step))
            self.bytes += sum(y.nbytes for y in results)
            self.steps = self.steps if self.bytes <= MAX_BYTES else None

    def _count(self, node: Node) -> None:
        """Count a turn of a loop."""
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise ValueError(f"{node}: more than {MAX_TURNS} turns")
        if self.steps is not None and len(self.steps) > MAX_STEPS:
            self.steps = None

    def node(self, node: Node, reads: list[Known]) -> list[Known]:
        """Run a node and record it."""
        depends = max([known.depends for known in reads], default=CONSTANT)
        if node.op in SHAPES:
            depends = min(depends, SHAPE)
        if node.op in RANDOM:
            depends = NUMBERS
        if depends == CONSTANT and id(node) in self.results:
            return self.results[id(node)]
        if node.op in PREPARED and any(known.depends == NUMBERS for known in reads[1:3]):
            self.steps = None  # they have copies of the weights
        try:
            step, results = self._prepare(node, reads, depends)
        except ERRORS as error:
            raise ValueError(f"{node}: {error}") from error
        known = [Known(x, depends) for x in results]
        if depends == CONSTANT:
            self.results[id(node)] = known
        elif depends == NUMBERS and step is not None:
            self._record(node, step, results)
        return known

    def _prepare(
        self, node: Node, reads: list[Known], depends: int
    ) -> tuple[Callable[[], Any] | None, Sequence[Array]]:
        """Return the results, and a step that computes them again in their places.

        There is no step if they are views of the only input that changes.
        """
        arrays = [known.array for known in reads]
        function = self.kept.get(id(node))
        if function is None:
            self.kept[id(node)] = function = function_of(node)
        if node.op in PREPARED:
            step, filled = function(*arrays)
            return step, filled
        results = [np.asarray(y) for y in several(function(*arrays))]
        if depends < NUMBERS or self.steps is None:
            return None, results
        moving = [known.array for known in reads if known.depends == NUMBERS]
        if len(moving) == 1 and all(np.may_share_memory(moving[0], y) for y in results):
            return None, results
        if takes_out(function):
            return partial(function, *arrays, out=results[0]), results
        results = [np.array(y, order="C") for y in results]  # some may be views
        return partial(repeat, function, arrays, results), results


def _at_least(depends: int, values: Sequence[Known]) -> list[Known]:
    """Return values of which a branch or a turn is one of several. So they are no constants."""
    return [known._replace(depends=max(known.depends, depends)) for known in values]


def several(result: Any) -> tuple[Any, ...]:
    """Return the outputs of a function."""
    return result if isinstance(result, tuple) else (result,)


def repeat(function: Callable[..., Any], arrays: Sequence[Any], places: Sequence[Array]) -> None:
    """Compute outputs again, in their places."""
    for place, y in zip(places, several(function(*arrays)), strict=True):
        if y.shape != place.shape or y.dtype != place.dtype:
            raise NewShapeError
        place[...] = y
