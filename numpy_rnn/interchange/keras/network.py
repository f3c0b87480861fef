"""The network that a model's config describes: its calls, each after those that it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.keras.entries import STEPWISE, Call, Entry, Value, snake_case

Find = Callable[[str, str], list[Array]]  # a layer's weights by its name, or by Keras 3's group
FIRST = ("inputs", "sequences", "sequence", "query", "value", "key")  # arguments of calls, in order
MAX_CALLS = 10_000  # of layers, once models inside models are taken apart


class Network(NamedTuple):
    """The layers of a file, and how they are connected if the file says so."""

    entries: list[Entry]
    calls: list[Call]
    outputs: list[Value]
    reasons: list[str]  # why it cannot be built


class Given(NamedTuple):
    """What a layer or a model inside is called with. `end` makes the names of its calls unique."""

    values: Sequence[Any] = ()
    masks: Sequence[Value | None] = ()
    end: str = ""


TOP = Given()


class Use(NamedTuple):
    """One use of a layer in a config. A reference is a layer, which use of it, and which output."""

    reads: list[Any]  # references, and numbers
    masks: list[Any]
    options: dict[str, Any]

    def before(self) -> list[Any]:
        """Return the references."""
        return [r for r in [*self.reads, *self.masks] if isinstance(r, tuple)]


def connected(config: dict[str, Any], find: Find) -> Network:
    """Return the network that a config describes, with the layers of models inside it."""
    calls = _Calls(find)
    outputs = calls.model(config, "", "")
    return Network([*calls.entries.values()], calls.calls, outputs, calls.reasons)


def line(entries: Sequence[Entry]) -> Network:
    """Return a network in which each layer reads the one before it."""
    calls = _Calls(lambda _, __: [])
    return Network([*entries], calls.calls, calls.sequential(entries), [])


def chain_of(calls: Sequence[Call], outputs: Sequence[Value]) -> list[Call] | None:
    """Return the calls if each reads the one before it, else None.

    Left out are the functions by which Keras 3 makes the masks that layers of the chain make.
    """
    compared: dict[Any, Any] = {}
    for call in calls:
        if call.entry.class_name == "NotEqual":
            compared[call.name, 0] = tuple(call.given)
        elif call.entry.class_name == "Any":
            compared[call.name, 0] = compared.get(call.given[0])
    chain = [call for call in calls if (call.name, 0) not in compared]
    makers = [call for call in chain if call.entry.masked_value is not None]
    made = [(*call.given, call.entry.masked_value) for call in makers]
    masked = all(compared.get(mask) in made for call in chain for mask in call.masks)
    ends = [(call.name, 0) for call in chain]
    reads = [ends[max(0, n - 1) : n] for n in range(len(ends))]
    in_line = [[*call.given] for call in chain] == reads and [*outputs] == ends[-1:]
    return chain if in_line and masked else None


class _Calls:
    """The calls of layers that a config describes, also of those in models inside."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.entries: dict[str, Entry] = {}
        self.calls: list[Call] = []
        self.reasons: list[str] = []
        self._count = 0

    def model(self, config: dict[str, Any], name: str, group: str, given: Given = TOP) -> Any:
        """Add the calls of a model and return its outputs."""
        inner = config["config"]
        listed = inner if isinstance(inner, list) else inner.get("layers")  # Keras 1 has a list
        if config["class_name"] == "Merge" or listed is None:
            raise UnsupportedError(f"a model of class {config['class_name']}, of Keras 1")
        parts: dict[str, Any] = {}
        seen: Counter[str] = Counter()  # of each class, by which Keras 3 names the weights
        for item in listed:
            own = item["config"] if isinstance(item["config"], dict) else {}
            short = item.get("name") or own.get("name") or f"layer_{len(parts)}"
            place = snake_case(item["class_name"].rpartition(".")[2])
            seen[place] += 1
            place = f"{group}{place}_{seen[place] - 1}".removesuffix("_0")
            parts[short] = self._part(item, f"{name}{short}", place)
        if config["class_name"] == "Sequential":
            return self.sequential(parts.values(), name, given)
        return self._functional(inner, parts, given)

    def _part(self, item: dict[str, Any], name: str, group: str) -> Any:
        """Return a layer, or a function that adds the calls of a model inside."""
        kind, config = item["class_name"], item["config"]
        if isinstance(config, list) or "layers" in config:
            return partial(self.model, item, f"{name}/", f"{group}/layers/")
        if kind == "TimeDistributed":
            part = self._part(config["layer"], name, f"{group}/layer")
            stepwise = isinstance(part, Entry) and part.class_name in STEPWISE
            if stepwise and part.config.get("axis", -1) in (-1, [-1]):
                return part
            return partial(self._each_step, part, name)
        self.entries[name] = Entry(name, kind, config, self._find(name, group))
        return self.entries[name]

    def _use(self, part: Any, n: int, given: Given, **options: Any) -> Callable[[int], Value]:
        """Add the n-th call of a part and return its outputs, as a function of their number."""
        self._count += 1
        if self._count > MAX_CALLS:
            raise ValueError(f"it has more calls of layers, expected at most {MAX_CALLS}")
        if isinstance(part, Entry):
            name = f"{part.name}:{n}".removesuffix(":0") + given.end
            self.calls.append(Call(name, part, given.values, options, given.masks))
            return lambda which: (name, which)
        outputs: list[Value] = part(given._replace(end=f"#{n}{given.end}"))
        return outputs.__getitem__

    def _each_step(self, part: Any, name: str, given: Given) -> list[Value]:
        """Add the calls of a part whose batch is all steps of the whole batch."""
        joined = self._use(Entry(f"{name}.joined", "JoinedSteps", {}, []), 0, given)(0)
        y = self._use(part, 0, given._replace(values=[joined]))(0)
        apart = Entry(f"{name}.apart", "ApartSteps", {}, [])
        return [self._use(apart, 0, given._replace(values=[y, *given.values]))(0)]

    def sequential(self, parts: Iterable[Any], name: str = "", given: Given = TOP) -> list[Value]:
        """Add the calls of parts of which each reads the one before it."""
        first, *others = parts
        if not (isinstance(first, Entry) and first.class_name == "InputLayer"):
            shape = first.config.get("batch_input_shape") if isinstance(first, Entry) else None
            others = [first, *others]
            first = Entry(f"{name}input", "InputLayer", {"batch_input_shape": shape}, [])
        (value,) = given.values or [self._use(first, 0, given)(0)]
        for part in others:
            value = self._use(part, 0, given._replace(values=[value]))(0)
        return [value]

    def _functional(self, config: Any, parts: dict[str, Any], given: Given) -> list[Value]:
        """Add the calls of parts that are connected in any way."""
        uses, inputs, outputs = _uses(config, [n for n, part in parts.items() if callable(part)])
        pairs = zip(inputs, given.values, strict=given is not TOP)
        made: dict[Any, Callable[[int], Value]] = {at[:2]: [v].__getitem__ for at, v in pairs}

        def value(reference: Any) -> Any:
            is_made = isinstance(reference, tuple)
            return made[reference[:2]](reference[2]) if is_made else reference

        for name, n in [*[r[:2] for r in inputs], *_in_order(uses)]:
            if (name, n) not in made:
                use = uses[name, n]
                masks = [*map(value, use.masks)] or given.masks
                read = Given([*map(value, use.reads)], masks, given.end)
                made[name, n] = self._use(parts[name], n, read, **use.options)
                if True in (use.options.get("training"), *[a is True for a in use.options["args"]]):
                    self.reasons.append(f"{name}, called with training=True")
        return [*map(value, outputs)]


def _uses(config: dict[str, Any], models: list[str]) -> tuple[dict[Any, Use], list[Any], list[Any]]:
    """Return the uses of layers in a functional model, and its inputs and outputs."""
    listed = config["layers"]
    starts, ends = (
        _references([v for _, v in sorted(at.items())] if isinstance(at, dict) else at)
        for at in (config["input_layers"], config["output_layers"])
    )
    if isinstance(next(filter(None, (i["inbound_nodes"] for i in listed)), [0])[0], dict):
        # Keras 3 counts the call that made a model, but here alone.
        others = ("Sequential", "TimeDistributed")
        made = [i["name"] for i in listed if i["class_name"] not in others and i["name"] in models]
        ends = [(name, n - (name in made), which) for name, n, which in ends]
    found = {item["name"]: [*map(_parse_call, item["inbound_nodes"] or [([],)])] for item in listed}
    last = Counter[str]()
    uses = [use for own in found.values() for use in own]
    for name, n, _ in [*ends, *[r for use in uses for r in use.before()]]:
        last[name] = max(last[name], n + 1)
    # Keras 2 may count the call that made a model, which is not listed.
    begin = {name: max(0, last[name] - len(found[name])) for name in models}
    numbered = {
        (name, n): use
        for name, own in found.items()
        for n, use in enumerate(own, begin.get(name, 0))
    }
    return numbered, starts, ends


def _in_order(uses: dict[Any, Use]) -> list[Any]:
    """Return the uses, each after those that it needs."""
    needs = {at: [r[:2] for r in use.before()] for at, use in uses.items()}
    try:
        return [*TopologicalSorter(needs).static_order()]
    except CycleError as error:
        raise ValueError(f"{error.args[1][0][0]} reads its own output") from None


def _parse_call(node: Any) -> Use:
    """Return what a call of a layer reads, masks that it names, and its other arguments."""
    if isinstance(node, dict):  # of Keras 3
        args, options = node["args"], dict(node["kwargs"])
        options["is_function"] = not isinstance(next(iter(args), None), list)
    else:
        parts = node if node and not isinstance(node[0], str) else [node]
        args, options = [part[:3] for part in parts], {}
        for part in parts:
            options |= part[3] if len(part) > 3 else {}
    reads: list[Any] = []
    for operand in [*args, options.get("y")]:
        reads += [float(operand)] if type(operand) in (int, float) else _references(operand)
    others = [n for n in options if n not in (*FIRST, "y") and not n.endswith("mask")]
    reads += _references([options.get(n) for n in (*FIRST, *others)])
    mask, more = options.get("mask"), [n for n in options if n.endswith("mask") and n != "mask"]
    listed = mask if isinstance(mask, list) and not _is_reference(mask) else [mask]
    masks = [next(iter(_references(v)), None) for v in [*listed, *[options[n] for n in more]]]
    return Use(reads, masks if any(masks) else [], options | {"args": args})


def _is_reference(value: list[Any]) -> bool:
    return len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _references(value: Any) -> list[Any]:
    """Return the outputs of layers that a part of a config refers to, and constants of Keras 2."""
    if isinstance(value, dict):
        inside = [value["keras_history"]] if "keras_history" in value else [*value.values()]
        return [reference for v in inside for reference in _references(v)]
    if not isinstance(value, list):
        return []
    if not _is_reference(value):
        return [reference for v in value for reference in _references(v)]
    return [float(value[2])] if value[0] == "_CONSTANT_VALUE" else [tuple(value[:3])]
