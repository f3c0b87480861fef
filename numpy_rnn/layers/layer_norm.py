"""Layer normalisation as a layer: before, between or behind recurrent layers."""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.layer_norm import (
    LayerNormCache,
    layer_norm_backward,
    layer_norm_forward,
)
from numpy_rnn.functional.types import Array, DTypeLike
from numpy_rnn.layers.base import Layer, forward_first, two_axes
from numpy_rnn.layers.validate import check_array, check_size, is_number
from numpy_rnn.parameters import Parameters


class LayerNorm(Layer):
    """Give each row mean 0 and variance 1, then scale and shift it, as ``torch.nn.LayerNorm``.

    Parameters
    ----------
    normalized_shape : int or tuple of one int
        H, the last axis of the input.
    eps : float
        Added to the variance, so that a constant row is no division by zero.
    elementwise_affine : bool
        Whether there is a scale, 1 at first, and a shift, 0 at first, of each unit.
    bias : bool
        Whether there is a shift, where there is a scale.
    dtype : dtype
        float64 (default) or float32.

    Raises
    ------
    ValueError, TypeError
        If H is no whole number of at least 1, eps is not above 0, or the dtype is another one.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        *,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float64,
    ) -> None:
        axes = normalized_shape if isinstance(normalized_shape, tuple) else (normalized_shape,)
        if len(axes) != 1:
            raise ValueError(
                f"LayerNorm: normalized_shape is {normalized_shape}, expected one size, "
                "that of the last axis"
            )
        if not (is_number(eps) and 0 < eps < math.inf):
            raise ValueError(f"LayerNorm: eps is {eps!r}, expected a finite number above 0")
        H = check_size("LayerNorm", "normalized_shape", axes[0])
        self.normalized_shape, self.eps = (H,), float(eps)
        self.elementwise_affine = elementwise_affine
        self._name = f"LayerNorm({H})"
        names = ("weight", "bias") if bias else ("weight",)
        self.parameters = Parameters(
            dict.fromkeys(names if elementwise_affine else (), (H,)), dtype, "LayerNorm"
        )
        if elementwise_affine:
            self.parameters.values["weight"][...] = 1
        self._cache: tuple[LayerNormCache, tuple[int, ...], int] | None = None

    def __repr__(self) -> str:
        return self._name

    def forward(self, x: Array) -> Array:
        """Normalise every row.

        Parameters
        ----------
        x : (..., H) array
            Rows. Any number of axes in front.

        Returns
        -------
        y : (..., H) array
            The output, a new array.

        Raises
        ------
        TypeError, ValueError
            If the dtype, the last axis or a number in x is not what the layer takes.
        """
        self._cache = None
        x = np.asarray(x)
        (H,), dtype, leading = self.normalized_shape, self.parameters.dtype, x.shape[:-1]
        x = check_array(self._name + ".forward", "x", x, dtype, ((*leading, H),))
        values = self.parameters.values
        y, cache = layer_norm_forward(
            x.reshape(*two_axes(leading), H),
            values["weight"] if "weight" in values else np.ones(H, dtype),
            values["bias"] if "bias" in values else np.zeros(H, dtype),
            eps=self.eps,
        )
        self._cache = cache, x.shape, self.parameters.version
        return y.reshape(x.shape)

    def gradients(self, dy: Array, keep: Keep = "") -> tuple[Array, dict[str, Array]]:
        """Go back; see :meth:`Layer.gradients`."""
        if self._cache is None:
            raise forward_first(self._name)
        where, (cache, shape, version) = self._name + ".backward", self._cache
        self.parameters.check_unchanged(where, version)
        dy = check_array(where, "dy", dy, self.parameters.dtype, (shape,))
        axes = two_axes(shape[:-1], keep, where)
        dx, dweight, dbias = layer_norm_backward(dy.reshape(*axes, shape[-1]), cache, keep)
        found = {"weight": dweight, "bias": dbias}
        return dx.reshape(shape), {name: found[name] for name in self.parameters.shapes}
