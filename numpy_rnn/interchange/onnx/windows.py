# ruff: noqa: N802 (operators and parameters have the specification's names)
"""The operators of ONNX for signals and images: convolutions and pools."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array

MAX_PADDING = 1 << 20  # steps before or after an input
MAX_NUMBERS = 1 << 28  # of an output whose size a file decides


def check_padding(pads: Any) -> None:
    """Raise ValueError if a stranger's file asks for memory that its size does not justify."""
    if max(map(int, pads), default=0) > MAX_PADDING:
        raise ValueError(f"the padding is {max(map(int, pads))}, expected at most {MAX_PADDING}")


def check_memory(*sizes: int) -> None:
    """Raise ValueError if an output has more numbers than a stranger's file may ask for."""
    if math.prod(shape := tuple(map(int, sizes))) > MAX_NUMBERS:
        raise ValueError(f"the output has shape {shape}, expected at most {MAX_NUMBERS} numbers")


def _window(
    kernel: Any, strides: Any = None, dilations: Any = None, pads: Any = None, **_: Any
) -> tuple[Array, ...]:
    """Return step, dilation and width of a kernel along each axis, and the padding around it."""
    ones = [1] * len(kernel)
    step, dilation = np.array(strides or ones), np.array(dilations or ones)
    if min(*step, *dilation) < 1:
        raise ValueError(f"strides are {step} and dilations {dilation}, expected at least 1")
    span = dilation * (np.array(kernel) - 1) + 1
    return step, dilation, span, np.reshape(pads or [0, 0] * len(kernel), (2, -1))


def _halves(both: Array, auto_pad: str) -> tuple[Array, Array]:
    """Return the padding before and after, from their sum."""
    less = both // 2
    return (less, both - less) if auto_pad == "SAME_UPPER" else (both - less, less)


def _patches(
    X: Array, kernel: Any, groups: int, *, fill: float = 0, ceil_mode: int = 0, **options: Any
) -> tuple[Array, Array, Array]:
    """Return a place for X with the channels as the last axis, and patches of the padded place.

    The patches are (batch, groups, *output, *kernel, channels of a group). The third array is the
    place and its padding, without what `ceil_mode` adds.
    """
    batch, channels, sizes = len(X), X.shape[1] // groups, np.array(X.shape[2:])
    step, dilation, span, (before, after) = _window(kernel, **options)
    auto = options.get("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        both = (-(-sizes // step) - 1) * step + span - sizes
        before, after = _halves(np.maximum(both, 0), auto)
    end = before + sizes + after
    if ceil_mode:  # a last patch may begin inside, and end beyond the padding
        rest = (sizes + before + after - span) % step
        more = (rest > 0) & (sizes + before + after - span - rest + step < sizes + before)
        after = after + more * (step - rest)
    check_padding([*before, *after])
    shape = before + sizes + after
    if np.any(span > shape):
        raise ValueError(
            f"the padded input has sizes {[*map(int, shape)]}, the kernel {[*map(int, span)]}"
        )
    padded = np.full((batch, *shape, X.shape[1]), fill, X.dtype)
    each, *moves, one = padded.strides
    moves = [channels * one, *(moves * step), *(moves * dilation), one]
    shape = (batch, groups, *((shape - span) // step + 1), *kernel, channels)
    # A view; NumPy refuses one that leaves the buffer.
    patches: Array = np.ndarray(shape, X.dtype, padded, 0, (each, *moves))
    place = padded[:, *map(slice, before, before + sizes)]
    return place, patches, padded[:, *map(slice, end)]


def bind_convolution(
    X: Array, W: Array, B: Any = None, *, group: int = 1, **options: Any
) -> tuple[Callable[[], None], tuple[Array]]:
    """Return a function that computes a convolution over any number of axes, and its result.

    The channels become the last axis. Then a patch is one run of memory for each row of a kernel.
    """
    batch, M = len(X), len(W)
    place, patches, _ = _patches(X, W.shape[2:], group, **options)
    out = patches.shape[2 : X.ndim]
    copied = np.empty(patches.shape, X.dtype)
    rows = copied.reshape(batch, group, math.prod(out), -1)
    weights = np.moveaxis(W, 1, -1).reshape(group, M // group, -1).swapaxes(1, 2)
    y = np.empty((batch, *out, M), X.dtype)
    product = y.reshape(batch, -1, group, M // group).swapaxes(1, 2)
    moved = np.moveaxis(X, 1, -1)

    def run() -> None:
        place[...] = moved
        copied[...] = patches
        np.matmul(rows, weights, product)
        if B is not None:
            np.add(y, B, y)

    run()
    return run, (np.moveaxis(y, -1, 1),)


def pool(*, mean: bool) -> Callable[..., Array]:
    """Return the operator of a pool over any number of axes."""

    def pooled(X: Array, *, kernel_shape: Any, count_include_pad: int = 0, **options: Any) -> Array:
        least = 0 if mean else -np.inf if X.dtype.kind == "f" else np.iinfo(X.dtype).min
        place, patches, whole = _patches(X, kernel_shape, 1, fill=least, **options)
        axes = tuple(range(-1 - len(kernel_shape), -1))
        (whole if count_include_pad else place)[...] = 1
        count = patches.sum(axes)
        whole[...] = least
        place[...] = np.moveaxis(X, 1, -1)
        y = patches.sum(axes) / count if mean else patches.max(axes)
        return np.moveaxis(y.astype(X.dtype)[:, 0], -1, 1)

    return pooled


def ConvTranspose(
    X: Array,
    W: Array,
    B: Any = None,
    *,
    group: int = 1,
    output_padding: Any = None,
    output_shape: Any = None,
    **options: Any,
) -> Any:
    """Add what each element of the input contributes to a window of the output."""
    (batch, channels, *sizes), (_, M, *kernel) = X.shape, W.shape
    step, dilation, span, (before, after) = _window(kernel, **options)
    full = step * (np.array(sizes) - 1) + span + (output_padding or [0] * len(kernel))
    auto = options.get("auto_pad", "NOTSET")
    if output_shape or auto.startswith("SAME"):
        target = np.array(output_shape or np.minimum(step * sizes, full))[-len(kernel) :]
        full = np.maximum(full, target)
        before, after = _halves(full - target, auto)
    weights = W.reshape(group, channels // group, -1).swapaxes(1, 2)
    product = weights @ X.reshape(batch, group, channels // group, -1)
    patches = product.reshape(batch, group * M, *kernel, *sizes)
    check_memory(batch, group * M, *full)
    y = np.zeros((batch, group * M, *full), X.dtype)
    for at in np.ndindex(*kernel):
        first = dilation * at
        end = first + step * (np.array(sizes) - 1) + 1
        y[:, :, *map(slice, first, end, step)] += patches[:, :, *at]
    y = y[:, :, *map(slice, before, full - after)]
    return y if B is None else y + B.reshape(-1, *[1] * len(kernel))


SHORT: dict[str, Callable[..., Any]] = {
    "AveragePool": pool(mean=True),
    "Conv": bind_convolution,
    "GlobalAveragePool": lambda X: X.mean(tuple(range(2, X.ndim)), keepdims=True),
    "GlobalMaxPool": lambda X: X.max(tuple(range(2, X.ndim)), keepdims=True),
    "MaxPool": pool(mean=False),
}
