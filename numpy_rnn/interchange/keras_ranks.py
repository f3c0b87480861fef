"""How many axes the values in a network have, as far as its config tells that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from numpy_rnn.interchange.keras_entries import OF_RECURRENCE, Call, Entry

Rank = int | None  # None if it is not known


def with_ranks(calls: Iterable[Call]) -> list[Call]:
    """Return the calls with the numbers of axes of what they read, as ``config["ranks"]``."""
    known, found = dict[tuple[str, int], Rank](), list[Call]()
    for call in calls:
        given = [known.get(value, 2) for value in call.given]  # 2 is that of a state
        config = {**call.entry.config, "ranks": given}
        found.append(call._replace(entry=call.entry._replace(config=config)))
        known[call.name, 0] = _rank(call.entry, call, given)
    return found


def _rank(entry: Entry, call: Call, given: Sequence[Rank]) -> Rank:  # noqa: C901, PLR0911 (one case for each kind of layer)
    kind, config, keep = entry.class_name, entry.config, entry.config.get("keepdims")
    if kind == "InputLayer":
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return shape and len(shape)
    if kind == "Reshape" and "target_shape" in config:
        return 1 + len(config["target_shape"])
    if kind in OF_RECURRENCE:
        inner = config["layer"]["config"] if kind == "Bidirectional" else config
        return 3 if inner.get("return_sequences") else 2
    if kind == "RepeatVector":
        return 3
    if kind == "Flatten" or (kind.startswith("Global") and not keep):
        return 2
    if not given or None in given:
        return None
    ranks = [rank for rank in given if rank is not None]
    if kind == "TimeDistributed":
        inner, axes = config["layer"], [rank - 1 for rank in ranks]
        rank = _rank(entry.as_class(inner["class_name"], inner["config"]), call, axes)
        return rank and rank + 1
    if kind in ("Sum", "Mean", "Max", "Min") or str(config.get("function")).startswith(
        "math.reduce"
    ):
        options = {**config, **call.options}
        return ranks[0] - (0 if options.get("keepdims") else np.size(options["axis"]))
    if kind in ("GetItem", "SlicingOpLambda"):
        key = call.options.get("slice_spec", [*call.options.get("args", ()), None, None][1])
        return ranks[0] - sum(
            type(part) is int for part in (key if isinstance(key, list) else [key])
        )
    if kind == "ApartSteps":
        return ranks[0] + 1
    if kind == "Dot":
        return max(2, sum(ranks) - 2)
    return max(ranks) + {"Embedding": 1, "JoinedSteps": -1}.get(kind, 0)
