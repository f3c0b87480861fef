"""Graph: a network that is no chain of layers, run forward only, node after node.

The first run for inputs of some shapes records a plan: arrays that keep their places, and the steps
that fill them. A view of such an array needs no step, and neither does what constants, shapes and
whole scalar inputs decide. If other numbers decide a shape, the next run records again. If they
decide a branch, nothing is recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.onnx_recurrent import KINDS, RecurrentNode, why_not_recurrent
from numpy_rnn.interchange.onnx_reference import RANDOM, reference_of, why_no_reference
from numpy_rnn.interchange.onnx_windows import bind_convolution
from numpy_rnn.interchange.operators import OPERATORS, function_of, takes_out, why_not

MAX_NAMES = 5  # nodes with the same reason in a message
MAX_LINE = 100  # characters for each reason
MAX_PLANS = 8  # one for each shape of the inputs, the latest ones
MAX_BYTES = 1 << 20  # of a plan's arrays; a graph of larger ones is not slowed by its nodes
CONSTANT, SHAPE, NUMBERS = range(3)  # what a value depends on
SHAPES = {"Shape", "Size", "SequenceLength"}
# Operators that run graphs, and the attributes that they need.
INNER = {
    "If": {"then_branch", "else_branch"},
    "Loop": {"body"},
    "Scan": {"body", "num_scan_inputs"},
}
MAX_TURNS = 1 << 17  # of all loops in one run
MAX_STEPS = 1 << 13  # of a plan with a loop, which holds those of each turn
# What NumPy raises for inputs that do not fit an operator, or that are missing.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Node(NamedTuple):
    """A step of a graph: an operator of ONNX, and the names of the values that it reads and makes.

    A name is "" for an input that is left out. Attributes are plain values and arrays, and Graphs
    for the branches of If and the bodies of loops.
    """

    name: str  # for messages
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = {}
    opset: int = 0  # of the operator, if it is the package ``onnx`` that runs it

    def graphs(self) -> list[Graph]:
        """Return the graphs among the attributes."""
        return [value for value in self.attributes.values() if isinstance(value, Graph)]

    def reads(self) -> list[str]:
        """Return the names of all values that the node reads."""
        return [*self.inputs, *[name for graph in self.graphs() for name in graph.free]]

    def unsupported(self) -> str:
        """Return why the node cannot run, or ''."""
        if self.op in INNER:
            names = {name for name in self.attributes if not name.startswith("scan_")}
            if names != INNER[self.op] or len(self.graphs()) != (2 if self.op == "If" else 1):
                return f"attributes {sorted(self.attributes)}"
            return "" if self.op == "If" else _turns(self).wrong
        if self.op in KINDS:
            return why_not_recurrent(self.op, self.attributes, self.inputs)
        if self.op in OPERATORS:
            return why_not(self.op, self.attributes, self.inputs)
        return why_no_reference(
            self.op, self.opset, self.attributes, self.inputs, len(self.outputs)
        )

    def function(self) -> Callable[..., Any]:
        """Return what computes the outputs of the inputs."""
        if self.op in OPERATORS:
            return function_of(self.op, self.attributes)
        return reference_of(self.op, self.opset, self.attributes, self.inputs, len(self.outputs))


class Value(NamedTuple):
    """An input of a graph; None is any dtype, number of axes or size, and so is a name."""

    name: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None

    def check(self, given: Any) -> Array:
        """Return a copy of an input if dtype and shape fit."""
        x, dtype, shape = np.array(given), self.dtype, self.shape
        if dtype is not None and not np.can_cast(x.dtype, dtype, "same_kind"):
            raise TypeError(f"input {self.name!r} has dtype {x.dtype}, expected {dtype}")
        if shape is not None:
            pairs = zip(shape, x.shape, strict=False)
            if x.ndim != len(shape) or any(isinstance(s, int) and s != n for s, n in pairs):
                raise ValueError(f"input {self.name!r} has shape {x.shape}, expected {shape}")
        return x if dtype is None else x.astype(dtype, copy=False)


class Graph:
    """Named nodes in the order in which they run.

    Each reads inputs, constants and outputs of nodes before it. What depends on constants and on
    shapes alone is computed once for each shape.

    Examples
    --------
    >>> import numpy as np
    >>> graph = Graph([Node("double", "Add", ("x", "x"), ("y",))], ["x"], ["y"])
    >>> graph(np.ones(2))
    (array([2., 2.]),)
    >>> graph({"x": np.ones(2)})
    {'y': array([2., 2.])}
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Sequence[str | Value],
        outputs: Sequence[str],
        constants: Mapping[str, Array] | None = None,
    ) -> None:
        self.nodes, self.outputs = tuple(nodes), tuple(outputs)
        self.inputs = tuple(Value(i) if isinstance(i, str) else i for i in inputs)
        self.constants = dict(constants or {})
        self.names = [value.name for value in self.inputs]
        known = {"", *self.constants, *self.names}
        free: dict[str, None] = {}  # what a subgraph reads of the graph around it, in order
        for node in self.nodes:
            free |= dict.fromkeys(name for name in node.reads() if name not in known)
            known.update(node.outputs)
        free |= dict.fromkeys(name for name in self.outputs if name not in known)
        self.free = tuple(free)
        self._checked = False
        self._own = threading.local()  # plans have buffers, so each thread has its own

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.nodes, self.inputs, self.outputs, self.constants)

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {self.names} -> {list(self.outputs)})"

    def all_nodes(self) -> Iterator[Node]:
        """Yield the nodes, and those of the branches."""
        for node in self.nodes:
            yield node
            for graph in node.graphs():
                yield from graph.all_nodes()

    def check(self, more: Sequence[str] = ()) -> None:
        """Raise UnsupportedError, which names every node that cannot run, and what is in `more`."""
        if self.free:
            raise ValueError(f"the value {self.free[0]!r} is read, and nothing before defines it")
        nodes: dict[str, list[str]] = {}  # reason to names
        for node in self.all_nodes():
            try:
                reason = node.unsupported()
            except ERRORS as error:
                reason = f"an attribute has another type than expected: {error}"
            if reason:  # an operator's name may hold any character
                nodes.setdefault(f"({repr(node.op)[1:-1]}): {reason}", []).append(repr(node.name))
        found = list(more)
        for reason, names in nodes.items():
            rest = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
            found.append(f"node {', '.join(names[:MAX_NAMES] + rest)} {reason}")
        if found:
            short = [text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..." for text in found]
            raise UnsupportedError("; ".join(short))
        self._checked = True

    def __call__(self, *inputs: Any) -> Any:
        """Run the graph: arrays in order give a tuple, a dict of arrays gives a dict.

        TypeError or ValueError names the input or the node that does not fit.
        """
        given = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Mapping) else None
        if given is not None:
            if given.keys() != set(self.names):
                raise ValueError(f"inputs are {sorted(given)}, expected {self.names}")
            inputs = tuple([given[name] for name in self.names])
        if len(inputs) != len(self.names):
            expected = f"{len(self.names)}: {self.names}"
            raise ValueError(f"there are {len(inputs)} inputs, expected {expected}")
        outputs = self._run([np.asarray(x) for x in inputs])
        return outputs if given is None else dict(zip(self.outputs, outputs, strict=True))

    def predict(self, *inputs: Any) -> Any:
        """Run the graph, as a model's ``predict``: one output is returned by itself."""
        outputs = self(*inputs)
        return outputs[0] if isinstance(outputs, tuple) and len(outputs) == 1 else outputs

    def _run(self, arrays: list[Array]) -> tuple[Array, ...]:
        own = self._own.__dict__
        plans = own.setdefault("plans", {})
        switches = [x.ndim == 0 and x.dtype.kind in "biu" for x in arrays]
        key = tuple(
            [(x.shape, x.dtype, s and x.item()) for x, s in zip(arrays, switches, strict=True)]
        )
        if key in plans:
            places, steps, outputs = plans[key]
            for place, x in zip(places, arrays, strict=True):
                place[...] = x
            try:
                for node, step in steps:  # noqa: B007 (the error names it)
                    step()
                return tuple([y.copy() for y in outputs])
            except NewShapeError:
                del plans[key]
            except ERRORS as error:
                raise ValueError(f"node {node.name!r} ({node.op}): {error}") from error
        if not self._checked:
            self.check()
        places = [value.check(x) for value, x in zip(self.inputs, arrays, strict=True)]
        run = Run(own.setdefault("kept", {}))
        inputs = [Known(x, SHAPE if s else NUMBERS) for x, s in zip(places, switches, strict=True)]
        outputs = [known.array for known in run.graph(self, inputs)]
        if run.steps is not None:
            if len(plans) >= MAX_PLANS:
                del plans[next(iter(plans))]
            plans[key] = places, run.steps, outputs
        return tuple([np.array(y) for y in outputs])

    @cached_property
    def order(self) -> list[tuple[Node, list[str]]]:
        """The nodes that the outputs need, each with the values that none after it reads."""
        found, kept = [], {*self.outputs}
        for node in reversed(self.needed()):
            last = {*node.reads()} - kept
            kept |= last
            found.append((node, [*last]))
        return found[::-1]

    def needed(self) -> list[Node]:
        """Return the nodes that the outputs need, in order."""
        wanted, found = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted & set(node.outputs):
                wanted |= set(node.reads())
                found.append(node)
        return found[::-1]


class Turns(NamedTuple):
    """How a Loop or Scan turns: axes, and steps of 1 or -1, of what it reads and stacks."""

    wrong: str  # why it cannot
    carried: int = 0
    reads: Sequence[tuple[int, int]] = ()
    stacks: Sequence[tuple[int, int]] = ()


def _turns(node: Node) -> Turns:
    body, scanned = node.attributes["body"], node.attributes.get("num_scan_inputs", 0)
    first = 2 if node.op == "Loop" else 0  # the number of the turn, and the condition
    carried = len(node.inputs) - first - scanned
    stacked = len(body.outputs) - first // 2 - carried
    given = len(body.names), len(node.inputs), scanned > 0
    if min(carried, stacked) < 0 or given[0] != given[1] or given[2] == (first > 0):
        return Turns(f"a body of {len(body.names)} inputs and {len(body.outputs)} outputs")
    found = []
    for kind, count in (("input", scanned), ("output", stacked)):
        axes = node.attributes.get(f"scan_{kind}_axes", [0] * count)
        backwards = node.attributes.get(f"scan_{kind}_directions", [0] * count)
        found.append([(a, -1 if b else 1) for a, b in zip(axes, backwards, strict=True)])
    return Turns("", carried, *found)


class NewShapeError(Exception):
    """A result has another shape than in the run that recorded the plan."""


class Known(NamedTuple):
    """A value in a run, and what it depends on."""

    array: Any
    depends: int = CONSTANT


def _at_least(depends: int, values: Sequence[Known]) -> list[Known]:
    """Return values of which a branch or a turn is one of several. So they are no constants."""
    return [Known(x, max(known, depends)) for x, known in values]


class Run:
    """One run of a graph. It records steps, unless the arrays get large.

    `kept` is the thread's: the results that depend on constants alone, functions, and layers.
    """

    def __init__(self, kept: dict[Any, Any]) -> None:
        self.kept = kept
        self.results: dict[int, list[Known]] = kept.setdefault("results", {})
        self.functions: dict[int, Callable[..., Any]] = kept.setdefault("functions", {})
        self.steps: list[tuple[Node, Callable[[], Any]]] | None = []
        self.bytes = self.turns = 0

    def graph(
        self, graph: Graph, inputs: Sequence[Known], scope: Mapping[str, Known] | None = None
    ) -> list[Known]:
        """Return the outputs of a graph, or of a branch in the scope around it."""
        values = dict(scope or {}) | {name: Known(x) for name, x in graph.constants.items()}
        values |= zip(graph.names, inputs, strict=True)
        for node, last in graph.order:
            values[""] = Known(None)
            reads = [values[name] for name in node.inputs]
            if node.op == "If":
                self._decide(reads[0])
                chosen = node.attributes["then_branch" if reads[0].array else "else_branch"]
                results = _at_least(reads[0].depends, self.graph(chosen, [], values))
            elif node.op in INNER:
                results = _at_least(SHAPE, self._loop(node, reads, values))
            else:
                results = self.node(node, reads)
            values.update(zip(node.outputs, results, strict=False))
            for name in last:
                values.pop(name, None)
        return [values[name] for name in graph.outputs]

    def _decide(self, known: Known) -> bool:
        """Return whether a value is true. If it depends on numbers, nothing is recorded."""
        self.steps = self.steps if known.depends < NUMBERS else None
        return known.array is None or bool(np.all(known.array))

    def _loop(self, node: Node, reads: list[Known], values: Mapping[str, Known]) -> list[Known]:
        """Run a Loop or Scan. The steps of one turn are recorded after those of the turn before."""
        is_loop, turns = node.op == "Loop", _turns(node)
        first = 2 if is_loop else 0
        carried, scanned = reads[first : first + turns.carried], reads[first + turns.carried :]
        scanned = [
            known._replace(array=np.moveaxis(known.array, axis, 0)[::way])
            for known, (axis, way) in zip(scanned, turns.reads, strict=True)
        ]
        go = not is_loop or self._decide(reads[1])
        limit = reads[0].array if is_loop else len(scanned[0].array)
        if is_loop:
            self._decide(reads[0])
        parts: list[list[Known]] = [[] for _ in turns.stacks]
        turn = 0
        while go and (limit is None or turn < limit):
            self._count(node)
            head = [Known(np.array(turn)), Known(np.array(True))] if is_loop else []
            tail = [known._replace(array=known.array[turn, ...]) for known in scanned]  # views
            given = _at_least(SHAPE, [*head, *carried, *tail])
            found = self.graph(node.attributes["body"], given, values)
            go = self._decide(found.pop(0)) if is_loop else True
            carried, last = found[: turns.carried], found[turns.carried :]
            for part, known in zip(parts, last, strict=True):
                part.append(known)
            turn += 1
        return [
            *carried,
            *[
                self._stacked(node, part[::way], axis)
                for part, (axis, way) in zip(parts, turns.stacks, strict=True)
            ],
        ]

    def _stacked(self, node: Node, parts: Sequence[Known], axis: int) -> Known:
        if not parts:
            raise ValueError(f"node {node.name!r} ({node.op}): there is no turn to stack")
        stack = partial(np.stack, [known.array for known in parts], axis)
        y = stack()
        depends = max(known.depends for known in parts)
        if depends == NUMBERS:
            self._record(node, partial(_repeat, stack, (), [y]), [y])
        return Known(y, depends)

    def _record(self, node: Node, step: Callable[[], Any], results: Sequence[Array]) -> None:
        if self.steps is not None:
            self.steps.append((node, step))
            self.bytes += sum(y.nbytes for y in results)
            self.steps = self.steps if self.bytes <= MAX_BYTES else None

    def _count(self, node: Node) -> None:
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise ValueError(f"node {node.name!r} ({node.op}): more than {MAX_TURNS} turns")
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
        prepared = node.op in (*KINDS, "Conv")  # with copies of the weights
        if prepared and any(known.depends == NUMBERS for known in reads[1:3]):
            self.steps = None
        try:
            step, results = self._prepare(node, reads, depends)
        except ERRORS as error:
            raise ValueError(f"node {node.name!r} ({node.op}): {error}") from error
        if len(results) < len(node.outputs):
            expected = f"{len(node.outputs)} outputs, expected at most {len(results)}"
            raise ValueError(f"node {node.name!r} ({node.op}): {expected}")
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
        if node.op in KINDS:
            layers = self.kept.setdefault(id(node), RecurrentNode(node.op, node.attributes))
            bound: tuple[Callable[[], None], tuple[Array, ...]] = layers.bind(*arrays)
            return bound
        if node.op == "Conv":
            return bind_convolution(*arrays, **node.attributes)
        function = self.functions.get(id(node))
        if function is None:
            self.functions[id(node)] = function = node.function()
        results = [np.asarray(y) for y in _several(function(*arrays))]
        if depends < NUMBERS or self.steps is None:
            return None, results
        moving = [known.array for known in reads if known.depends == NUMBERS]
        views = len(moving) == 1 and all(np.may_share_memory(moving[0], y) for y in results)
        if views:
            return None, results
        if takes_out(function):
            return partial(function, *arrays, out=results[0]), results
        results = [np.array(y, order="C") for y in results]  # some may be views
        return partial(_repeat, function, arrays, results), results


def _several(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _repeat(function: Callable[..., Any], arrays: Sequence[Any], places: Sequence[Array]) -> None:
    for place, y in zip(places, _several(function(*arrays)), strict=True):
        if y.shape != place.shape or y.dtype != place.dtype:
            raise NewShapeError
        place[...] = y
