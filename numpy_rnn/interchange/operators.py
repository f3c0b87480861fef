# ruff: noqa: A002, A006 (the parameters have the specification's names)
"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

Parameters have the names of the specification. So one function serves all versions of an operator
of which an attribute, such as the axes of Squeeze, became an input. A tuple is several outputs.
Recurrent operators are in onnx_recurrent.py, and If is in graph.py.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx_tensor import BFLOAT16, DTYPES, array_type


def _divide(A: Array, B: Array) -> Array:
    if A.dtype.kind not in "iu":
        return A / B
    quotient = np.abs(A) // np.abs(B)  # towards zero
    return np.asarray(np.where((A < 0) == (B < 0), quotient, -quotient), A.dtype)


def _softmax(input: Array, *, axis: int = -1) -> Array:
    e: Array = np.exp(input - input.max(axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis, keepdims=True))


def _log_softmax(input: Array, *, axis: int = -1) -> Array:
    z: Array = input - input.max(axis, keepdims=True, initial=-np.inf)
    return np.asarray(z - np.log(np.exp(z).sum(axis, keepdims=True)))


def _before_13(softmax: Callable[..., Array]) -> Callable[..., Array]:
    """Return the form over all axes from `axis` on."""
    return lambda input, *, axis=1: softmax(_flatten(input, axis=axis)).reshape(input.shape)


def _reduce(function: Callable[..., Any]) -> Callable[..., Array]:
    def reduced(
        data: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        if axes is None or not len(axes):
            which: tuple[int, ...] | None = () if noop_with_empty_axes else None
        else:
            which = tuple([int(axis) for axis in axes])
        return np.asarray(function(data, axis=which, keepdims=bool(keepdims)), data.dtype)

    return reduced


def _gemm(
    A: Array,
    B: Array,
    C: Any = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    y = (A.T if transA else A) @ (B.T if transB else B)
    y = y if alpha == 1 else y * y.dtype.type(alpha)
    return y if C is None else y + (C if beta == 1 else C * y.dtype.type(beta))


def _reshape(data: Array, shape: Any, *, allowzero: int = 0) -> Array:
    new = [data.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    return data.reshape(new)


def _squeeze(data: Array, axes: Any = None) -> Array:
    return np.squeeze(data, None if axes is None else tuple([int(axis) for axis in axes]))


def _unsqueeze(data: Array, axes: Any) -> Array:
    ndim = data.ndim + len(axes)
    added, sizes = {int(axis) % ndim for axis in axes}, iter(data.shape)
    return data.reshape([1 if n in added else next(sizes) for n in range(ndim)])


def _flatten(input: Array, *, axis: int = 1) -> Array:
    axis = axis if axis >= 0 else axis + input.ndim
    return input.reshape(math.prod(input.shape[:axis]), math.prod(input.shape[axis:]))


def slices(
    data: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None
) -> tuple[slice, ...]:
    """Return the index that the inputs of Slice describe."""
    found = [slice(None)] * data.ndim
    count = range(len(starts))
    which, step = count if axes is None else axes, [1] * len(starts) if steps is None else steps
    for n in count:
        found[int(which[n])] = slice(int(starts[n]), int(ends[n]), int(step[n]))
    return tuple(found)


def _split(
    input: Array, split: Any = None, *, axis: int = 0, num_outputs: int = 1
) -> tuple[Array, ...]:
    axis, size = axis % input.ndim, input.shape[axis]
    each = [-(-size // num_outputs)] * num_outputs if split is None else split
    ends = np.minimum(np.cumsum(each), size).tolist()
    before = (slice(None),) * axis
    return tuple([input[(*before, slice(*e))] for e in zip([0, *ends], ends, strict=False)])


def _pad(
    data: Array, pads: Any, value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Array:
    named = range(data.ndim) if axes is None else [int(axis) for axis in axes]
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


def _constant_of_shape(input: Any, *, value: Any = np.zeros(1, "f4")) -> Array:  # noqa: B008 (read only)
    return np.full([int(n) for n in input], value[0], value.dtype)


def _expand(input: Array, shape: Any) -> Array:
    sizes = tuple([int(n) for n in shape])
    return np.broadcast_to(input, np.broadcast_shapes(input.shape, sizes))


def _dropout(data: Array, ratio: Any = None, training_mode: Any = None) -> tuple[Array, Array]:  # noqa: ARG001 (inference)
    if training_mode is not None and training_mode:
        raise ValueError("training_mode is True, expected inference")
    return data, np.ones(data.shape, bool)


def _clip(input: Array, min: Any = None, max: Any = None) -> Array:
    low = input if min is None else np.maximum(input, input.dtype.type(min))
    return low if max is None else np.minimum(low, input.dtype.type(max))


def _along(parameter: Array, X: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along one axis of X."""
    return parameter.reshape([-1 if n == axis % X.ndim else 1 for n in range(X.ndim)])


def _layer_norm(
    X: Array, Scale: Array, B: Any = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    axes = tuple(range(axis % X.ndim, X.ndim))
    mean = X.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(np.square(X - mean).mean(axes, keepdims=True) + X.dtype.type(epsilon))
    y = (X - mean) * inverse * Scale
    return y if B is None else y + B, mean, inverse


def _batch_norm(
    X: Array, scale: Array, B: Array, mean: Array, var: Array, *, epsilon: float = 1e-5
) -> Array:
    factor = scale / np.sqrt(var + X.dtype.type(epsilon))
    return X * _along(factor, X, 1) + _along(B - mean * factor, X, 1)


def _dequantize(x: Array, x_scale: Array, zero: Any = None, *, axis: int = 1) -> Array:
    zero = np.zeros(x_scale.shape, np.int32) if zero is None else zero.astype(np.int32)
    if x_scale.size > 1:
        x_scale, zero = _along(x_scale, x, axis), _along(zero, x, axis)
    return np.asarray((x.astype(np.int32) - zero).astype(x_scale.dtype) * x_scale)


def _conv(
    X: Array,
    W: Array,
    B: Array | None = None,
    *,
    kernel_shape: Any = None,  # noqa: ARG001 (W has it)
    strides: Any = None,
    dilations: Any = None,
    pads: Any = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Array:
    """Return a convolution over any number of axes: one copy of all patches and one product."""
    n = X.ndim - 2
    strides, dilations = strides or (1,) * n, dilations or (1,) * n
    shape, inside, out, steps = _windows(
        X.shape[2:], W.shape[2:], strides, dilations, pads or (0,) * 2 * n, auto_pad
    )
    padded = np.zeros((*X.shape[:2], *shape), X.dtype)
    padded[inside] = X
    moves = [padded.strides[axis + 2] * step for axis, step in steps]
    # A view (B, C, kernel, out); NumPy refuses one that leaves the buffer.
    patches: Array = np.ndarray(
        (*X.shape[:2], *W.shape[2:], *out), X.dtype, padded, 0, (*padded.strides[:2], *moves)
    )
    rows = patches.reshape(len(X), group, -1, math.prod(out))
    y = (W.reshape(group, len(W) // group, -1) @ rows).reshape(len(X), len(W), *out)
    return y if B is None else y + B.reshape(-1, *(1,) * n)


@lru_cache(64)
def _windows(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    auto_pad: str,
) -> tuple[Any, ...]:
    """Return the padded shape, the place in it, the output's shape, and (axis, step) of a view."""
    n = len(sizes)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    before, after = list(pads[:n]), list(pads[n:])
    if auto_pad.startswith("SAME"):
        each = zip(sizes, strides, spans, strict=True)
        total = [max((-(-size // s) - 1) * s + span - size, 0) for size, s, span in each]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
    shape = [sum(side) for side in zip(before, sizes, after, strict=True)]
    inside = (..., *[slice(b, b + size) for b, size in zip(before, sizes, strict=True)])
    each = zip(shape, spans, strides, strict=True)
    out = [(size - span) // stride + 1 for size, span, stride in each]
    return shape, inside, out, [*enumerate(dilations), *enumerate(strides)]


def _variadic(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *inputs: reduce(function, inputs)


_erf = np.frompyfunc(math.erf, 1, 1)
NAMES = "Add Ceil Cos Equal Exp Floor Greater Less Log MatMul Reciprocal Sign Sin Sqrt Tanh Where"
OPERATORS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name.lower()) for name in NAMES.split()
}
OPERATORS |= {
    "Abs": np.absolute,
    "And": np.logical_and,
    "ArgMax": lambda data, *, axis=0, keepdims=1: np.argmax(data, axis, keepdims=bool(keepdims)),
    "BatchNormalization": _batch_norm,
    "Cast": lambda input, *, to: input.astype(array_type(to), copy=False),
    "CastLike": lambda input, target_type: input.astype(target_type.dtype),
    "Clip": _clip,
    "Concat": lambda *inputs, axis: np.concatenate(inputs, axis),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Dropout": _dropout,
    "Elu": lambda X, *, alpha=1.0: np.where(X < 0, X.dtype.type(alpha) * np.expm1(X), X),
    "Erf": lambda input: np.asarray(_erf(input), input.dtype),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": lambda data, indices, *, axis=0: data.take(indices, axis),
    "Gemm": _gemm,
    "GreaterOrEqual": np.greater_equal,
    "HardSigmoid": lambda X, *, alpha=0.2, beta=0.5: np.clip(
        X.dtype.type(alpha) * X + X.dtype.type(beta), 0, 1
    ),
    "Identity": lambda input: input,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda X, *, alpha=0.01: np.where(X < 0, X.dtype.type(alpha) * X, X),
    "LessOrEqual": np.less_equal,
    "LogSoftmax": _log_softmax,
    "Max": _variadic(np.maximum),
    "Min": _variadic(np.minimum),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pad": _pad,
    "Pow": lambda X, Y: np.power(X, Y).astype(X.dtype, copy=False),
    "Range": lambda start, *more: np.arange(start, *more, dtype=start.dtype),
    "ReduceL2": _reduce(lambda x, **named: np.sqrt(np.square(x).sum(**named))),
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Relu": lambda X: np.maximum(X, 0),
    "Reshape": _reshape,
    "Round": np.rint,
    "Shape": lambda data, *, start=0, end=None: np.array(data.shape[start:end], np.int64),
    "Sigmoid": lambda X: 0.5 * np.tanh(0.5 * X) + X.dtype.type(0.5),
    "Size": lambda data: np.array(data.size, np.int64),
    "Slice": lambda data, starts, ends, axes=None, steps=None: data[
        slices(data, starts, ends, axes, steps)
    ],
    "Softmax": _softmax,
    "Softplus": lambda X: np.logaddexp(X, X.dtype.type(0)),
    "Softsign": lambda input: input / (1 + np.abs(input)),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": np.subtract,
    "Sum": _variadic(np.add),
    "Tile": lambda input, repeats: np.tile(input, [int(n) for n in repeats]),
    "Transpose": lambda data, *, perm=None: np.transpose(data, perm),
    "Unsqueeze": _unsqueeze,
}
BEFORE_13 = {"Softmax": _before_13(_softmax), "LogSoftmax": _before_13(_log_softmax)}
# The values of attributes that are implemented.
VALUES: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    "mode": ("constant", "reflect", "edge", "wrap"),
    "training_mode": (0,),
    "spatial": (1,),
    "to": tuple(sorted(set(DTYPES) - {BFLOAT16})),
}


def function_of(op: str, options: Mapping[str, Any], opset: int) -> Callable[..., Any]:
    """Return an operator as a function of its inputs. KeyError if there is none."""
    function = BEFORE_13[op] if opset < 13 and op in BEFORE_13 else OPERATORS[op]
    return partial(function, **options) if options else function


def why_not(op: str, options: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Return why a node cannot run, or ''."""
    if op not in OPERATORS:
        return "there is no such operator here"
    for name, value in options.items():
        if name in VALUES and value not in VALUES[name]:
            return f"{name} is {value!r}, expected one of {VALUES[name]}"
    function = OPERATORS[op]
    nin = 3 if function is np.where else getattr(function, "nin", None)
    if nin is not None and (options or len(inputs) != nin):
        return f"{len(inputs)} inputs and attributes {list(options)}, expected {nin} inputs"
    if nin is None:
        try:
            inspect.signature(function).bind(*inputs, **options)
        except TypeError as error:
            return str(error)
    return ""
