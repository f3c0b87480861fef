# ruff: noqa: A002, A006, D103, N802 (operators and parameters have the specification's names)
"""The operators of ONNX that compute: arithmetic, activations, reductions and normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.protobuf import array_type
from numpy_rnn.interchange.onnx.shapes import Flatten, along, axes_of
from numpy_rnn.interchange.onnx.windows import check_memory


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
    return np.power(X, Y, out, casting="unsafe").astype(X.dtype, copy=False)


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


def _reduce(
    ufunc: Any, *, of: Any = None, then: Any = None, mean: bool = False
) -> Callable[..., Array]:
    def reduced(
        data: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        which = axes_of(axes) or (() if noop_with_empty_axes else None)
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


def Dropout(data: Array, ratio: Any = None, training_mode: Any = None) -> tuple[Array, Array]:  # noqa: ARG001 (inference)
    if training_mode is not None and training_mode:
        raise ValueError("training_mode is True, expected inference")
    return data, np.ones(data.shape, bool)


def Clip(input: Array, min: Any = None, max: Any = None) -> Array:
    low, high = (None if bound is None else input.dtype.type(bound) for bound in (min, max))
    return input if low is None and high is None else np.clip(input, low, high)


def RMSNormalization(
    X: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    square = np.square(X).mean(tuple(range(axis % X.ndim, X.ndim)), keepdims=True)
    inverse = 1 / np.sqrt(square + X.dtype.type(epsilon))
    return X * inverse * scale, inverse


def LayerNormalization(
    X: Array, Scale: Array, B: Any = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    mean = X.mean(tuple(range(axis % X.ndim, X.ndim)), keepdims=True)
    y, inverse = RMSNormalization(X - mean, Scale, axis=axis, epsilon=epsilon)
    return y if B is None else y + B, mean, inverse


def BatchNormalization(
    X: Array, scale: Array, B: Array, mean: Array, var: Array, *, epsilon: float = 1e-5
) -> Array:
    factor = scale / np.sqrt(var + X.dtype.type(epsilon))
    return X * along(factor, X, 1) + along(B - mean * factor, X, 1)


def GroupNormalization(
    X: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5
) -> Array:
    groups = X.reshape(len(X), num_groups, -1)
    normed, *_ = LayerNormalization(groups, np.ones((), X.dtype), epsilon=epsilon)
    each = X.shape[1] // len(scale)  # before opset 21, they were of a group
    scale, bias = (along(np.repeat(v, each), X, 1) for v in (scale, bias))
    return normed.reshape(X.shape) * scale + bias


def InstanceNormalization(input: Array, scale: Array, B: Array, *, epsilon: float = 1e-5) -> Array:
    return GroupNormalization(input, scale, B, num_groups=input.shape[1], epsilon=epsilon)


def Multinomial(input: Array, *, sample_size: int = 1, dtype: int = 6) -> Array:
    check_memory(*input.shape, sample_size)
    gumbel = np.random.default_rng().gumbel(size=(len(input), sample_size, input.shape[1]))
    chosen: Array = (input[:, None] + gumbel).argmax(2)  # in proportion to the exp of the input
    return chosen.astype(array_type(dtype))


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
    bitwise_or, BitwiseXor bitwise_xor, Ceil ceil, Cos cos, Cosh cosh, Equal equal, Exp exp,
    Floor floor, Greater greater, GreaterOrEqual greater_equal, IsNaN isnan, Less less,
    LessOrEqual less_equal, Log log, Mul multiply, Neg negative, Not logical_not, Or logical_or,
    Reciprocal reciprocal, Round rint, Sign sign, Sin sin, Sinh sinh, Sqrt sqrt, Sub subtract,
    Tan tan, Tanh tanh, Xor logical_xor"""
SHORT: dict[str, Callable[..., Any]] = {
    "ArgMax": _arg(np.argmax),
    "ArgMin": _arg(np.argmin),
    "Cast": lambda input, *, to: input.astype(array_type(to), copy=False),
    "CastLike": lambda input, target_type: input.astype(target_type.dtype, copy=False),
    "Einsum": lambda *inputs, equation: np.einsum(equation, *inputs),
    "Elu": lambda X, *, alpha=1.0: np.where(X < 0, X.dtype.type(alpha) * np.expm1(X), X),
    "Erf": lambda input: np.asarray(_erf(input), input.dtype),
    "HardSwish": lambda X: X * HardSigmoid(X, alpha=1 / 6),
    "LeakyRelu": lambda X, *, alpha=0.01: np.where(X < 0, X.dtype.type(alpha) * X, X),
    "LogSoftmax": partial(Softmax, log=True),
    "Max": lambda *inputs: reduce(np.maximum, inputs),
    "Mean": lambda *inputs: reduce(np.add, inputs) / inputs[0].dtype.type(len(inputs)),
    "Min": lambda *inputs: reduce(np.minimum, inputs),
    "Mish": lambda X: X * np.tanh(np.logaddexp(X, X.dtype.type(0))),
    "Mod": lambda A, B, *, fmod=0: np.fmod(A, B) if fmod else np.mod(A, B),
    "PRelu": lambda X, slope: np.where(X < 0, X * slope, X),
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
    "Softplus": lambda X: np.logaddexp(X, X.dtype.type(0)),
    "Softsign": lambda input: input / (1 + np.abs(input)),
    "Sum": lambda *inputs: reduce(np.add, inputs),
    "Swish": lambda X, *, alpha=1.0: X * Sigmoid(X.dtype.type(alpha) * X),
    "Where": lambda condition, X, Y: np.where(condition, X, Y),  # noqa: PLW0108 (with a signature)
    # What onnxruntime's optimiser writes.
    "SimplifiedLayerNormalization": RMSNormalization,
    "com.microsoft::BiasGelu": lambda A, B: Gelu(A + B),
    "com.microsoft::FastGelu": lambda X, bias=0: Gelu(X + bias, approximate="tanh"),
    "com.microsoft::FusedMatMul": lambda A, B, *, alpha=1.0, transA=0, transB=0: (
        alpha * MatMul(A.swapaxes(-1, -2) if transA else A, B.swapaxes(-1, -2) if transB else B)
    ),
    "com.microsoft::Gelu": Gelu,
    "com.microsoft::QuickGelu": lambda X, *, alpha=1.702: X * Sigmoid(alpha * X),
    "com.microsoft::SkipLayerNormalization": _after_skip,
}
SHORT |= {op: getattr(np, name) for op, name in map(str.split, NUMPY.split(","))}
