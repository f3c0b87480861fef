"""Linear: the affine map as a layer."""

from __future__ import annotations

import numpy as np

from numpy_rnn.arguments import check_flag, check_rng, check_size
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.linear import LinearCache, affine, linear_backward, linear_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng, State
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import Step
from numpy_rnn.layers.stateless import Call, StatelessLayer, two_axes
from numpy_rnn.layers.validate import Where, check_array, check_no_state, check_tokens, to_dtype
from numpy_rnn.parameters import Parameters


class Linear(StatelessLayer):
    """``y = x W^T + b`` for every row of x, as ``torch.nn.Linear``.

    The input is (..., D) with any number of axes in front, or integers (...), which stand for
    one-hot rows.

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

    Examples
    --------
    >>> import numpy as np
    >>> linear = Linear(3, 2, rng=0)
    >>> linear(np.ones((5, 4, 3))).shape
    (5, 4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.in_features = check_size("Linear", "in_features", in_features)
        self.out_features = check_size("Linear", "out_features", out_features)
        self.bias = check_flag("Linear", "bias", bias)
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        self.parameters = Parameters(shapes, dtype, "Linear")
        uniform(self.parameters, self.in_features, check_rng("Linear", rng))

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is computed too)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        where = Where(self)
        if x.dtype.kind in "iu":
            check_tokens(where, "x", x, self.in_features)
        else:
            expected = (*x.shape[:-1], self.in_features)
            check_array(where, "x", x, self.parameters.dtype, (expected,))

    def _apply(self, x: Array, call: Call) -> tuple[Array, tuple[LinearCache, tuple[int, ...]]]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        row = () if x.dtype.kind in "iu" else (self.in_features,)
        leading = x.shape[: x.ndim - len(row)]
        values = self.parameters.values
        b = values["bias"] if self.bias else np.zeros(self.out_features, self.parameters.dtype)
        rows = x.reshape(*(leading if len(leading) == 2 else two_axes(leading)), *row)
        y, cache = linear_forward(rows, values["weight"].copy(), b)
        return y.reshape(*leading, self.out_features), (cache, leading)

    def _vjp(
        self, cache: tuple[LinearCache, tuple[int, ...]], dy: Array, keep: Keep
    ) -> tuple[Array | None, dict[str, Array]]:
        pair, leading = cache
        axes = leading if len(leading) == 2 else two_axes(leading, keep, Where(self, "backward"))
        dx, dW, db = linear_backward(dy.reshape(*axes, self.out_features), pair, keep)
        gradients = {"weight": dW, "bias": db} if self.bias else {"weight": dW}
        return None if dx is None else dx.reshape(*leading, self.in_features), gradients

    def stepper(self) -> Step:
        """Return a fast function of one timestep over a copy of the weights. See :class:`Layer`."""
        name, W_T = Where(self, "step"), self.parameters.values["weight"].T.copy()
        b = self.parameters.values["bias"].copy() if self.bias else np.zeros(1, W_T.dtype)

        def step(x_t: Array, state: State = None) -> tuple[Array, State]:
            x = to_dtype(x_t, W_T.dtype)
            if x.dtype is not W_T.dtype or x.shape[-1:] != W_T.shape[:1]:
                self.check_input(x)
            if state is not None:
                check_no_state(name, state)
            return affine(x, W_T, b), ()

        return step
