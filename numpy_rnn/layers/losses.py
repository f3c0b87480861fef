"""Losses as objects, with PyTorch's names: the same pure core and skin as a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, get_args

import numpy as np

from numpy_rnn.arguments import as_array, check_choice, check_size
from numpy_rnn.functional.contract import token_ids
from numpy_rnn.functional.losses import (
    CrossEntropyCache,
    MSECache,
    Reduction,
    cross_entropy_backward,
    cross_entropy_forward,
    mse_backward,
    mse_forward,
)
from numpy_rnn.functional.types import Array, DType
from numpy_rnn.layers.remember import Remembers
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_float,
    check_loss_gradient,
    check_shape,
    check_tokens,
    wrong_cache,
)


class LossCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` needs."""

    pair: Any  # cache of the pair of functions
    shape: tuple[int, ...]  # of y
    loss_shape: tuple[int, ...]
    dtype: DType


class Loss(Remembers, ABC):
    """Base of the losses.

    Parameters
    ----------
    reduction : {"mean", "sum", "sum_over_time", "none"}
        PyTorch's three, and the sum of the errors that count divided by the number of errors in one
        timestep, counted or not: summed over time, a mean over the rest.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn import MSELoss
    >>> criterion = MSELoss("sum")
    >>> loss, cache = criterion.apply(np.array([[1.0, 5.0]]), np.array([[0.0, 2.0]]))
    >>> criterion.vjp(cache)
    array([[2., 6.]])
    """

    _pair_cache: ClassVar[type]  # of the pair of functions

    def __init__(self, reduction: Reduction = "mean") -> None:
        check_choice(type(self).__name__, "reduction", reduction, get_args(Reduction))
        self.reduction: Reduction = reduction

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"

    @abstractmethod
    def apply(self, y: Array, target: Array, mask: Array | None = None) -> tuple[Array, LossCache]:
        """Return loss and cache. Store nothing, change nothing.

        Parameters
        ----------
        y, target : arrays
            Output of a model, and what it should be.
        mask : array of bool, optional
            False where a step does not count, such as padding.

        Returns
        -------
        loss, cache : scalar, or an array for "none", and what :meth:`vjp` takes
        """

    def vjp(self, cache: Any, dloss: Array | float = 1.0) -> Array:
        """Return the gradient of y, for a cache of :meth:`apply`. Store nothing, change nothing.

        `dloss` is the gradient of the loss: a scalar, or an array like the loss for "none".
        """
        where = f"{type(self).__name__}.backward"
        if not isinstance(cache, LossCache) or not isinstance(cache.pair, self._pair_cache):
            raise wrong_cache(where, getattr(cache, "pair", cache))
        pair, shape, loss_shape, dtype = cache
        return self._vjp(pair, check_loss_gradient(where, dloss, loss_shape, dtype)).reshape(shape)

    @abstractmethod
    def _vjp(self, pair: Any, dloss: Array) -> Array:
        """Return the gradient of y for the cache of the pair of functions."""

    @abstractmethod
    def count(self, target: Array, mask: Array | None = None) -> int:
        """Return the number of errors that a mean divides by."""

    def predict(self, y: Array, target: Array, mask: Array | None = None) -> Array:
        """Return the loss alone, and keep nothing."""
        return self.apply(y, target, mask)[0]

    def __call__(self, y: Array, target: Array, mask: Array | None = None) -> Array:
        """Call :meth:`forward`."""
        return self.forward(y, target, mask)

    def forward(self, y: Array, target: Array, mask: Array | None = None) -> Array:
        """Return the loss, and remember what :meth:`backward` needs. Arguments as :meth:`apply`."""
        loss, cache = self.apply(y, target, mask)
        self._memory.remember(cache)
        return loss

    def backward(self, dloss: Array | float = 1.0) -> Array:
        """Return the gradient of y for the last forward pass; see :meth:`Layer.backward`."""
        dy: Array = self._memory.use_up(self, self.vjp, dloss)
        return dy


class MSELoss(Loss):
    """Mean squared error, as ``torch.nn.MSELoss``. `reduction` is that of :class:`Loss`.

    Output and target have one shape and dtype. Their axis 0 is time for "sum_over_time". A mask has
    all axes but the last.

    Examples
    --------
    >>> import numpy as np
    >>> criterion = MSELoss()
    >>> float(criterion(np.array([[1.0, 5.0]]), np.array([[0.0, 2.0]])))
    5.0
    >>> criterion.backward()
    array([[1., 3.]])
    """

    _pair_cache = MSECache

    def apply(self, y: Array, target: Array, mask: Array | None = None) -> tuple[Array, LossCache]:
        """Return loss and cache. See :meth:`Loss.apply`."""
        where = "MSELoss.forward"
        y = check_float(where, "y", y)
        if not y.ndim:
            raise ValueError(f"{where}: y is a single number, expected an array")
        target = target if type(target) is np.ndarray else as_array(where, "target", target)
        check_shape(where, "target", target, (y.shape,))  # before the mask would broadcast it
        if mask is not None:
            mask = check_bool(where, "mask", mask, y.shape[:-1])
            target = np.where(mask[..., None], target, 0).astype(target.dtype)
        target = check_array(where, "target", target, y.dtype, (y.shape,))
        loss, pair = mse_forward(y, target, mask=mask, reduction=self.reduction)
        return loss, LossCache(pair, y.shape, loss.shape, y.dtype)

    def _vjp(self, pair: MSECache, dloss: Array) -> Array:
        return mse_backward(dloss, pair)[0]

    def count(self, target: Array, mask: Array | None = None) -> int:
        """Return the number of elements that count."""
        target = as_array("MSELoss.count", "target", target)
        check_shape("MSELoss.count", "target", target, (target.shape or ("any",),))
        if mask is None:
            return int(target.size)
        mask = check_bool("MSELoss.count", "mask", mask, target.shape[:-1])
        return int(np.count_nonzero(mask)) * int(target.shape[-1])


class CrossEntropyLoss(Loss):
    """Softmax cross-entropy for integer targets, as ``torch.nn.CrossEntropyLoss``.

    The output, (T, B, V) or (N, V), holds logits. Classes are the last axis, as everywhere in this
    library (PyTorch has them second). The target, (T, B) or (N,), holds classes, 0 to V - 1, or
    `ignore_index`. A mask has the target's shape. The loss is in nats.

    Parameters
    ----------
    reduction : {"mean", "sum", "sum_over_time", "none"}
        See :class:`Loss`.
    ignore_index : int
        Target of a step that does not count.

    Examples
    --------
    >>> import numpy as np
    >>> criterion = CrossEntropyLoss()
    >>> float(criterion(np.zeros((1, 2)), np.array([0])))  # ln 2 nats
    0.6931471805599453
    >>> criterion.backward()
    array([[-0.5,  0.5]])
    """

    _pair_cache = CrossEntropyCache

    def __init__(self, reduction: Reduction = "mean", *, ignore_index: int = -100) -> None:
        super().__init__(reduction)
        self.ignore_index = check_size(
            "CrossEntropyLoss", "ignore_index", ignore_index, -(2**63), 2**63 - 1
        )

    def __repr__(self) -> str:
        extra = "" if self.ignore_index == -100 else f", ignore_index={self.ignore_index}"
        return f"CrossEntropyLoss(reduction={self.reduction!r}{extra})"

    def apply(self, y: Array, target: Array, mask: Array | None = None) -> tuple[Array, LossCache]:
        """Return loss and cache. See :meth:`Loss.apply`."""
        where = "CrossEntropyLoss.forward"
        y = check_float(where, "y", y)
        check_shape(where, "y", y, (("T", "B", "V"), ("N", "V")))
        if y.shape[-1] == 0:
            raise ValueError(f"{where}: y has shape {y.shape}, expected at least one class")
        target = _classes(where, target)
        check_shape(where, "target", target, (y.shape[:-1],))
        counts = target != self.ignore_index
        if mask is not None:
            counts &= check_bool(where, "mask", mask, target.shape)
        check_tokens(where, "target", np.where(counts, target, 0), y.shape[-1])
        steps = (*target.shape, 1)[:2]  # (N,) becomes (N, 1)
        loss, pair = cross_entropy_forward(
            y.reshape(*steps, y.shape[-1]),
            target.reshape(steps),
            counts.reshape(steps),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )
        loss = loss.reshape(target.shape) if self.reduction == "none" else loss
        return loss, LossCache(pair, y.shape, loss.shape, y.dtype)

    def _vjp(self, pair: CrossEntropyCache, dloss: Array) -> Array:
        dloss = dloss.reshape(pair.counts.shape) if dloss.ndim else dloss
        return cross_entropy_backward(dloss, pair)[0]

    def count(self, target: Array, mask: Array | None = None) -> int:
        """Return the number of steps that count."""
        counts = _classes("CrossEntropyLoss.count", target) != self.ignore_index
        if mask is not None:
            counts = counts & check_bool("CrossEntropyLoss.count", "mask", mask, counts.shape)
        return int(np.count_nonzero(counts))


def _classes(where: str, target: Array) -> Array:
    """Return a target as class numbers, int64."""
    target = as_array(where, "target", target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{where}: target has dtype {target.dtype}, expected integers, the classes")
    return token_ids(target)
