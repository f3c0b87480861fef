# ruff: noqa: A002, A006, D103, N802 (operators and parameters have the specification's names)
"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

A function whose name begins with a capital letter is the operator of that name; the short ones are
in the table. Parameters have the names of the specification, so one function serves all versions of
an operator of which an attribute, such as the axes of Squeeze, became an input. A tuple is several
outputs. A function with a parameter `out` returns a new array, or fills that one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.protobuf import BFLOAT16, DTYPES, array_type

MAX_PADDING = 1 << 20  # steps before or after an input


@lru_cache(64)
def _scalar(value: float, dtype: np.dtype[Any]) -> Array:
    return np.array(value, dtype)


def MatMul(A: Array, B: Array, *, out: Any = None) -> Any:
    return np.matmul(A if A.flags.forc else np.ascontiguousarray(A), B, out)  # BLAS needs it


def Div(A: Array, B: Array, *, out: Any = None) -> Any:
    if A.dtype.kind not in "iu":
        return np.divide(A, B, out)
    quotient = np.abs(A) // np.abs(B)  # towards zero
    return np.multiply(quotient, np.where((A < 0) == (B < 0), 1, -1).astype(A.dtype), out)


def Pow(X: Array, Y: Array, *, out: Any = None) -> Any:
    if Y.ndim == 0 and Y.item() == 2:  # NumPy's power takes several times longer
        return np.square(X, out)
    found: Array = np.power(X, Y, out, casting="unsafe")
    return found.astype(X.dtype, copy=False)


def Sigmoid(X: Array, *, out: Any = None) -> Any:
    half = _scalar(0.5, X.dtype)
    y = np.multiply(X, half, out)
    y = np.tanh(y, out)
    y = np.multiply(y, half, out)
    return np.add(y, half, out)


def Softmax(input: Array, *, axis: int = -1, joined: int = 0, log: bool = False) -> Array:
    if joined:  # as before opset 13: over all axes from `axis` on
        return Softmax(Flatten(input, axis=axis), log=log).reshape(input.shape)
    z = input - input.max(axis, keepdims=True, initial=-np.inf)
    e = np.exp(z)
    total = e.sum(axis, keepdims=True)
    return np.asarray(z - np.log(total) if log else e / total)


def LogSoftmax(input: Array, *, axis: int = -1, joined: int = 0) -> Array:
    return Softmax(input, axis=axis, joined=joined, log=True)


def _reduce(ufunc: Any, *, mean: bool = False) -> Callable[..., Array]:
    def reduced(
        data: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        which = _axes(axes) or (() if noop_with_empty_axes else None)
        wide = np.dtype("f4") if data.dtype == "f2" else data.dtype  # long sums of halves overflow
        y = ufunc.reduce(data, which, wide, None, keepdims > 0)
        if mean:
            count = _scalar(data.size // max(y.size, 1), wide)
            y = y // count if wide.kind in "iu" else y / count
        return np.asarray(y, data.dtype)

    return reduced


def Gemm(
    A: Array,
    B: Array,
    C: Any = None,
    *,
    transA: int = 0,
    transB: int = 0,
    alpha: Any = 1,
    beta: Any = 1,
) -> Any:
    y = MatMul(A.T if transA else A, B.T if transB else B)
    y = y if alpha == 1 else y * y.dtype.type(alpha)
    return y if C is None else y + (C if beta == 1 else C * y.dtype.type(beta))


def Reshape(data: Array, shape: Any, *, allowzero: int = 0) -> Array:
    new = [data.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    return data.reshape(new)


def _axes(values: Any) -> tuple[int, ...] | None:
    return None if values is None else tuple(map(int, values))


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
    _check_padding(pads)
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
    return np.broadcast_to(value[0], [int(n) for n in input])  # a view, so it takes no memory


def Dropout(data: Array, ratio: Any = None, training_mode: Any = None) -> tuple[Array, Array]:  # noqa: ARG001 (inference)
    if training_mode is not None and training_mode:
        raise ValueError("training_mode is True, expected inference")
    return data, np.ones(data.shape, bool)


def Clip(input: Array, min: Any = None, max: Any = None) -> Array:
    low, high = (None if bound is None else input.dtype.type(bound) for bound in (min, max))
    return input if low is None and high is None else np.clip(input, low, high)


def _along(parameter: Array, X: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along one axis of X."""
    return parameter.reshape([-1 if n == axis % X.ndim else 1 for n in range(X.ndim)])


def LayerNormalization(
    X: Array, Scale: Array, B: Any = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    axes = tuple(range(axis % X.ndim, X.ndim))
    centred = X - (mean := X.mean(axes, keepdims=True))
    inverse = 1 / np.sqrt(np.square(centred).mean(axes, keepdims=True) + X.dtype.type(epsilon))
    y = centred * inverse * Scale
    return y if B is None else y + B, mean, inverse


def BatchNormalization(
    X: Array, scale: Array, B: Array, mean: Array, var: Array, *, epsilon: float = 1e-5
) -> Array:
    factor = scale / np.sqrt(var + X.dtype.type(epsilon))
    return X * _along(factor, X, 1) + _along(B - mean * factor, X, 1)


def DequantizeLinear(x: Array, x_scale: Array, zero: Any = None, *, axis: int = 1) -> Array:
    zero = np.zeros(x_scale.shape, x.dtype) if zero is None else zero
    if x_scale.size > 1:
        x_scale, zero = _along(x_scale, x, axis), _along(zero, x, axis)
    return np.asarray((x.astype(np.int32) - zero.astype(np.int32)).astype(x_scale.dtype) * x_scale)


def GatherElements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    sizes = [slice(n) for n in indices.shape]  # the other axes may be shorter than those of data
    sizes[axis] = slice(None)
    return np.take_along_axis(data[tuple(sizes)], indices, axis)


def _check_padding(pads: Any) -> None:
    """Raise ValueError if a stranger's file asks for memory that its size does not justify."""
    if max(map(int, pads), default=0) > MAX_PADDING:
        raise ValueError(f"the padding is {max(map(int, pads))}, expected at most {MAX_PADDING}")


def _patches(
    X: Array, kernel: Any, groups: int, *, fill: float = 0, **options: Any
) -> tuple[Array, Array]:
    """Return a place for X with the channels as the last axis, and patches of the padded place.

    The patches are (batch, groups, *output, *kernel, channels of a group).
    """
    n, batch, channels = X.ndim - 2, len(X), X.shape[1] // groups
    step, dilation = (np.array(options.get(m) or [1] * n) for m in ("strides", "dilations"))
    if min(*step, *dilation) < 1:
        raise ValueError(f"strides are {step} and dilations {dilation}, expected at least 1")
    sizes, auto = np.array(X.shape[2:]), options.get("auto_pad", "NOTSET")
    before, after = np.reshape(options.get("pads") or [0] * 2 * n, (2, n))
    span = dilation * (np.array(kernel) - 1) + 1
    if auto.startswith("SAME"):
        both = np.maximum((-(-sizes // step) - 1) * step + span - sizes, 0)
        before, after = both - both // 2, both // 2
        if auto == "SAME_UPPER":
            before, after = after, before
    _check_padding([*before, *after])
    shape = before + sizes + after
    padded = np.full((batch, *shape, X.shape[1]), fill, X.dtype)
    each, *moves, one = padded.strides
    moves = [channels * one, *(moves * step), *(moves * dilation), one]
    shape = (batch, groups, *((shape - span) // step + 1), *kernel, channels)
    # A view; NumPy refuses one that leaves the buffer.
    patches: Array = np.ndarray(shape, X.dtype, padded, 0, (each, *moves))
    return padded[(slice(None), *map(slice, before, before + sizes))], patches


def bind_convolution(
    X: Array, W: Array, B: Any = None, *, group: int = 1, kernel_shape: Any = None, **options: Any
) -> tuple[Callable[[], None], tuple[Array]]:
    """Return a function that computes a convolution over any number of axes, and its result.

    The channels become the last axis. Then a patch is one run of memory for each row of a kernel.
    """
    batch, M = len(X), len(W)
    del kernel_shape  # W has it
    place, patches = _patches(X, W.shape[2:], group, **options)
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


def _pool(*, mean: bool) -> Callable[..., Array]:
    def pool(X: Array, *, kernel_shape: Any, count_include_pad: int = 0, **options: Any) -> Array:
        place, patches = _patches(X, kernel_shape, 1, fill=0 if mean else -np.inf, **options)
        axes = tuple(range(-1 - len(kernel_shape), -1))
        place[...] = 1
        count = math.prod(kernel_shape) if count_include_pad or not mean else patches.sum(axes)
        place[...] = np.moveaxis(X, 1, -1)
        y = patches.sum(axes) / count if mean else patches.max(axes)
        return np.moveaxis(y.astype(X.dtype)[:, 0], -1, 1)

    return pool


def Gelu(X: Array, *, approximate: str = "none") -> Any:
    if approximate == "none":
        return 0.5 * X * (1 + np.asarray(_erf(X / math.sqrt(2)), X.dtype))
    return 0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X * X * X)))


def HardSigmoid(X: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return np.clip(X.dtype.type(alpha) * X + X.dtype.type(beta), 0, 1)


_erf = np.frompyfunc(math.erf, 1, 1)
NUMPY = """Abs absolute, Add add, And logical_and, Ceil ceil, Cos cos, Equal equal, Exp exp,
    Floor floor, Greater greater, GreaterOrEqual greater_equal, Less less, LessOrEqual less_equal,
    Log log, Mul multiply, Neg negative, Not logical_not, Or logical_or, Reciprocal reciprocal,
    Round rint, Sign sign, Sin sin, Sqrt sqrt, Sub subtract, Tanh tanh, Where where,
    Xor logical_xor"""
OPERATORS: dict[str, Callable[..., Any]] = {
    name: f for name, f in globals().items() if name[0].isupper() and inspect.isfunction(f)
}
OPERATORS |= {op: getattr(np, name) for op, name in map(str.split, NUMPY.split(","))}
OPERATORS |= {
    "ArgMax": lambda data, *, axis=0, keepdims=1: data.argmax(axis, keepdims=keepdims > 0),
    "ArgMin": lambda data, *, axis=0, keepdims=1: data.argmin(axis, keepdims=keepdims > 0),
    "AveragePool": _pool(mean=True),
    "Cast": lambda input, *, to: input.astype(array_type(to), copy=False),
    "CastLike": lambda input, target_type: input.astype(target_type.dtype, copy=False),
    "Concat": lambda *inputs, axis, out=None: np.concatenate(inputs, axis, out),
    "Conv": bind_convolution,
    "Einsum": lambda *inputs, equation: np.einsum(equation, *inputs),
    "Elu": lambda X, *, alpha=1.0: np.where(X < 0, X.dtype.type(alpha) * np.expm1(X), X),
    "Erf": lambda input: np.asarray(_erf(input), input.dtype),
    "Expand": lambda input, shape: np.broadcast_to(
        input, np.broadcast_shapes(input.shape, tuple(map(int, shape)))
    ),
    "Gather": lambda data, indices, *, axis=0: data.take(indices, axis),
    "GlobalAveragePool": lambda X: X.mean(tuple(range(2, X.ndim)), keepdims=True),
    "GlobalMaxPool": lambda X: X.max(tuple(range(2, X.ndim)), keepdims=True),
    "Identity": lambda input: input,
    "LeakyRelu": lambda X, *, alpha=0.01: np.where(X < 0, X.dtype.type(alpha) * X, X),
    "Max": lambda *inputs: reduce(np.maximum, inputs),
    "MaxPool": _pool(mean=False),
    "Mean": lambda *inputs: reduce(np.add, inputs) / inputs[0].dtype.type(len(inputs)),
    "Min": lambda *inputs: reduce(np.minimum, inputs),
    "Mod": lambda A, B, *, fmod=0: np.fmod(A, B) if fmod else np.mod(A, B),
    "PRelu": lambda X, slope: np.where(X < 0, X * slope, X),
    "Range": lambda start, *more: np.arange(start, *more, dtype=start.dtype),
    "ReduceMax": _reduce(np.maximum),
    "ReduceMean": _reduce(np.add, mean=True),
    "ReduceMin": _reduce(np.minimum),
    "ReduceProd": _reduce(np.multiply),
    "ReduceSum": _reduce(np.add),
    "Relu": lambda X, *, out=None: np.maximum(X, _scalar(0, X.dtype), out=out),
    "Selu": lambda X, *, alpha=1.6732632, gamma=1.0507010: (
        gamma * np.where(X < 0, alpha * np.expm1(X), X)
    ),
    "Shape": lambda data, *, start=0, end=None: np.array(data.shape[start:end], np.int64),
    "Size": lambda data: np.array(data.size, np.int64),
    "Softplus": lambda X: np.logaddexp(X, X.dtype.type(0)),
    "Softsign": lambda input: input / (1 + np.abs(input)),
    "Squeeze": lambda data, axes=None: np.squeeze(data, _axes(axes)),
    "Sum": lambda *inputs: reduce(np.add, inputs),
    "Tile": lambda input, repeats: np.tile(input, [int(n) for n in repeats]),
    "Transpose": lambda data, *, perm=None: np.transpose(data, perm),
    "Unsqueeze": lambda data, axes: np.expand_dims(data, _axes(axes) or ()),
}
# Attributes of convolutions and pools.
WINDOWS = {"strides", "dilations", "pads", "auto_pad"}
# The values of attributes that are implemented. A function has no argument for those of one value.
VALUES: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    "mode": ("constant", "reflect", "edge", "wrap"),
    "approximate": ("none", "tanh"),
    "to": tuple(sorted(set(DTYPES) - {BFLOAT16})),
    "spatial": (1,),
    **dict.fromkeys(("ceil_mode", "select_last_index", "storage_order", "training_mode"), (0,)),
}
WITHOUT_EFFECT = {"stash_type", "momentum", "saturate", "seed"}  # here, whatever they are
WITHOUT_EFFECT |= {name for name, values in VALUES.items() if len(values) == 1}


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}


def function_of(op: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """Return an operator as a function of its inputs. KeyError if there is none."""
    arguments = _arguments(options)
    return partial(OPERATORS[op], **arguments) if arguments else OPERATORS[op]


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
    function, options = OPERATORS[op], _arguments(options)
    nin = 3 if function is np.where else getattr(function, "nin", None)
    if "out" in options or (nin is not None and (options or len(inputs) != nin)):
        return f"{len(inputs)} inputs and attributes {list(options)}, expected {nin} inputs"
    if nin is None:
        signature = inspect.signature(function)
        given = set(options) - WINDOWS if "options" in signature.parameters else set(options)
        if unknown := given - set(signature.parameters):
            return f"attribute {min(unknown)!r} is not known"
        try:
            signature.bind(*inputs, **options)
        except TypeError as error:
            return str(error)
    return ""
