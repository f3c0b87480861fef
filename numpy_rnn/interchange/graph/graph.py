"""Graph: a network that is no chain of layers, run forward only, node after node.

The first run for inputs of some shapes records a plan: arrays that keep their places, and the steps
that fill them. Views of these arrays need no step. Neither do values that depend on constants,
shapes and whole scalar inputs alone. If other numbers decide a shape, the next run records again.
If they decide a branch, nothing is recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError, first_ones
from numpy_rnn.interchange.graph.nodes import ERRORS, Node, Value
from numpy_rnn.interchange.graph.run import NUMBERS, SHAPE, Known, NewShapeError, Run

MAX_LINE = 100  # characters for each reason
MAX_PLANS = 8  # one for each shape of the inputs, the latest ones


class Graph:
    """Named nodes, in any order. They read inputs, constants and outputs of other nodes.

    What depends on constants and on shapes alone is computed once for each shape.

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
        made = {"", *self.constants, *self.names, *[v for node in self.nodes for v in node.outputs]}
        read = [name for node in self.nodes for name in node.reads()]
        # What a subgraph reads of the graph around it, in order.
        self.free = tuple(dict.fromkeys(v for v in [*read, *self.outputs] if v not in made))
        self.order = _in_order(self.nodes, self.outputs)
        self._checked = False
        self._own = threading.local()  # plans have buffers, so each thread has its own

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.nodes, self.inputs, self.outputs, self.constants)

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {self.names} -> {list(self.outputs)})"

    def all_nodes(self) -> list[Node]:
        """Return the nodes, and those of the branches."""
        inner = [graph.all_nodes() for node in self.nodes for graph in node.graphs()]
        return sum(inner, [*self.nodes])

    def check_values(self) -> None:
        """Raise ValueError, which names a value that is read and that nothing makes."""
        if self.free:
            raise ValueError(f"the value {self.free[0]!r} is read, and nothing defines it")

    def check(self, more: Sequence[str] = ()) -> None:
        """Raise UnsupportedError, which names every node that cannot run, and what is in `more`."""
        self.check_values()
        nodes: dict[str, list[str]] = {}  # reason to names
        for node in self.all_nodes():
            if reason := node.unsupported():  # an operator's name may hold any character
                nodes.setdefault(f"({repr(node.op)[1:-1]}): {reason}", []).append(repr(node.name))
        found = [*more, *[f"node {', '.join(first_ones(at))} {why}" for why, at in nodes.items()]]
        if found:
            short = [text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..." for text in found]
            raise UnsupportedError("; ".join(short))
        self._checked = True

    def __call__(self, *inputs: Any) -> Any:
        """Run the graph: arrays in order give a tuple, a dict of arrays gives a dict.

        TypeError or ValueError names the input or the node that does not fit.
        """
        named = len(inputs) == 1 and isinstance(inputs[0], Mapping)
        if named:
            if inputs[0].keys() != set(self.names):
                raise ValueError(f"inputs are {sorted(inputs[0])}, expected {self.names}")
            inputs = tuple([inputs[0][name] for name in self.names])
        if len(inputs) != len(self.names):
            expected = f"{len(self.names)}: {self.names}"
            raise ValueError(f"there are {len(inputs)} inputs, expected {expected}")
        outputs = self._run([np.asarray(x) for x in inputs])
        return dict(zip(self.outputs, outputs, strict=True)) if named else outputs

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
                raise ValueError(f"{node}: {error}") from error
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


def _in_order(nodes: Sequence[Node], outputs: Sequence[str]) -> list[tuple[Node, list[str]]]:
    """Return the nodes that outputs need, each with the values that none after it reads."""
    makers: dict[str, int] = {}
    for n, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in makers:
                raise ValueError(f"two nodes make the value {name!r}")
            makers[name] = n
    needs = {n: {makers[v] for v in node.reads() if v in makers} for n, node in enumerate(nodes)}
    order = [*needs]
    if any(max(before, default=-1) >= n for n, before in needs.items()):
        try:  # some programs append the nodes that they insert
            order = [*TopologicalSorter(needs).static_order()]
        except CycleError as error:
            name = next(filter(None, nodes[error.args[1][0]].outputs))
            raise ValueError(f"the value {name!r} depends on itself") from None
    read, found = {*outputs}, []
    for node in [nodes[n] for n in reversed(order)]:
        if read & {*node.outputs}:
            last = {*node.reads()} - read
            read |= last
            found.append((node, [*last]))
    return found[::-1]
