"""Chains of layers with a skip connection, an initial state, or a mask made from their input.

They are what models of other programs have around their layers. :class:`Flip` is a layer of theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.arguments import check_flag, check_number
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, State
from numpy_rnn.layers.base import Layer, Step
from numpy_rnn.layers.cut import map_state
from numpy_rnn.layers.sequential import Sequential
from numpy_rnn.layers.stateless import Call, StatelessLayer
from numpy_rnn.layers.streaming import predict_in_chunks
from numpy_rnn.layers.validate import Where, check_bool, wrong_cache
from numpy_rnn.parameters import Parameters


class WrapperCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` needs."""

    mask: Array | None
    cache: Any  # of the chain


class Wrapper(Sequential):
    """Base of the chains below, whose layers are given as to :class:`Sequential`.

    A subclass says what is done before and after the layers.
    """

    def _enter(self, x: Array, state: State, call: dict[str, Any], axes: int) -> Any:  # noqa: ARG002 (for subclasses)
        """Return input, state and call of the layers. A batch of features has `axes` axes."""
        return x, state, call

    def _leave(self, y: Array, x: Array) -> Array:  # noqa: ARG002 (for subclasses)
        """Return the output, made of that of the layers and their input."""
        return y

    def _pull_back(self, dx: Array, dy: Array | None, mask: Array | None) -> Array:  # noqa: ARG002 (for subclasses)
        """Return the gradient of the input, made of that of the layers' input."""
        return dx

    def apply(self, x: Array, state: State = None, **call: Any) -> tuple[Array, State, Any]:
        """Run the layers. See :meth:`Layer.apply`."""
        x, state, call = self._enter(x, state, call, 3)
        y, final, cache = super().apply(x, state, **call)
        return self._leave(y, x), final, WrapperCache(call.get("mask"), cache)

    def vjp(
        self, cache: Any, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Backpropagate through the layers. See :meth:`Layer.vjp`."""
        if not isinstance(cache, WrapperCache):
            raise wrong_cache(f"{self!r}.backward", cache)
        dx, dinitial, gradients = super().vjp(cache.cache, dy, dstate, keep)
        return None if dx is None else self._pull_back(dx, dy, cache.mask), dinitial, gradients

    def predict(self, x: Array, state: State = None, **call: Any) -> Any:
        """Compute the output in evaluation mode. See :meth:`Sequential.predict`."""
        x, state, call = self._enter(x, state, call, 3)
        return super().predict(x, state, **call)

    def step(self, x_t: Array, state: State = None) -> Any:
        """Take one timestep in evaluation mode. See :meth:`Layer.step`."""
        x_t, state, _ = self._enter(x_t, state, {}, 2)
        result = super().step(x_t, state)
        if not self.stateful:
            return self._leave(result, x_t)
        return self._leave(result[0], x_t), result[1]

    def stepper(self) -> Step:
        """Return a fast function of one timestep over a copy of the weights."""
        inner = super().stepper()

        def step(x_t: Array, state: State = None) -> tuple[Array, State]:
            x_t, state, _ = self._enter(x_t, state, {}, 2)
            y_t, state = inner(x_t, state)
            return self._leave(y_t, x_t), state

        return step


class Residual(Wrapper):
    """``y = layers(x) + x[..., :K]``, where K is the size of the layers' output.

    >>> import numpy as np
    >>> from numpy_rnn import Linear
    >>> model = Residual(Linear(2, 1, bias=False, rng=0))
    >>> model.parameters.data[...] = 10, 100
    >>> model.predict(np.array([[3.0, 1.0]]))
    array([[133.]])
    """

    def predict(self, x: Array, state: State = None, **call: Any) -> Any:
        """Compute the output in evaluation mode. See :meth:`Sequential.predict`."""
        if self.causal and self.stateful and call.get("mask") is call.get("reset") is None:
            return predict_in_chunks(self, x, state, call.get("lengths"), bool(self.batch_first))
        return Layer.predict(self, x, state, **call)

    def _leave(self, y: Array, x: Array) -> Array:
        total: Array = y + np.asarray(x)[..., : y.shape[-1]].astype(y.dtype, copy=False)
        return total

    def _pull_back(self, dx: Array, dy: Array | None, mask: Array | None) -> Array:  # noqa: ARG002 (the input is not masked)
        if dy is not None:
            dx = dx.copy()
            dx[..., : dy.shape[-1]] += dy
        return dx


class InitialState(Wrapper):
    """A chain of layers whose state before the first step is `initial`, not zero.

    Parameters
    ----------
    initial : state
        The initial state of one sequence, as nested sequences: like the state of the layers,
        without its batch axis. It is not trained.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> InitialState(RNN(1, 2, rng=0), initial=[[[1.0, 2.0]]]).zero_state(1)
    (array([[[1., 2.]]]),)
    """

    def __init__(self, *layers: Layer, initial: Any, **named: Any) -> None:
        super().__init__(*layers, **named)
        zeros = super().zero_state(1)
        self.initial = map_state(lambda leaf, given: _to_lists(leaf[:, 0], given), zeros, initial)

    def zero_state(self, B: int) -> State:
        """Return the initial state of a batch of B sequences."""
        zeros = super().zero_state(B)
        return map_state(
            lambda leaf, given: leaf + np.array(given, leaf.dtype)[:, None], zeros, self.initial
        )

    def _enter(self, x: Array, state: State, call: dict[str, Any], axes: int) -> Any:
        x = self._plain(x)
        if state is None:
            depth = x.ndim + (x.dtype.kind in "iu")
            batched = depth >= axes
            axis = 1 if depth == 3 and not self.batch_first else 0
            state = self.zero_state(x.shape[axis] if batched else 1)
            state = state if batched else map_state(lambda leaf, _: leaf[:, 0], state, self.initial)
        return x, state, call


def _to_lists(like: Array, values: Any) -> Any:
    """Return values of the shape of `like` as lists, which a model file can hold."""
    array = np.asarray(values, like.dtype)
    if array.shape != like.shape:
        raise ValueError(f"InitialState: initial has shape {array.shape}, expected {like.shape}")
    return array.tolist()


class Masked(Wrapper):
    """A chain of layers with a mask made from its input, as Keras's Masking and ``mask_zero``.

    A step is passed over where its token, or each of its features, equals `mask_value`. The
    layers read zeros there.

    Parameters
    ----------
    mask_value : float
        The value to pass over.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import RNN
    >>> model = Masked(RNN(1, 2, batch_first=True, rng=0), mask_value=0)
    >>> y, state = model.predict(np.array([[[1.0], [0.0]]]))
    >>> np.array_equal(y[0, 0], y[0, 1])
    True
    """

    _shown = ("mask_value",)

    def __init__(self, *layers: Layer, mask_value: float, **named: Any) -> None:
        super().__init__(*layers, **named)
        check_number("Masked", "mask_value", mask_value)
        self.mask_value = mask_value
        self.causal = False  # the first output of a chunk may repeat the last of the one before

    def _enter(self, x: Array, state: State, call: dict[str, Any], axes: int) -> Any:
        x = np.asarray(x)
        mask = x != self.mask_value
        if x.dtype.kind not in "iu":
            mask = mask.any(axis=-1)
            x = np.where(mask[..., None], x, x.dtype.type(0))
        if axes == 2 and not mask.all():
            raise ValueError(f"{self!r}.step: x_t is masked, expected steps that are not")
        given = call.get("mask")
        if given is not None:
            mask = mask & check_bool(Where(self), "mask", given, mask.shape)
        return x, state, call | {"mask": mask}

    def _pull_back(self, dx: Array, dy: Array | None, mask: Any) -> Array:  # noqa: ARG002 (for other wrappers)
        gradient: Array = dx * mask[..., None]
        return gradient


class Flip(StatelessLayer):
    """Reverse the order of the steps, as after a layer with Keras's ``go_backwards``.

    >>> import numpy as np
    >>> Flip(batch_first=True)(np.arange(3.0).reshape(1, 3, 1)).ravel()
    array([2., 1., 0.])
    """

    causal = False

    def __init__(self, batch_first: bool = False) -> None:
        self.batch_first = check_flag("Flip", "batch_first", batch_first)
        self.parameters = Parameters({}, np.float64, "Flip")

    def _apply(self, x: Array, call: Call) -> tuple[Array, None]:  # noqa: ARG002 (every row is treated alike)
        return np.flip(x, axis=int(self.batch_first)).copy(), None

    def _vjp(self, cache: None, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (there is no sum over time)
        return np.flip(dy, axis=int(self.batch_first)).copy(), {}
