"""RNN: the Elman cell as a layer."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.activations import RELU, TANH
from numpy_rnn.functional.elman import ElmanCache, elman_backward, elman_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import RecurrentLayer, forward_first
from numpy_rnn.layers.layout import Layout
from numpy_rnn.layers.validate import check_array, check_shape, check_size, check_symbols
from numpy_rnn.parameters import Parameters

NONLINEARITIES = {"tanh": TANH, "relu": RELU}


class RNN(RecurrentLayer):
    """``h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``, as ``torch.nn.RNN``.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    nonlinearity : {"tanh", "relu"}
        phi.
    bias : bool
        Whether there are b_ih and b_hh.
    batch_first : bool
        Sequences are (B, T, D) instead of (T, B, D). States are (1, B, H) in either case.
    rng : numpy.random.Generator, int or None
        For the initial weights: U(-1/sqrt(H), 1/sqrt(H)).
    dtype : dtype
        float64 (default) or float32.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1, or the nonlinearity or the dtype is another one.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.input_size = D = check_size("RNN", "input_size", input_size)
        self.hidden_size = H = check_size("RNN", "hidden_size", hidden_size)
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"RNN: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        self._name = f"RNN({self.input_size}, {self.hidden_size})"
        self.bias = bias
        self.batch_first = batch_first
        shapes: dict[str, tuple[int, ...]] = {"weight_ih_l0": (H, D), "weight_hh_l0": (H, H)}
        if bias:
            shapes |= {"bias_ih_l0": (H,), "bias_hh_l0": (H,)}
        self.parameters = Parameters(shapes, dtype)
        uniform(self.parameters, H, rng)
        self._cache: tuple[ElmanCache, Layout] | None = None

    def __repr__(self) -> str:
        return self._name

    def forward(self, x: Array, state: Array | None = None) -> tuple[Array, Array]:
        """Run over a sequence.

        Parameters
        ----------
        x : (T, B, D) or (T, D) array, or (T, B) or (T,) array of int
            A batch of sequences or one; integers stand for one-hot rows.
        state : (1, B, H) or (1, H) array, optional
            State before the first step; zeros if left out.

        Returns
        -------
        y : (T, B, H) or (T, H) array
            The state after every step. Read-only.
        h_n : (1, B, H) or (1, H) array
            The state after the last step.

        Raises
        ------
        TypeError, ValueError
            If the dtype, the shape or a number of an argument is not what the layer takes.
        """
        where = self._name + ".forward"
        H, dtype = self.hidden_size, self.parameters.dtype
        x, layout = self._check_input(where, x)
        B = x.shape[1]
        if state is None:
            h0 = np.zeros((B, H), dtype)
        else:
            expected = (1, B, H) if layout.batched else (1, H)
            h0 = check_array(where, "state", state, dtype, (expected,)).reshape(B, H)
        values = self.parameters.values
        no_bias = None if self.bias else np.zeros(H, dtype)
        h, cache = elman_forward(
            x,
            h0,
            values["weight_ih_l0"],
            values["weight_hh_l0"],
            values["bias_ih_l0"] if no_bias is None else no_bias,
            values["bias_hh_l0"] if no_bias is None else no_bias,
            phi=NONLINEARITIES[self.nonlinearity],
        )
        self._cache = cache, layout
        h_n = cache.h[-1:]  # of the T + 1 rows, so that T = 0 gives h0 back
        return layout.from_time_major(h), h_n.copy() if layout.batched else h_n[:, 0].copy()

    def backward(self, dy: Array | None, dstate: Array | None = None) -> tuple[Array | None, Array]:
        """Backpropagate through time: add to the parameters' gradients.

        Parameters
        ----------
        dy : array like y, or None
            Gradient of the state after every step; None is zero.
        dstate : array like h_n, optional
            Gradient of the final state; None is zero.

        Returns
        -------
        dx : array like x, or None for an integer x
            Gradient of the input.
        dh0 : array like h_n
            Gradient of the initial state.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        TypeError, ValueError
            If a gradient is not like the output it belongs to.
        """
        if self._cache is None:
            raise forward_first(self._name)
        where, dtype = self._name + ".backward", self.parameters.dtype
        cache, layout = self._cache
        T, (B, H) = len(cache.h) - 1, cache.h.shape[1:]
        state_shape = (1, B, H) if layout.batched else (1, H)
        dh: Array | None = None
        if dy is not None:
            dy = check_array(where, "dy", dy, dtype, (layout.shape(T, B, H),))
            dh = layout.to_time_major(dy)
        dh_n: Array | float = 0.0
        if dstate is not None:
            dh_n = check_array(where, "dstate", dstate, dtype, (state_shape,)).reshape(B, H)
            if T:  # the final state is the last row of the trajectory
                dh = np.zeros((T, B, H), dtype) if dh is None else dh.copy()
                dh[-1] += dh_n
        dx, dh0, *gradients = elman_backward(dh, cache)
        if not T:  # ... which without a step is the initial state itself
            dh0 += dh_n
        # The biases come last: without them there are only two names to add to.
        for name, gradient in zip(self.parameters.grads, gradients, strict=False):
            self.parameters.grads[name] += gradient
        return (
            None if dx is None else layout.from_time_major(dx),
            dh0.reshape(state_shape),
        )

    def _check_input(self, where: str, x: Array) -> tuple[Array, Layout]:
        x = np.asarray(x)
        D = self.input_size
        sequence = ("B", "T") if self.batch_first else ("T", "B")
        if x.dtype.kind in "iu":
            check_shape(where, "x", x, (sequence, ("T",)))
            check_symbols(where, "x", x, D)
            layout = Layout(x.ndim == 2, self.batch_first)
        else:
            check_array(where, "x", x, self.parameters.dtype, ((*sequence, D), ("T", D)))
            layout = Layout(x.ndim == 3, self.batch_first)
        return layout.to_time_major(x), layout
