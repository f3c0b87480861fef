"""Losses as objects that remember what ``backward`` needs, with PyTorch's names."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.cross_entropy import (
    CrossEntropyCache,
    cross_entropy_backward,
    cross_entropy_forward,
)
from numpy_rnn.functional.mse import MSECache, mse_backward, mse_forward
from numpy_rnn.functional.reduction import Reduction, reduction_scale
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import forward_first
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_float,
    check_loss_gradient,
    check_shape,
    check_symbols,
)


class MSELoss:
    """Mean squared error, as ``torch.nn.MSELoss``.

    Parameters
    ----------
    reduction : {"mean", "sum", "sum_over_time", "none"}
        PyTorch's three, and the mean over everything but time, summed over time: what a
        loop does that adds up the loss of each step.

    Raises
    ------
    ValueError
        If `reduction` is none of the four.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        reduction_scale(reduction, counted=1, per_step=1)  # raises if it is none of the four
        self.reduction = reduction
        self._cache: MSECache | None = None
        self._shape: tuple[int, ...] = ()  # of the loss

    def forward(self, y: Array, target: Array) -> Array:
        """Compare an output with its target.

        Parameters
        ----------
        y, target : arrays of one shape and dtype
            Axis 0 is time for "sum_over_time".

        Returns
        -------
        loss : scalar, or an array like y for "none"

        Raises
        ------
        TypeError, ValueError
            If the target is not like y, or one of them is not finite.
        """
        self._cache = None
        y = check_float("MSELoss.forward", "y", y)
        if not y.ndim:
            raise ValueError("MSELoss.forward: y is a single number, expected an array")
        target = check_array("MSELoss.forward", "target", target, y.dtype, (y.shape,))
        loss, self._cache = mse_forward(y, target, reduction=self.reduction)
        self._shape = loss.shape
        return loss

    def backward(self, dloss: Array | float = 1.0) -> Array:
        """Return the gradient of y.

        Parameters
        ----------
        dloss : scalar, or an array like y for "none"
            Gradient of the loss.

        Returns
        -------
        dy : array like y

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        """
        if self._cache is None:
            raise forward_first("MSELoss")
        dtype = self._cache.difference.dtype
        dloss = check_loss_gradient("MSELoss.backward", dloss, self._shape, dtype)
        return mse_backward(dloss, self._cache)[0]


class CrossEntropyLoss:
    """Softmax cross-entropy from integer targets, as ``torch.nn.CrossEntropyLoss``.

    Classes are the last axis, as everywhere in this library (PyTorch has them second).

    Parameters
    ----------
    ignore_index : int
        A target of this value does not count.
    reduction : {"mean", "sum", "sum_over_time", "none"}
        PyTorch's three, and the mean over the batch, summed over time.

    Raises
    ------
    ValueError
        If `reduction` is none of the four.
    """

    def __init__(self, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        reduction_scale(reduction, counted=1, per_step=1)  # raises if it is none of the four
        self.ignore_index = ignore_index
        self.reduction = reduction
        self._cache: CrossEntropyCache | None = None
        self._shape: tuple[int, ...] = ()  # of the logits

    def forward(self, y: Array, targets: Array, mask: Array | None = None) -> Array:
        """Compare logits with the right classes.

        Parameters
        ----------
        y : (T, B, V) or (N, V) array
            Logits.
        targets : (T, B) or (N,) array of int
            The right classes, 0 to V - 1, or `ignore_index`.
        mask : (T, B) or (N,) array of bool, optional
            False where a step does not count.

        Returns
        -------
        loss : scalar, or an array like targets for "none"
            In nats.

        Raises
        ------
        TypeError, ValueError
            If a dtype, a shape or a class is not what was expected.
        """
        self._cache = None
        where = "CrossEntropyLoss.forward"
        y = check_float(where, "y", y)
        check_shape(where, "y", y, (("T", "B", "V"), ("N", "V")))
        if y.shape[-1] == 0:
            raise ValueError(f"{where}: y has shape {y.shape}, expected at least one class")
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu":
            raise TypeError(f"{where}: targets has dtype {targets.dtype}, expected integers")
        check_shape(where, "targets", targets, (y.shape[:-1],))
        counted = np.where(targets == self.ignore_index, 0, targets)
        check_symbols(where, "targets", counted, y.shape[-1])
        if mask is not None:
            mask = check_bool(where, "mask", mask, targets.shape)
        self._shape = y.shape
        steps = (*targets.shape, 1)[:2]  # (N,) becomes (N, 1)
        loss, self._cache = cross_entropy_forward(
            y.reshape(*steps, y.shape[-1]),
            targets.reshape(steps),
            None if mask is None else mask.reshape(steps),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )
        return loss.reshape(targets.shape) if self.reduction == "none" else loss

    def backward(self, dloss: Array | float = 1.0) -> Array:
        """Return the gradient of the logits.

        Parameters
        ----------
        dloss : scalar, or an array like targets for "none"
            Gradient of the loss.

        Returns
        -------
        dy : array like y

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        """
        if self._cache is None:
            raise forward_first("CrossEntropyLoss")
        shape = self._shape[:-1] if self.reduction == "none" else ()
        dloss = check_loss_gradient("CrossEntropyLoss.backward", dloss, shape, self._cache.p.dtype)
        if shape:
            dloss = dloss.reshape(self._cache.counts.shape)
        return cross_entropy_backward(dloss, self._cache)[0].reshape(self._shape)
