"""How many axes the values in a network have, as far as its config tells that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.interchange.keras.entries import OF_RECURRENCE, REDUCTIONS, Call, Entry

Rank = int | None  # None if it is not known


def with_ranks(calls: Iterable[Call], dtype: np.dtype[Any]) -> list[Call]:
    """Return the calls with weights of a dtype, and the ranks of what they read in the config."""
    known, found = dict[tuple[str, int], Rank](), list[Call]()
    for call in calls:
        given = [known.get(value, 2) for value in call.given]  # 2 is that of a state
        weights = [array.astype(dtype) for array in call.entry.weights]
        entry = call.entry._replace(config={**call.entry.config, "ranks": given}, weights=weights)
        found.append(call._replace(entry=entry))
        known[call.name, 0] = _rank(call.entry, call, given)
    return found


def _rank(entry: Entry, call: Call, given: Sequence[Rank]) -> Rank:  # noqa: PLR0911 (one case for each kind of layer)
    kind, config = entry.class_name, {**call.options, **entry.config}
    keep, function = config.get("keepdims"), str(config.get("function"))
    if kind == "InputLayer":
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return shape and len(shape)
    if kind == "Reshape" and "target_shape" in config:
        return 1 + len(config["target_shape"])
    if kind in OF_RECURRENCE:
        inner = config["layer"]["config"] if kind == "Bidirectional" else config
        return 3 if inner.get("return_sequences") else 2
    if kind in ("RepeatVector", "Flatten") or (kind.startswith("Global") and not keep):
        return 3 if kind == "RepeatVector" else 2
    if not given or None in given:
        return None
    ranks = [rank for rank in given if rank is not None]
    if kind == "TimeDistributed":
        rank = _rank(entry.layer_inside(), call, [rank - 1 for rank in ranks])
        return rank and rank + 1
    if kind in REDUCTIONS or function.startswith("math.reduce"):
        return ranks[0] - (0 if keep else np.size(config.get("axis", 0)))
    if kind in ("GetItem", "SlicingOpLambda"):
        key = config.get("slice_spec", [*config.get("args", ()), None, None][1])
        parts = key if isinstance(key, list) else [key]
        return ranks[0] - sum(type(part) is int for part in parts)
    if kind == "Dot":
        return max(2, sum(ranks) - 3)
    changes = {"Embedding": 1, "JoinedSteps": -1, "ApartSteps": 1}
    return (ranks[0] if kind in changes else max(ranks)) + changes.get(kind, 0)
