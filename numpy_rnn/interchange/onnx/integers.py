# ruff: noqa: D103, N802 (operators and parameters have the specification's names)
"""The operators of ONNX for numbers of 8 bits, with a scale and a zero point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.shapes import along
from numpy_rnn.interchange.onnx.windows import bind_convolution


def _scales(scale: Array, zero: Any, x: Array, axis: int, dtype: Any) -> tuple[Array, Array]:
    """Return scales and zero points of quantised numbers as arrays that broadcast with x."""
    zero = np.zeros(scale.shape, dtype) if zero is None else zero
    return (along(scale, x, axis), along(zero, x, axis)) if scale.size > 1 else (scale, zero)


def DequantizeLinear(x: Array, x_scale: Array, zero: Any = None, *, axis: int = 1) -> Array:
    scale, zero = _scales(x_scale, zero, x, axis, np.int32)
    return np.asarray((x.astype(np.int32) - zero.astype(np.int32)).astype(scale.dtype) * scale)


def QuantizeLinear(y: Array, scale: Array, zero: Any = None, *, axis: int = 1) -> Any:
    scale, zero = _scales(scale, zero, y, axis, np.uint8)
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(y / scale) + zero, limits.min, limits.max).astype(zero.dtype)


def DynamicQuantizeLinear(x: Array) -> tuple[Array, ...]:
    low, high = min(0, x.min(initial=0)), max(0, x.max(initial=0))
    scale = np.asarray((high - low) / 255 or 1, x.dtype)
    zero = np.asarray(np.clip(np.rint(-low / scale), 0, 255), np.uint8)
    return QuantizeLinear(x, scale, zero), scale, zero


def centred(a: Array, zero: Any = None, *, axis: int) -> Any:
    """Return quantised numbers as floats, whose products and sums are exact.

    The largest product has 16 bits. So up to 256 of them have a sum that float32 has exactly.
    """
    terms = a.size // max(a.shape[axis], 1)
    zero = 0 if zero is None else along(zero, a, axis) if np.ndim(zero) == 1 else zero
    return np.subtract(a, zero, dtype=np.float32 if terms <= 256 else np.float64)


def dequantised(whole: Array, scale: Array, zero: Array) -> Array:
    """Return the weights of an LSTM from those of (directions, in, out), with a scale for each."""
    if whole.ndim != 3 or {scale.size, zero.size} - {len(whole), whole[:, 0].size}:
        sizes = f"{scale.size} scales and {zero.size} zero points"
        raise ValueError(f"the weights have shape {whole.shape}, with {sizes}")
    shape = len(whole), 1, -1
    weights = (whole - zero.reshape(shape).astype(scale.dtype)) * scale.reshape(shape)
    return np.ascontiguousarray(weights.swapaxes(1, 2))


def MatMulInteger(A: Array, B: Array, zero: Any = None) -> Any:
    """Return a product, whose second factor is centred already."""
    return (centred(A, zero, axis=-2).astype(B.dtype, copy=False) @ B).astype(np.int32)


def ConvInteger(x: Array, w: Array, zero: Any = None, *, group: int = 1, **options: Any) -> Any:
    x = centred(x, zero, axis=0).astype(w.dtype, copy=False)
    _, (y,) = bind_convolution(x, w, group=group, **options)
    return y.astype(np.int32)


def with_float_weights(node: Any) -> list[Any]:
    """Return a Node and, before it, what makes floats of its weights: once, not in each run."""
    op, inputs, made = node.op, [*node.inputs], []
    if op == "com.microsoft::DynamicQuantizeLSTM" and len(inputs) == 12:
        op, kind, options = "LSTM", "numpy_rnn::Dequantize", dict[str, int]()
        scales, kept = {1: inputs[8:10], 2: inputs[10:]}, 8
    elif op in ("MatMulInteger", "ConvInteger") and len(inputs) > 1:
        kind, options = "numpy_rnn::Centre", {"axis": 0 if op == "ConvInteger" else -1}
        scales, kept = {1: inputs[3:]}, 3
    else:
        return [node]
    for n, others in scales.items():
        name, given = f"input {n} of {node.outputs}, as floats", (inputs[n], *others)
        made.append(node._replace(op=kind, inputs=given, outputs=(name,), attributes=options))
        inputs[n] = name
    return [*made, node._replace(op=op, inputs=tuple(inputs[:kept]))]


SHORT: dict[str, Callable[..., Any]] = {
    "numpy_rnn::Centre": centred,
    "numpy_rnn::Dequantize": dequantised,
}
