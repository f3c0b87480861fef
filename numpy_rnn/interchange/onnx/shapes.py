# ruff: noqa: A002, A006, D103, N802 (operators and parameters have the specification's names)
"""The operators of ONNX that move numbers: shapes, slices, padding, indices and sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.windows import check_memory, check_padding

REDUCTIONS: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def Reshape(data: Array, shape: Any, *, allowzero: int = 0) -> Array:
    new = [data.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    return data.reshape(new)


def axes_of(values: Any) -> tuple[int, ...] | None:
    return None if values is None else tuple(map(int, values if np.ndim(values) else [values]))


def whole(value: Any) -> int:
    return int(np.ravel(value)[0])  # a scalar, or a vector of one


def Flatten(input: Array, *, axis: int = 1) -> Array:
    axis = axis if axis >= 0 else axis + input.ndim
    return input.reshape(math.prod(input.shape[:axis]), math.prod(input.shape[axis:]))


def Slice(data: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Array:
    found, count = [slice(None)] * data.ndim, len(starts)
    steps, axes = [1] * count if steps is None else steps, range(count) if axes is None else axes
    for axis, *numbers in zip(axes, starts, ends, steps, strict=True):
        found[int(axis)] = slice(*map(int, numbers))
    return data[tuple(found)]


def Split(
    input: Array, split: Any = None, *, axis: int = 0, num_outputs: int = 1
) -> tuple[Array, ...]:
    axis, size = axis % input.ndim, input.shape[axis]
    each = [-(-size // num_outputs)] * num_outputs if split is None else split
    ends = np.minimum(np.cumsum(each), size).tolist()
    before = (slice(None),) * axis
    return tuple([input[(*before, slice(*e))] for e in zip([0, *ends], ends, strict=False)])


def Pad(
    data: Array, pads: Any, value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Array:
    named = range(data.ndim) if axes is None else [int(axis) for axis in axes]
    check_padding(pads)
    for n, axis in enumerate(named):
        before, after = int(pads[n]), int(pads[n + len(named)])
        if before or after:
            index = _padding(data.shape[axis], before, after, mode)
            data = data.take(index, axis)
            if mode == "constant" and max(before, after) > 0:
                np.moveaxis(data, axis, -1)[..., index < 0] = 0 if value is None else value
    return data


@lru_cache(64)
def _padding(size: int, before: int, after: int, mode: str) -> Array:
    """Return where the elements of a padded axis come from, below 0 for padding by a constant."""
    options: dict[str, Any] = {"constant_values": -1} if mode == "constant" else {}
    padded: Any = np.pad  # a mode is one of many literals there
    index: Array = padded(np.arange(size), (max(before, 0), max(after, 0)), mode, **options)
    return index[max(-before, 0) : len(index) - max(-after, 0)]


def ConstantOfShape(input: Any, *, value: Any = np.zeros(1, "f4")) -> Array:  # noqa: B008 (read only)
    check_memory(*input)
    return np.broadcast_to(value[0], [int(n) for n in input])  # a view, so it takes no memory


def Expand(input: Array, shape: Any) -> Array:
    whole_shape = np.broadcast_shapes(input.shape, tuple(map(int, shape)))
    check_memory(*whole_shape)
    return np.broadcast_to(input, whole_shape)


def Range(start: Array, limit: Array, delta: Array) -> Any:
    first, last, step = (float(x.item()) for x in (start, limit, delta))
    check_memory(max(int((last - first) / step), 0))
    return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def Tile(input: Array, repeats: Any) -> Array:
    check_memory(input.size, *repeats)
    return np.tile(input, [int(n) for n in repeats])


def along(parameter: Array, X: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along one axis of X."""
    return parameter.reshape([-1 if n == axis % X.ndim else 1 for n in range(X.ndim)])


def TopK(
    X: Array, K: Any = None, *, k: int = 0, axis: int = -1, largest: int = 1
) -> tuple[Array, Array]:
    down = ~X if X.dtype.kind in "iu" else -X  # -X overflows for the least integer
    order = np.argsort(down if largest else X, axis, kind="stable")
    index = order.take(range(k if K is None else whole(K)), axis)
    return np.take_along_axis(X, index, axis), index


def CumSum(x: Array, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    axis = whole(axis)
    x = np.flip(x, axis) if reverse else x
    y = np.cumsum(x, axis, dtype=x.dtype) - (x if exclusive else 0)
    return np.flip(y, axis) if reverse else y


def _places(indices: Array, axis: int) -> tuple[Any, ...]:
    """Return the index for the elements that indices along an axis choose."""
    places: list[Any] = [*np.indices(indices.shape, sparse=True)]
    places[axis] = indices
    return tuple(places)


def _scattered(data: Array, places: Any, updates: Array, reduction: str) -> Array:
    y = data.copy()
    if reduction == "none":
        y[places] = updates
    else:
        REDUCTIONS[reduction].at(y, places, updates)
    return y


def ScatterElements(
    data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    return _scattered(data, _places(indices, axis), updates, reduction)


def ScatterND(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    return _scattered(data, tuple(np.moveaxis(indices, -1, 0)), updates, reduction)


def GatherND(data: Array, indices: Array, *, batch_dims: int = 0) -> Any:
    new = tuple(range(batch_dims, indices.ndim - 1))
    grids: Any = np.indices(data.shape[:batch_dims], sparse=True)
    batch = [np.expand_dims(grid, new) for grid in grids]
    return data[(*batch, *np.moveaxis(indices, -1, 0))]


def OneHot(indices: Array, depth: Any, values: Array, *, axis: int = -1) -> Any:
    count, places = whole(depth), np.expand_dims(indices, axis)
    check_memory(count, *indices.shape)
    classes = along(np.arange(count), places, axis)
    return np.where((places == classes) | (places + count == classes), values[1], values[0])


def ReverseSequence(
    input: Array, lengths: Any, *, batch_axis: int = 1, time_axis: int = 0
) -> Array:
    x, end = np.moveaxis(input, (batch_axis, time_axis), (0, 1)), lengths[:, None]
    steps = np.arange(x.shape[1])
    x = x[np.arange(len(x))[:, None], np.where(steps < end, end - 1 - steps, steps)]
    return np.moveaxis(x, (0, 1), (batch_axis, time_axis))


def SequenceConstruct(*inputs: Array) -> Array:
    """Return a sequence, which is a vector of arrays here."""
    return np.fromiter(inputs, object, len(inputs))


def SequenceInsert(sequence: Array, tensor: Array, position: Any = None) -> Array:
    items = [*sequence]
    items.insert(len(items) if position is None else whole(position), tensor)
    return SequenceConstruct(*items)


def SplitToSequence(input: Array, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> Array:
    count = input.shape[axis]
    if split is not None and np.ndim(split) == 0:
        turns, rest = divmod(count, whole(split))
        split = [whole(split)] * turns + [rest] * (rest > 0)
    parts = Split(input, [1] * count if split is None else split, axis=axis)
    squeezed = split is None and not keepdims
    return SequenceConstruct(*[x.squeeze(axis) if squeezed else x for x in parts])


def ConcatFromSequence(sequence: Any, *, axis: int, new_axis: int = 0) -> Array:
    return np.stack([*sequence], axis) if new_axis else np.concatenate([*sequence], axis)


SHORT: dict[str, Callable[..., Any]] = {
    "Concat": lambda *inputs, axis, out=None: np.concatenate(inputs, axis, out),
    "Gather": lambda data, indices, *, axis=0: data.take(indices, axis),
    "GatherElements": lambda data, indices, *, axis=0: data[_places(indices, axis)],
    "Identity": lambda input: input,
    "NonZero": lambda X: np.array(np.nonzero(X), np.int64),
    "SequenceAt": lambda sequence, position: sequence[whole(position)],
    "SequenceEmpty": lambda *, dtype=1: np.empty(0, object),  # noqa: ARG005 (any)
    "SequenceLength": lambda sequence: np.array(len(sequence), np.int64),
    "Shape": lambda data, *, start=0, end=None: np.array(data.shape[start:end], np.int64),
    "Size": lambda data: np.array(data.size, np.int64),
    "Squeeze": lambda data, axes=None: np.squeeze(data, axes_of(axes)),
    "Transpose": lambda data, *, perm=None: np.transpose(data, perm),
    "Trilu": lambda input, k=0, *, upper=1: (np.triu if upper else np.tril)(input, whole(k)),
    "Unsqueeze": lambda data, axes: np.expand_dims(data, axes_of(axes) or ()),
    "Scatter": ScatterElements,  # before opset 11
}
