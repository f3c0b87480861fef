"""Graph: a network that is no chain of layers, run forward only, node after node."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.onnx_recurrent import KINDS, why_not_recurrent
from numpy_rnn.interchange.operators import why_not
from numpy_rnn.interchange.trace import Node, Trace

MAX_NAMED = 100  # nodes in a message
MAX_LINE = 200  # characters for each of them
MAX_PLANS = 8  # one for each shape of the inputs, the latest ones
BRANCHES = {"then_branch", "else_branch"}


class Value(NamedTuple):
    """An input of a graph; None is any dtype, number of axes or size, and so is a name."""

    name: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None

    def check(self, given: Any) -> Array:
        """Return an input as an array if dtype and shape fit."""
        x, dtype, shape = np.asarray(given), self.dtype, self.shape
        if dtype is not None and x.dtype != dtype:
            if not np.can_cast(x.dtype, dtype, "same_kind"):
                raise TypeError(f"input {self.name!r} has dtype {x.dtype}, expected {dtype}")
            x = x.astype(dtype)
        if shape is not None and (
            x.ndim != len(shape)
            or any(
                isinstance(want, int) and want != n for want, n in zip(shape, x.shape, strict=True)
            )
        ):
            raise ValueError(f"input {self.name!r} has shape {x.shape}, expected {shape}")
        return x


class Graph:
    """Named nodes in the order in which they run.

    Parameters
    ----------
    nodes : sequence of Node
        A node reads inputs, constants and outputs of nodes before it.
    inputs : sequence of str or Value
        In order.
    outputs : sequence of str
        In order.
    constants : mapping of str to array
        The weights.
    opset : int
        Version of ONNX's operators.

    Examples
    --------
    >>> import numpy as np
    >>> double = Node("double", "Add", ("x", "x"), ("y",))
    >>> graph = Graph([double], ["x"], ["y"])
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
        opset: int = 17,
    ) -> None:
        self.nodes, self.outputs, self.opset = tuple(nodes), tuple(outputs), opset
        self.inputs = tuple(Value(i) if isinstance(i, str) else i for i in inputs)
        self.constants = dict(constants or {})
        known = {"", *self.constants, *[value.name for value in self.inputs]}
        free: dict[str, None] = {}  # what a subgraph reads of the graph around it, in order
        for node in self.nodes:
            free |= dict.fromkeys(name for name in node.reads() if name not in known)
            known.update(node.outputs)
        free |= dict.fromkeys(name for name in self.outputs if name not in known)
        self.free = tuple(free)
        self.folded: dict[int, Any] = {}  # by node: results that depend on constants alone
        self._checked = False
        self._own = threading.local()  # a plan has buffers, so each thread makes its own

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what the graph was made of."""
        return Graph, (self.nodes, self.inputs, self.outputs, self.constants, self.opset)

    def __repr__(self) -> str:
        names = [value.name for value in self.inputs]
        return f"Graph({len(self.nodes)} nodes, {names} -> {list(self.outputs)})"

    def unsupported(self) -> list[str]:
        """Return a line with the reason for every node that cannot run."""
        found = []
        for node in self.nodes:
            graphs = {k: v for k, v in node.attributes.items() if isinstance(v, Graph)}
            if node.op == "If":
                fits = set(graphs) == set(node.attributes) == BRANCHES
                reason = "" if fits else f"attributes {sorted(node.attributes)}"
            elif node.op in KINDS:
                reason = why_not_recurrent(str(node.op), node.attributes, node.inputs)
            else:
                reason = why_not(node.op, node.options(), node.inputs)
            if reason:
                op = repr(node.op)[1:-1]  # it may hold any character
                found.append(f"node {node.name!r} ({op}): {reason}")
            for graph in graphs.values():
                found += graph.unsupported()
        return found

    def check(self, more: Sequence[str] = ()) -> None:
        """Raise UnsupportedError, which names every node that cannot run, and what is in `more`."""
        if self.free:
            raise ValueError(f"the value {self.free[0]!r} is read, and nothing before defines it")
        lines = [*more, *self.unsupported()]
        found = [text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..." for text in lines]
        rest = [f"and {len(found) - MAX_NAMED} more"] if len(found) > MAX_NAMED else []
        if found:
            raise UnsupportedError("; ".join(found[:MAX_NAMED] + rest))

    def __call__(self, *inputs: Any) -> Any:
        """Run the graph: arrays in order give a tuple, a dict of arrays gives a dict.

        TypeError or ValueError names the input or the node that does not fit.
        """
        if not self._checked:
            self.check()
            self._checked = True
        names = [value.name for value in self.inputs]
        given = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Mapping) else None
        if given is not None:
            if set(given) != set(names):
                raise ValueError(f"inputs are {sorted(given)}, expected {names}")
            inputs = tuple(given[name] for name in names)
        if len(inputs) != len(names):
            raise ValueError(f"there are {len(inputs)} inputs, expected {len(names)}: {names}")
        outputs = self.run([v.check(x) for v, x in zip(self.inputs, inputs, strict=True)])
        return outputs if given is None else dict(zip(self.outputs, outputs, strict=True))

    def run(self, arrays: list[Array]) -> tuple[Array, ...]:
        """Return the outputs for arrays that fit the inputs (and `free`, in a subgraph)."""
        key = tuple([(x.shape, x.dtype) for x in arrays])
        plans = self._own.__dict__.setdefault("plans", {})
        if key in plans:
            ran: tuple[Array, ...] = plans[key].run(arrays)
            return ran
        trace = Trace(self, arrays, self._own.__dict__.setdefault("prepared", {}))
        if len(plans) >= MAX_PLANS:
            del plans[next(iter(plans))]
        plans[key] = trace.plan()
        return trace.results()
