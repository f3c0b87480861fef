"""Linear: the affine map as a layer."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import Layer, forward_first, two_axes
from numpy_rnn.layers.validate import check_array, check_size, check_symbols
from numpy_rnn.parameters import Parameters


class Linear(Layer):
    """``y = x W^T + b`` for every row of x, as ``torch.nn.Linear``.

    Parameters
    ----------
    in_features, out_features : int
        D and G.
    bias : bool
        Whether there is a b.
    rng : numpy.random.Generator, int or None
        For the initial weights: U(-1/sqrt(D), 1/sqrt(D)).
    dtype : dtype
        float64 (default) or float32.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or the dtype is another one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.in_features = check_size("Linear", "in_features", in_features)
        self.out_features = check_size("Linear", "out_features", out_features)
        self._name = f"Linear({self.in_features}, {self.out_features})"
        self.bias = bias
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        if bias:
            shapes["bias"] = (self.out_features,)
        self.parameters = Parameters(shapes, dtype, "Linear")
        uniform(self.parameters, self.in_features, rng)
        self._cache: tuple[LinearCache, tuple[int, ...], int] | None = None

    def __repr__(self) -> str:
        return self._name

    def forward(self, x: Array) -> Array:
        """Apply the map to every row.

        Parameters
        ----------
        x : (..., D) array, or (...) array of int
            Rows, or the places of the ones in one-hot rows. Any number of axes in front.

        Returns
        -------
        y : (..., G) array
            The output, a new array.

        Raises
        ------
        TypeError, ValueError
            If the dtype, the last axis or a number in x is not what the layer takes.
        """
        self._cache = None
        where, D, dtype = self._name + ".forward", self.in_features, self.parameters.dtype
        x = np.asarray(x)
        if x.dtype.kind in "iu":
            check_symbols(where, "x", x, D)
            leading, rows = x.shape, x.reshape(two_axes(x.shape))
        else:
            leading = x.shape[:-1]
            x = check_array(where, "x", x, dtype, ((*leading, D),))
            rows = np.reshape(x, (*two_axes(leading), D))
        values = self.parameters.values
        b = values["bias"] if self.bias else np.zeros(self.out_features, dtype)
        y, cache = linear_forward(rows, values["weight"], b)
        self._cache = cache, leading, self.parameters.version
        return y.reshape(*leading, self.out_features)

    def gradients(self, dy: Array, keep: Keep = "") -> tuple[Array | None, dict[str, Array]]:
        """Go back; see :meth:`Layer.gradients`."""
        if self._cache is None:
            raise forward_first(self._name)
        where, shape = self._name + ".backward", (*self._cache[1], self.out_features)
        cache, leading, version = self._cache
        self.parameters.check_unchanged(where, version)
        dy = check_array(where, "dy", dy, self.parameters.dtype, (shape,))
        axes = two_axes(leading, keep, where)
        dx, dW, db = linear_backward(dy.reshape(*axes, self.out_features), cache, keep)
        gradients = {"weight": dW, "bias": db} if self.bias else {"weight": dW}
        return None if dx is None else dx.reshape(*leading, self.in_features), gradients
