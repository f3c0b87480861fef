# ruff: noqa: A002, A006 (the parameters have the specification's names)
"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

Parameters have the names of the specification. So one function serves all versions of an operator
of which an attribute, such as the axes of Squeeze, became an input. A tuple is several outputs. A
function with a parameter `out` returns a new array, or fills that one.
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


@lru_cache(64)
def _scalar(value: float, dtype: np.dtype[Any]) -> Array:
    """Return a number as an array, which a ufunc reads faster."""
    return np.array(value, dtype)


def _matmul(A: Array, B: Array, *, out: Any = None) -> Any:
    return np.matmul(A if A.flags.forc else np.ascontiguousarray(A), B, out)  # BLAS needs it


def _divide(A: Array, B: Array, *, out: Any = None) -> Any:
    if A.dtype.kind not in "iu":
        return np.divide(A, B, out)
    quotient = np.abs(A) // np.abs(B)  # towards zero
    return np.multiply(quotient, np.where((A < 0) == (B < 0), 1, -1).astype(A.dtype), out)


def _power(X: Array, Y: Array, *, out: Any = None) -> Any:
    if Y.ndim == 0 and Y.item() == 2:  # NumPy's power takes several times longer
        return np.square(X, out)
    found: Array = np.power(X, Y, out, casting="unsafe")
    return found.astype(X.dtype, copy=False)


def _sigmoid(X: Array, *, out: Any = None) -> Any:
    half = _scalar(0.5, X.dtype)
    y = np.multiply(X, half, out)
    y = np.tanh(y, out)
    y = np.multiply(y, half, out)
    return np.add(y, half, out)


def _softmax(input: Array, *, axis: int = -1) -> Array:
    e: Array = np.exp(input - input.max(axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis, keepdims=True))


def _log_softmax(input: Array, *, axis: int = -1) -> Array:
    z: Array = input - input.max(axis, keepdims=True, initial=-np.inf)
    return np.asarray(z - np.log(np.exp(z).sum(axis, keepdims=True)))


def _before_13(softmax: Callable[..., Array]) -> Callable[..., Array]:
    """Return the form over all axes from `axis` on."""
    return lambda input, *, axis=1: softmax(_flatten(input, axis=axis)).reshape(input.shape)


def _reduce(ufunc: Any, *, mean: bool = False, root: bool = False) -> Callable[..., Array]:
    def reduced(
        data: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        which = None if axes is None else tuple(map(int, axes))
        which = which or (() if noop_with_empty_axes else None)
        wide = np.dtype("f4") if data.dtype == "f2" else data.dtype  # long sums of halves overflow
        y = ufunc.reduce(np.square(data) if root else data, which, wide, None, keepdims > 0)
        if mean:
            count = _scalar(data.size // max(y.size, 1), wide)
            y = y // count if wide.kind in "iu" else y / count
        return np.asarray(np.sqrt(y) if root else y, data.dtype)

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
) -> Any:
    y = _matmul(A.T if transA else A, B.T if transB else B)
    y = y if alpha == 1 else y * y.dtype.type(alpha)
    return y if C is None else y + (C if beta == 1 else C * y.dtype.type(beta))


def _reshape(data: Array, shape: Any, *, allowzero: int = 0) -> Array:
    new = [data.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    return data.reshape(new)


def _axes(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda data, axes=None: function(data, None if axes is None else tuple(map(int, axes)))


def _flatten(input: Array, *, axis: int = 1) -> Array:
    axis = axis if axis >= 0 else axis + input.ndim
    return input.reshape(math.prod(input.shape[:axis]), math.prod(input.shape[axis:]))


def _slice(data: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Array:
    found, count = [slice(None)] * data.ndim, len(starts)
    steps, axes = [1] * count if steps is None else steps, range(count) if axes is None else axes
    for axis, *numbers in zip(axes, starts, ends, steps, strict=True):
        found[int(axis)] = slice(*map(int, numbers))
    return data[tuple(found)]


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
    centred = X - (mean := X.mean(axes, keepdims=True))
    inverse = 1 / np.sqrt(np.square(centred).mean(axes, keepdims=True) + X.dtype.type(epsilon))
    y = centred * inverse * Scale
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


def bind_convolution(
    X: Array,
    W: Array,
    B: Array | None = None,
    *,
    strides: Any = None,
    dilations: Any = None,
    pads: Any = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> tuple[Callable[[], None], tuple[Array]]:
    """Return a function that computes a convolution over any number of axes, and its result.

    The channels become the last axis. Then a patch is one run of memory for each row of a kernel.
    """
    n, batch, M, channels = X.ndim - 2, len(X), len(W), W.shape[1]
    sizes, step, dilation = (
        np.array(each or [1] * n) for each in (X.shape[2:], strides, dilations)
    )
    if min(*step, *dilation) < 1:
        raise ValueError(f"strides are {strides} and dilations {dilations}, expected at least 1")
    before, after = np.reshape(pads or [0] * 2 * n, (2, n))
    span = dilation * (np.array(W.shape[2:]) - 1) + 1
    if auto_pad.startswith("SAME"):
        both = np.maximum((-(-sizes // step) - 1) * step + span - sizes, 0)
        before, after = both - both // 2, both // 2
        if auto_pad == "SAME_UPPER":
            before, after = after, before
    shape = before + sizes + after
    out = (shape - span) // step + 1
    padded = np.zeros((batch, *shape, X.shape[1]), X.dtype)
    place = padded[(slice(None), *map(slice, before, before + sizes))]
    each, *moves, one = padded.strides
    moves = [channels * one, *(moves * step), *(moves * dilation), one]
    # A view; NumPy refuses one that leaves the buffer.
    shape = (batch, group, *out, *W.shape[2:], channels)
    patches: Array = np.ndarray(shape, X.dtype, padded, 0, (each, *moves))
    copied = np.empty(shape, X.dtype)
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


def _hard_sigmoid(X: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return np.clip(X.dtype.type(alpha) * X + X.dtype.type(beta), 0, 1)


_erf = np.frompyfunc(math.erf, 1, 1)
NUMPY = """Abs absolute, Add add, And logical_and, Ceil ceil, Cos cos, Equal equal, Exp exp,
    Floor floor, Greater greater, GreaterOrEqual greater_equal, Less less, LessOrEqual less_equal,
    Log log, Mul multiply, Neg negative, Not logical_not, Or logical_or, Reciprocal reciprocal,
    Round rint, Sign sign, Sin sin, Sqrt sqrt, Sub subtract, Tanh tanh, Where where"""
OPERATORS: dict[str, Callable[..., Any]] = {
    op: getattr(np, name) for op, name in map(str.split, NUMPY.split(","))
} | {
    "ArgMax": lambda data, *, axis=0, keepdims=1: np.argmax(data, axis, keepdims=bool(keepdims)),
    "BatchNormalization": _batch_norm,
    "Cast": lambda input, *, to: input.astype(array_type(to), copy=False),
    "CastLike": lambda input, target_type: input.astype(target_type.dtype, copy=False),
    "Clip": _clip,
    "Concat": lambda *inputs, axis, out=None: np.concatenate(inputs, axis, out),
    "ConstantOfShape": _constant_of_shape,
    "Conv": bind_convolution,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Dropout": _dropout,
    "Elu": lambda X, *, alpha=1.0: np.where(X < 0, X.dtype.type(alpha) * np.expm1(X), X),
    "Erf": lambda input: np.asarray(_erf(input), input.dtype),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": lambda data, indices, *, axis=0: data.take(indices, axis),
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "Identity": lambda input: input,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda X, *, alpha=0.01: np.where(X < 0, X.dtype.type(alpha) * X, X),
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "Max": lambda *inputs: reduce(np.maximum, inputs),
    "Min": lambda *inputs: reduce(np.minimum, inputs),
    "Pad": _pad,
    "Pow": _power,
    "Range": lambda start, *more: np.arange(start, *more, dtype=start.dtype),
    "ReduceL2": _reduce(np.add, root=True),
    "ReduceMax": _reduce(np.maximum),
    "ReduceMean": _reduce(np.add, mean=True),
    "ReduceMin": _reduce(np.minimum),
    "ReduceProd": _reduce(np.multiply),
    "ReduceSum": _reduce(np.add),
    "Relu": lambda X, *, out=None: np.maximum(X, _scalar(0, X.dtype), out=out),
    "Reshape": _reshape,
    "Shape": lambda data, *, start=0, end=None: np.array(data.shape[start:end], np.int64),
    "Sigmoid": _sigmoid,
    "Size": lambda data: np.array(data.size, np.int64),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": lambda X: np.logaddexp(X, X.dtype.type(0)),
    "Softsign": lambda input: input / (1 + np.abs(input)),
    "Split": _split,
    "Squeeze": _axes(np.squeeze),
    "Sum": lambda *inputs: reduce(np.add, inputs),
    "Tile": lambda input, repeats: np.tile(input, [int(n) for n in repeats]),
    "Transpose": lambda data, *, perm=None: np.transpose(data, perm),
    "Unsqueeze": _axes(np.expand_dims),
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


def takes_out(function: Callable[..., Any]) -> bool:
    """Whether a function puts its one result, a new array, into `out` if that is given."""
    inner = function.func if isinstance(function, partial) else function
    return isinstance(inner, np.ufunc) or "out" in (getattr(inner, "__kwdefaults__", None) or ())


def why_not(op: str, options: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Return why a node cannot run, or ''."""
    if op not in OPERATORS:
        return "there is no such operator here"
    for name, value in options.items():
        if name in VALUES and value not in VALUES[name]:
            return f"{name} is {value!r}, expected one of {VALUES[name]}"
    function = OPERATORS[op]
    nin = 3 if function is np.where else getattr(function, "nin", None)
    if "out" in options or (nin is not None and (options or len(inputs) != nin)):
        return f"{len(inputs)} inputs and attributes {list(options)}, expected {nin} inputs"
    if nin is None:
        try:
            inspect.signature(function).bind(*inputs, **options)
        except TypeError as error:
            return str(error)
    return ""
