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
from numpy_rnn.interchange import onnx_windows
from numpy_rnn.interchange.onnx_windows import bind_convolution, check_memory, check_padding, pool
from numpy_rnn.interchange.protobuf import BFLOAT16, DTYPES, array_type


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


def _reduce(
    ufunc: Any, *, of: Any = None, then: Any = None, mean: bool = False
) -> Callable[..., Array]:
    def reduced(
        data: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        which = _axes(axes) or (() if noop_with_empty_axes else None)
        wide = np.dtype("f4") if data.dtype == "f2" else data.dtype  # long sums of halves overflow
        x = data.astype(wide, copy=False)
        y = ufunc.reduce(x if of is None else of(x), which, wide, None, keepdims > 0)
        if mean:
            count = _scalar(data.size // max(y.size, 1), wide)
            y = y // count if wide.kind in "iu" else y / count
        return np.asarray(y if then is None else then(y), data.dtype)

    return reduced


def _arg(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        index = function(np.flip(data, axis) if select_last_index else data, axis, None)
        index = data.shape[axis] - 1 - index if select_last_index else index
        return np.expand_dims(index, axis) if keepdims else index

    return found


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
    return None if values is None else tuple(map(int, values if np.ndim(values) else [values]))


def _whole(value: Any) -> int:
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


def RMSNormalization(
    X: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    square = np.square(X).mean(tuple(range(axis % X.ndim, X.ndim)), keepdims=True)
    inverse = 1 / np.sqrt(square + X.dtype.type(epsilon))
    return X * inverse * scale, inverse


def BatchNormalization(
    X: Array, scale: Array, B: Array, mean: Array, var: Array, *, epsilon: float = 1e-5
) -> Array:
    factor = scale / np.sqrt(var + X.dtype.type(epsilon))
    return X * _along(factor, X, 1) + _along(B - mean * factor, X, 1)


def InstanceNormalization(input: Array, scale: Array, B: Array, *, epsilon: float = 1e-5) -> Array:
    normed, *_ = LayerNormalization(input, np.ones((), input.dtype), axis=2, epsilon=epsilon)
    return normed * _along(scale, input, 1) + _along(B, input, 1)


def GroupNormalization(
    X: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5
) -> Array:
    groups = X.reshape(len(X), num_groups, -1)
    normed, *_ = LayerNormalization(groups, np.ones((), X.dtype), epsilon=epsilon)
    each = X.shape[1] // len(scale)  # before opset 21, they were of a group
    scale, bias = (_along(np.repeat(v, each), X, 1) for v in (scale, bias))
    return normed.reshape(X.shape) * scale + bias


def _scales(scale: Array, zero: Any, x: Array, axis: int, dtype: Any) -> tuple[Array, Array]:
    """Return scales and zero points of quantised numbers as arrays that broadcast with x."""
    zero = np.zeros(scale.shape, dtype) if zero is None else zero
    return (_along(scale, x, axis), _along(zero, x, axis)) if scale.size > 1 else (scale, zero)


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


def _centred(a: Array, zero: Any, *, axis: int) -> Any:
    """Return quantised numbers as floats, whose products and sums are exact.

    The largest product has 16 bits. So up to 256 of them have a sum that float32 has exactly.
    """
    if a.dtype.kind == "f":
        return a
    terms = a.size // max(a.shape[axis], 1)
    zero = 0 if zero is None else _along(zero, a, axis) if np.ndim(zero) == 1 else zero
    return np.subtract(a, zero, dtype=np.float32 if terms <= 256 else np.float64)


def _dequantised(whole: Array, scale: Array, zero: Array) -> Array:
    """Return the weights of an LSTM from those of (directions, in, out), with a scale for each."""
    if whole.ndim != 3 or {scale.size, zero.size} - {len(whole), whole[:, 0].size}:
        sizes = f"{scale.size} scales and {zero.size} zero points"
        raise ValueError(f"the weights have shape {whole.shape}, with {sizes}")
    shape = len(whole), 1, -1
    weights = (whole - zero.reshape(shape).astype(scale.dtype)) * scale.reshape(shape)
    return np.ascontiguousarray(weights.swapaxes(1, 2))


def MatMulInteger(A: Array, B: Array, a_zero_point: Any = None, b_zero_point: Any = None) -> Array:
    b = _centred(B, b_zero_point, axis=-1)
    product: Array = _centred(A, a_zero_point, axis=-2).astype(b.dtype, copy=False) @ b
    return product.astype(np.int32)


def ConvInteger(
    x: Array,
    w: Array,
    x_zero: Any = None,
    w_zero: Any = None,
    *,
    group: int = 1,
    kernel_shape: Any = None,
    **options: Any,
) -> Any:
    del kernel_shape  # w has it
    w = _centred(w, w_zero, axis=0)
    x = _centred(x, x_zero, axis=0).astype(w.dtype, copy=False)
    _, (y,) = bind_convolution(x, w, group=group, **options)
    return y.astype(np.int32)


def _of_integers(
    A: Array,
    B: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero: Any = None,
    b_zero: Any = None,
    bias: Any = None,
) -> Any:
    y = MatMulInteger(A, B, a_zero, b_zero).astype(a_scale.dtype) * (a_scale * b_scale)
    return y if bias is None else y + bias


def _of_quantized(A: Array, B: Array, b_scale: Array, b_zero: Any = None, bias: Any = None) -> Any:
    quantized, scale, zero = DynamicQuantizeLinear(A)
    return _of_integers(quantized, B, scale, b_scale, zero, b_zero, bias)


def TopK(
    X: Array, K: Any = None, *, k: int = 0, axis: int = -1, largest: int = 1
) -> tuple[Array, Array]:
    down = ~X if X.dtype.kind in "iu" else -X  # -X overflows for the least integer
    order = np.argsort(down if largest else X, axis, kind="stable")
    index = order.take(range(k if K is None else _whole(K)), axis)
    return np.take_along_axis(X, index, axis), index


def CumSum(x: Array, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    axis = _whole(axis)
    x = np.flip(x, axis) if reverse else x
    y = np.cumsum(x, axis, dtype=x.dtype) - (x if exclusive else 0)
    return np.flip(y, axis) if reverse else y


def GatherElements(data: Array, indices: Array, *, axis: int = 0) -> Any:
    return data[_places(indices, axis)]


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
    count, places = _whole(depth), np.expand_dims(indices, axis)
    check_memory(count, *indices.shape)
    classes = _along(np.arange(count), places, axis)
    return np.where((places == classes) | (places + count == classes), values[1], values[0])


def ReverseSequence(
    input: Array, lengths: Any, *, batch_axis: int = 1, time_axis: int = 0
) -> Array:
    x, end = np.moveaxis(input, (batch_axis, time_axis), (0, 1)), lengths[:, None]
    steps = np.arange(x.shape[1])
    x = x[np.arange(len(x))[:, None], np.where(steps < end, end - 1 - steps, steps)]
    return np.moveaxis(x, (0, 1), (batch_axis, time_axis))


def Multinomial(input: Array, *, sample_size: int = 1, dtype: int = 6) -> Array:
    check_memory(*input.shape, sample_size)
    gumbel = np.random.default_rng().gumbel(size=(len(input), sample_size, input.shape[1]))
    chosen: Array = (input[:, None] + gumbel).argmax(2)  # in proportion to the exp of the input
    return chosen.astype(array_type(dtype))


def SequenceConstruct(*inputs: Array) -> Array:
    """Return a sequence, which is a vector of arrays here."""
    y = np.empty(len(inputs), object)
    for n, x in enumerate(inputs):
        y[n] = x
    return y


def SequenceInsert(sequence: Array, tensor: Array, position: Any = None) -> Array:
    items = [*sequence]
    items.insert(len(items) if position is None else _whole(position), tensor)
    return SequenceConstruct(*items)


def SplitToSequence(input: Array, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> Array:
    count = input.shape[axis]
    if split is not None and np.ndim(split) == 0:
        split = [*[_whole(split)] * (count // _whole(split)), count % _whole(split)]
        split = split if split[-1] else split[:-1]
    parts = Split(input, [1] * count if split is None else split, axis=axis)
    squeezed = split is None and not keepdims
    return SequenceConstruct(*[x.squeeze(axis) if squeezed else x for x in parts])


def ConcatFromSequence(sequence: Any, *, axis: int, new_axis: int = 0) -> Array:
    return np.stack([*sequence], axis) if new_axis else np.concatenate([*sequence], axis)


def _fused_product(
    A: Array,
    B: Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Any:
    A, B = (np.moveaxis(x, 0, -2) if f else x for x, f in ((A, transBatchA), (B, transBatchB)))
    A, B = (x.swapaxes(-1, -2) if f else x for x, f in ((A, transA), (B, transB)))
    return MatMul(A, B) * A.dtype.type(alpha)


def _after_skip(
    X: Array, skip: Array, gamma: Array, *biases: Array, epsilon: float = 1e-12
) -> tuple[Array, ...]:
    X = reduce(np.add, biases[1:], X + skip)
    return *LayerNormalization(X, gamma, *biases[:1], epsilon=epsilon), X


def Gelu(X: Array, *, approximate: str = "none") -> Any:
    if approximate == "none":
        return 0.5 * X * (1 + np.asarray(_erf(X / math.sqrt(2)), X.dtype))
    return 0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X * X * X)))


def HardSigmoid(X: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return np.clip(X.dtype.type(alpha) * X + X.dtype.type(beta), 0, 1)


_erf = np.frompyfunc(math.erf, 1, 1)
NUMPY = """Abs absolute, Acos arccos, Acosh arccosh, Add add, And logical_and, Asin arcsin, Asinh
    arcsinh, Atan arctan, Atanh arctanh, BitwiseAnd bitwise_and, BitwiseNot invert, BitwiseOr
    bitwise_or, Ceil ceil, Cos cos, Cosh cosh, Equal equal, Exp exp, Floor floor, Greater greater,
    GreaterOrEqual greater_equal, IsNaN isnan, Less less, LessOrEqual less_equal, Log log, Mul
    multiply, Neg negative, Not logical_not, Or logical_or, Reciprocal reciprocal, Round rint, Sign
    sign, Sin sin, Sinh sinh, Sqrt sqrt, Sub subtract, Tan tan, Tanh tanh, Where where, Xor
    logical_xor"""
REDUCTIONS: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}
OPERATORS: dict[str, Callable[..., Any]] = {
    name: f
    for name, f in [*vars(onnx_windows).items(), *globals().items()]
    if name[0].isupper() and inspect.isfunction(f)
}
OPERATORS |= {op: getattr(np, name) for op, name in map(str.split, NUMPY.split(","))}
OPERATORS |= {
    "ArgMax": _arg(np.argmax),
    "ArgMin": _arg(np.argmin),
    "AveragePool": pool(mean=True),
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
    "HardSwish": lambda X: X * HardSigmoid(X, alpha=1 / 6),
    "Identity": lambda input: input,
    "LeakyRelu": lambda X, *, alpha=0.01: np.where(X < 0, X.dtype.type(alpha) * X, X),
    "Max": lambda *inputs: reduce(np.maximum, inputs),
    "MaxPool": pool(mean=False),
    "Mean": lambda *inputs: reduce(np.add, inputs) / inputs[0].dtype.type(len(inputs)),
    "Min": lambda *inputs: reduce(np.minimum, inputs),
    "Mish": lambda X: X * np.tanh(np.logaddexp(X, X.dtype.type(0))),
    "Mod": lambda A, B, *, fmod=0: np.fmod(A, B) if fmod else np.mod(A, B),
    "NonZero": lambda X: np.array(np.nonzero(X), np.int64),
    "PRelu": lambda X, slope: np.where(X < 0, X * slope, X),
    "Range": lambda start, *more: np.arange(*[x.item() for x in (start, *more)], dtype=start.dtype),
    "ReduceL1": _reduce(np.add, of=np.abs),
    "ReduceL2": _reduce(np.add, of=np.square, then=np.sqrt),
    "ReduceLogSum": _reduce(np.add, then=np.log),
    "ReduceLogSumExp": _reduce(np.logaddexp),
    "ReduceMax": _reduce(np.maximum),
    "ReduceMean": _reduce(np.add, mean=True),
    "ReduceMin": _reduce(np.minimum),
    "ReduceProd": _reduce(np.multiply),
    "ReduceSum": _reduce(np.add),
    "ReduceSumSquare": _reduce(np.add, of=np.square),
    "Relu": lambda X, *, out=None: np.maximum(X, _scalar(0, X.dtype), out=out),
    "Selu": lambda X, *, alpha=1.6732632, gamma=1.0507010: (
        gamma * np.where(X < 0, alpha * np.expm1(X), X)
    ),
    "SequenceAt": lambda sequence, position: sequence[_whole(position)],
    "SequenceEmpty": lambda *, dtype=1: np.empty(0, object),  # noqa: ARG005 (any)
    "SequenceLength": lambda sequence: np.array(len(sequence), np.int64),
    "Shape": lambda data, *, start=0, end=None: np.array(data.shape[start:end], np.int64),
    "Size": lambda data: np.array(data.size, np.int64),
    "Softplus": lambda X: np.logaddexp(X, X.dtype.type(0)),
    "Softsign": lambda input: input / (1 + np.abs(input)),
    "Squeeze": lambda data, axes=None: np.squeeze(data, _axes(axes)),
    "Sum": lambda *inputs: reduce(np.add, inputs),
    "Swish": lambda X, *, alpha=1.0: X * Sigmoid(X.dtype.type(alpha) * X),
    "Tile": lambda input, repeats: np.tile(input, [int(n) for n in repeats]),
    "Transpose": lambda data, *, perm=None: np.transpose(data, perm),
    "Trilu": lambda input, k=0, *, upper=1: (np.triu if upper else np.tril)(input, _whole(k)),
    "Unsqueeze": lambda data, axes: np.expand_dims(data, _axes(axes) or ()),
    "com.microsoft::BiasGelu": lambda A, B: Gelu(A + B),
    "com.microsoft::DynamicQuantizeMatMul": _of_quantized,
    "com.microsoft::FusedMatMul": _fused_product,
    "com.microsoft::Gelu": Gelu,
    "com.microsoft::MatMulIntegerToFloat": _of_integers,
    "com.microsoft::QuickGelu": lambda X, *, alpha=1.702: X * Sigmoid(X.dtype.type(alpha) * X),
    "com.microsoft::SkipLayerNormalization": _after_skip,
    "numpy_rnn::Centre": _centred,
    "numpy_rnn::Dequantize": _dequantised,
}
# onnxruntime's optimiser writes it for a LayerNormalization.
OPERATORS["SimplifiedLayerNormalization"] = RMSNormalization
OPERATORS |= {"Scatter": ScatterElements, "Upsample": onnx_windows.Resize}  # before opset 11
# Attributes that a function passes on, as `options`.
PASSED_ON = {"strides", "dilations", "pads", "auto_pad", "ceil_mode"}
# The values of attributes that are implemented. A function has no argument for those of one value.
VALUES: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    "Pad.mode": ("constant", "reflect", "edge", "wrap"),
    "approximate": ("none", "tanh"),
    "reduction": ("none", *REDUCTIONS),
    **dict.fromkeys(("to", "dtype"), tuple(sorted(set(DTYPES) - {BFLOAT16}))),
    "spatial": (1,),
    **dict.fromkeys(("storage_order", "training_mode"), (0,)),
    **onnx_windows.VALUES,
}
WITHOUT_EFFECT = {"stash_type", "momentum", "saturate", "seed", "sorted"}  # whatever they are
WITHOUT_EFFECT |= {"cubic_coeff_a", "extrapolation_value"}
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
        expected = VALUES.get(f"{op}.{name}", VALUES.get(name))
        if expected is not None and value not in expected:
            return f"{name} is {value!r}, expected one of {expected}"
    function, options = OPERATORS[op], _arguments(options)
    nin = 3 if function is np.where else getattr(function, "nin", None)
    if "out" in options or (nin is not None and (options or len(inputs) != nin)):
        return f"{len(inputs)} inputs and attributes {list(options)}, expected {nin} inputs"
    if nin is None:
        signature = inspect.signature(function)
        given = set(options) - PASSED_ON if "options" in signature.parameters else set(options)
        if unknown := given - set(signature.parameters):
            return f"attribute {min(unknown)!r} is not known"
        try:
            signature.bind(*inputs, **options)
        except TypeError as error:
            return str(error)
    return ""
