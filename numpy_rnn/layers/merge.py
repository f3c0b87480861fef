"""Merge modes: how the two directions of a bidirectional layer become one output (Keras's names).

concat   y = [a, b]        da, db = the halves of dy
sum      y = a + b         da = db = dy
ave      y = (a + b) / 2   da = db = dy / 2
mul      y = a * b         da = dy * b,  db = dy * a
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.arguments import check_choice
from numpy_rnn.functional.types import Array

MERGES = ("concat", "sum", "mul", "ave")


def check_merge(kind: str, merge: str, *, bidirectional: bool) -> str:
    """Return `merge` if it is a mode, and the default one unless there are two directions."""
    check_choice(kind, "merge", merge, MERGES)
    if merge != "concat" and not bidirectional:
        raise ValueError(f"{kind}: merge is {merge!r}, expected bidirectional=True with it")
    return merge


def merge_outputs(merge: str, outputs: list[Array]) -> Array:
    """Return the output of a layer with these outputs of its two directions."""
    a, b = outputs
    if merge == "concat":
        return np.concatenate(outputs, axis=-1)
    if merge == "mul":
        return a * b
    return a + b if merge == "sum" else (a + b) / 2


def merge_vjp(merge: str, d: Array, outputs: list[Array]) -> list[Array]:
    """Return the gradient of each direction's output. Only "mul" needs the `outputs`."""
    if merge == "concat":
        half = d.shape[-1] // 2
        return [d[..., :half], d[..., half:]]
    if merge == "mul":
        a, b = outputs
        return [d * b, d * a]
    return [d, d] if merge == "sum" else [d / 2, d / 2]
