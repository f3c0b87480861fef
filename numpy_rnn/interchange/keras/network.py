"""The calls of layers in a network, each after those that it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.interchange.keras.entries import Call, Entry

# What Keras 3 makes masks with, beside the chain: first what leaves a mask what it is.
KEEPING = ("Any", "LogicalOr", "ExpandDims", "ConvertToTensor", "ZerosLike")
MASKS = (*KEEPING, "Concatenate", "OnesLike", "NotEqual", "InputLayer")
MAX_CALLS = 10_000  # of layers, once models inside models are taken apart
Value = tuple[str, int]  # the name of a call, and which of its outputs
Values = list[Value]
Reference = tuple[str, int, int]  # of a config: layer, which call of it, which output
References = list[Reference]
Uses = dict[tuple[str, int], tuple[References, dict[str, Any], References]]
Parts = Mapping[str, "Entry | Network"]  # by the names in a config


class Network(NamedTuple):
    """The layers of a file, and how they are connected if the file says so."""

    entries: list[Entry]
    calls: Sequence[Call] = ()  # each after those that it reads; none if that is not known
    inputs: Sequence[Value] = ()
    outputs: Sequence[Value] = ()
    reason: str = ""  # why it cannot be built
    each_step: bool = False  # whether its batch is all steps of the whole batch

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads the one before it, and none has its mask replaced."""
        ends = [(call.name, 0) for call in self.calls]
        read = [list(call.given) for call in self.calls if call.mask != ()]
        in_line = read == [ends[max(0, i - 1) : i] for i in range(len(ends))]
        return in_line and list(self.outputs) == ends[-1:]


def ordered(parts: Parts, uses: Uses, inputs: References, outputs: References) -> Network:  # noqa: C901 (one search)
    """Return a network with each call after those that it reads, and models taken apart."""
    counts, last = Counter(name for name, _ in uses), Counter[str]()
    for name, n, _ in [*outputs, *[r for read, _, _ in uses.values() for r in read]]:
        last[name] = max(last[name], n)
    calls, values = list[Call](), dict[tuple[str, int], Any]()

    def use(reference: Reference) -> tuple[str, int]:
        # Keras 2 may count the call that made a model, which is not listed.
        name, n, _ = reference
        made = isinstance(parts[name], Network)
        return name, n - max(0, last[name] + 1 - counts[name]) if made else n

    def value(reference: Reference) -> Value:
        made = values[use(reference)]
        return made[reference[2]] if isinstance(made, list) else (made, reference[2])

    def mask(references: References) -> tuple[Any, ...] | None:
        at, numbers = _compared(references, parts, uses)
        return numbers and (value(at) if use(at) in values else "", *numbers)

    pending, begun = [use(r) for r in [*inputs, *outputs][::-1]], set[tuple[str, int]]()
    while pending:
        at = pending[-1]
        if at in values:
            pending.pop()
            continue
        read, options, masks = uses[at]
        if missing := [where for where in map(use, read) if where not in values]:
            if at in begun:
                raise ValueError(f"{at[0]} reads its own output")
            begun.add(at)
            pending += missing
            continue
        given, inside = [value(r) for r in read], parts[at[0]]
        if isinstance(inside, Entry):
            name = f"{inside.name}:{at[1]}".removesuffix(":0")
            calls.append(Call(name, inside, given, options, mask(masks)))
            values[at] = name
            continue
        more, values[at] = _taken_apart(inside, given, f"#{at[1]}")
        trains = {"training": True} if is_training(options) else {}
        calls += [
            call._replace(mask=mask(masks) or call.mask, options={**call.options, **trains})
            for call in more
        ]
        if len(calls) > MAX_CALLS:
            raise ValueError(f"it has {len(calls)} calls of layers, expected at most {MAX_CALLS}")
    return _network(parts, calls, [value(r) for r in inputs], [value(r) for r in outputs])


def _compared(references: References, parts: Parts, uses: Uses) -> tuple[Any, Any]:
    """Return what Keras 3 compares with which numbers for a mask; None if there is no mask.

    No numbers say that all is True.
    """
    if not references:
        return None, None
    found, seen, joined, left = set[Any](), set[Any](), set[Any](), references[:1]
    while left:
        at = left.pop()
        kind, (read, options, _) = getattr(parts[at[0]], "class_name", ""), uses[at[:2]]
        if kind == "OnesLike":  # of a Concatenate layer of which an input has no mask
            return None, ()
        if kind == "NotEqual":
            found |= {(read[0], n) for n in options["args"][1:] if isinstance(n, int | float)}
        elif kind not in KEEPING and (kind != "Concatenate" or at not in joined):
            found.add((at, np.nan))
        elif at not in seen:
            left += read if kind != "ZerosLike" else []
            joined = {*read} if kind == "Any" else set()
        seen.add(at)
    at, *numbers = found.pop() if len(found) == 1 else (references[0], np.nan)
    return at, tuple(numbers)


def _network(parts: Parts, calls: list[Call], inputs: Values, outputs: Values) -> Network:
    found = {id(call.entry) for call in calls}
    layers = [e for e in parts.values() if isinstance(e, Entry)]
    models = [e for e in parts.values() if isinstance(e, Network)]
    beside = [e.name for e in layers if id(e) not in found and e.class_name not in MASKS]
    reasons = [f"a mask of {', '.join(beside)}"] * bool(beside)
    reasons += [model.reason for model in models if model.reason]
    every = layers + [e for model in models for e in model.entries]
    return Network(every, calls, inputs, outputs, "; ".join(reasons))


def _taken_apart(model: Network, given: Values, end: str) -> tuple[list[Call], Values]:
    """Return the calls of a model that is called, and its outputs. `end` makes the names unique."""
    begin = dict(zip(model.inputs, given, strict=True))
    name = f"{model.inputs[0][0]}{end}"
    if model.each_step:
        begin = {model.inputs[0]: (name, 0)}

    def value(v: Value) -> Value:
        return begin.get(v) or (f"{v[0]}{end}", v[1])

    calls = [
        call._replace(
            name=f"{call.name}{end}",
            given=[*map(value, call.given)],
            mask=call.mask and (value(call.mask[0]), *call.mask[1:]),
        )
        for call in model.calls
        if call.entry.class_name != "InputLayer"
    ]
    outputs = [*map(value, model.outputs)]
    if model.each_step:
        parts = [Entry(name, kind, {}, []) for kind in ("JoinedSteps", "ApartSteps")]
        joined, apart = Call(name, parts[0], given), f"{name}.apart"
        return [joined, *calls, Call(apart, parts[1], [*outputs, *given])], [(apart, 0)]
    return calls, outputs


def is_training(options: Mapping[str, Any]) -> bool:
    """Return whether a call says that it is one of training."""
    return True in (options.get("training"), *(a is True for a in options.get("args", ())))
