"""Functions of a file's own: the nodes of a function take the place of each call."""

from __future__ import annotations

from typing import Any

MAX_NODES = 1 << 14  # that calls become; functions that call others twice double them

Message = dict[str, Any]


class Functions:
    """The functions of a model, by domain and name."""

    def __init__(self, model: Message) -> None:
        self.known = {_key(f, "name"): f for f in model["functions"]}
        self.nodes = self.calls = 0

    def inlined(self, nodes: list[Message], around: tuple[Any, ...] = ()) -> list[Message]:
        """Return nodes without calls. `around` are the functions that they are in."""
        found = []
        for node in nodes:
            key = _key(node, "op_type")
            if key in around:
                raise ValueError(f"its function {key[1]!r} calls itself")
            called = self.known.get(key)
            inside = [] if called is None else self._body(called, node)
            found += [node] if called is None else self.inlined(inside, (*around, key))
        return found

    def _body(self, function: Message, call: Message) -> list[Message]:
        """Return a function's nodes, in which values and attributes are those of a call."""
        self.calls, self.nodes = self.calls + 1, self.nodes + len(function["node"])
        if self.nodes > MAX_NODES:
            raise ValueError(f"its functions have more than {MAX_NODES} nodes")
        own = {a["name"]: a for a in [*function["attribute_proto"], *call["attribute"]]}
        names = dict.fromkeys(["", *function["input"]], "")
        names |= zip(function["input"], call["input"], strict=False)
        outputs = zip(function["output"], call["output"], strict=False)
        names |= {inner: outer for inner, outer in outputs if outer}
        return [self._renamed(node, names, own) for node in function["node"]]

    def _renamed(self, node: Message, names: dict[str, str], own: dict[str, Message]) -> Message:
        """Return a node whose values have the names of a call, or new ones."""

        def new(name: str) -> str:
            return names.setdefault(name, f"{name} of call {self.calls}")

        def named(messages: list[Message]) -> list[Message]:
            return [m | {"name": new(m["name"])} for m in messages]

        attributes = []
        for given in node["attribute"]:
            attribute = given
            if given["ref_attr_name"]:
                attribute = own.get(given["ref_attr_name"], {}) | {"name": given["name"]}
            elif graph := given["g"]:
                inside = {part: named(graph[part]) for part in ("input", "initializer", "output")}
                inside["node"] = [self._renamed(n, names, own) for n in graph["node"]]
                attribute = given | {"g": graph | inside}
            if "type" in attribute:  # one without a value is left out
                attributes.append(attribute)
        values = {part: [new(name) for name in node[part]] for part in ("input", "output")}
        return node | values | {"attribute": attributes}


def _key(message: Message, name: str) -> tuple[str, str, str]:
    return message["domain"], message[name], message["overload"]
