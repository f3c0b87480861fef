"""Layer normalisation as a layer."""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.arguments import check_flag, check_number, check_size
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.layer_norm import (
    LayerNormCache,
    layer_norm_backward,
    layer_norm_forward,
)
from numpy_rnn.functional.types import Array, DTypeLike
from numpy_rnn.layers.stateless import Call, StatelessLayer, two_axes
from numpy_rnn.layers.validate import Where, check_array, check_float
from numpy_rnn.parameters import Parameters


class LayerNorm(StatelessLayer):
    """Give each row mean 0 and variance 1, then scale and shift it, as ``torch.nn.LayerNorm``.

    Parameters
    ----------
    normalized_shape : int or tuple of one int
        H, the last axis of the input.
    eps : float, above 0
        Added to the variance, so that a constant row is no division by zero.
    elementwise_affine : bool
        Whether each unit has a scale, initially 1, and a shift, initially 0.
    bias : bool
        Whether there is a shift, if there is a scale.
    dtype : dtype
        float64 (default) or float32. Without parameters both are taken.

    Examples
    --------
    >>> import numpy as np
    >>> LayerNorm(2)(np.array([[1.0, 3.0]])).round(3)
    array([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        axes = normalized_shape if isinstance(normalized_shape, tuple) else (normalized_shape,)
        if len(axes) != 1:
            raise ValueError(
                f"LayerNorm: normalized_shape is {normalized_shape}, expected one size, "
                "that of the last axis"
            )
        eps = check_number(
            "LayerNorm", "eps", eps, lambda v: 0 < v < math.inf, "a finite number above 0"
        )
        H = check_size("LayerNorm", "normalized_shape", axes[0])
        self.normalized_shape, self.eps = (H,), eps
        self.elementwise_affine = check_flag("LayerNorm", "elementwise_affine", elementwise_affine)
        self.bias = check_flag("LayerNorm", "bias", bias)
        names = ("weight", "bias") if self.bias else ("weight",)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            names if self.elementwise_affine else (), (H,)
        )
        self.parameters = Parameters(shapes, dtype, "LayerNorm")
        if self.elementwise_affine:
            self.parameters.values["weight"][...] = 1

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is computed too)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        where = Where(self)
        dtype = (
            self.parameters.dtype if self.parameters.values else check_float(where, "x", x).dtype
        )
        check_array(where, "x", x, dtype, ((*x.shape[:-1], *self.normalized_shape),))

    def _apply(self, x: Array, call: Call) -> tuple[Array, LayerNormCache]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        (H,), values = self.normalized_shape, self.parameters.values
        weight = values["weight"].copy() if "weight" in values else np.ones(H, x.dtype)
        bias = values["bias"] if "bias" in values else np.zeros(H, x.dtype)
        rows = x.reshape(*two_axes(x.shape[:-1]), H)
        y, cache = layer_norm_forward(rows, weight, bias, eps=self.eps)
        return y.reshape(x.shape), cache

    def _vjp(self, cache: LayerNormCache, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:
        axes = two_axes(dy.shape[:-1], keep, Where(self, "backward"))
        dx, dweight, dbias = layer_norm_backward(dy.reshape(*axes, dy.shape[-1]), cache, keep)
        found = {"weight": dweight, "bias": dbias}
        return dx.reshape(dy.shape), {name: found[name] for name in self.parameters.values}
