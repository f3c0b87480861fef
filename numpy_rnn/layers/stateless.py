"""Base of the layers that carry no state, such as Linear and Dropout."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DType, Generator, State
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.validate import (
    Where,
    check_array,
    check_cache_dtype,
    check_call,
    check_keep,
    check_no_state,
    read_options,
    wrong_cache,
)


class Call(NamedTuple):
    """The arguments of an ``apply`` besides the input."""

    lengths: Array | None
    training: bool
    rng: Generator | None
    mask: Array | None = None


class StatelessCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` of a layer without state needs."""

    kind: type
    own: Any  # the layer's own part
    shape: tuple[int, ...]  # of y
    dtype: DType


class StatelessLayer(Layer):
    """Base of the layers that carry no state: they treat every row alike.

    A subclass has ``_apply`` and ``_vjp``, which need not handle states.
    """

    causal = True

    @abstractmethod
    def _apply(self, x: Array, call: Call) -> tuple[Array, Any]:
        """Return the output and what ``_vjp`` needs."""

    @abstractmethod
    def _vjp(self, cache: Any, dy: Array, keep: Keep) -> tuple[Array | None, dict[str, Array]]:
        """Return the gradient of the input, and of each parameter by name."""

    def apply(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
        mask: Array | None = None,
        rng: Generator | None = None,
        training: bool | None = None,
    ) -> tuple[Array, State, StatelessCache]:
        """Compute output and cache. The state is ``()``. See :meth:`Layer.apply`."""
        if state is not None:
            check_no_state(Where(self), state)
        if lengths is not None or reset is not None or mask is not None:
            check_call(Where(self), lengths, reset, mask)
        if training is not None or rng is not None:
            training, rng = read_options(Where(self), training, rng)
        training = self.training if training is None else training
        x = x if type(x) is np.ndarray else self._plain(x)
        y, own = self._apply(x, Call(lengths, training, rng, mask))
        return y, (), StatelessCache(type(self), own, y.shape, y.dtype)

    def vjp(
        self, cache: Any, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Return the gradients of input and parameters. See :meth:`Layer.vjp`."""
        if not isinstance(cache, StatelessCache) or cache.kind is not type(self):
            raise wrong_cache(Where(self, "backward"), cache)
        if self.parameters.values:
            check_cache_dtype(Where(self, "backward"), cache.dtype, self.parameters.dtype)
        if keep:
            check_keep(Where(self, "backward"), keep)
        if dstate is not None:
            check_no_state(Where(self, "backward"), dstate)
        if dy is None and cache.dtype.kind in "iu":  # an output of tokens has no gradient
            return None, (), {}
        dy = np.zeros(cache.shape, cache.dtype) if dy is None else dy
        dy = check_array(Where(self, "backward"), "dy", dy, cache.dtype, (cache.shape,))
        dx, gradients = self._vjp(cache.own, dy, keep)
        return dx, (), gradients


def two_axes(leading: tuple[int, ...], keep: Keep = "", where: object = "") -> tuple[int, int]:
    """Return the axes in front of a row as two: time and batch, or all of them as one batch.

    If they are not two, a gradient cannot `keep` one of them.
    """
    if len(leading) == 2:
        return leading
    if keep:
        raise ValueError(f"{where}: keep is {keep!r}, expected an input of axes T, B and features")
    return 1, math.prod(leading)
