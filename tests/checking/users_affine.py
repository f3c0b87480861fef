"""A layer that keeps its parameters where each test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking import check_gradients
from numpy_rnn.functional.types import Array
from tests.checking.verdicts import ONE


class Pair(NamedTuple):
    W: Any
    b: Any


class Affine:
    """y = x W + b, which keeps its parameters where each test says."""

    factor = 1.0
    value: Callable[[], tuple[Array, Array]]
    keep: Callable[[Array, Array], None]

    def forward(self, x: Array) -> Array:
        self.x = x
        W, b = self.value()
        return np.asarray(x @ W + b)

    def backward(self, dy: Array) -> Any:
        self.keep(self.factor * self.x.T @ dy, dy.sum(axis=0))
        return dy @ self.value()[0].T


def wrong_rows(model: Any, *shapes: str) -> list[str]:
    """The rows that are wrong where dW is twice as large as it should be."""
    model.factor = 2.0
    report = check_gradients(model, *shapes, regimes=ONE, locate=False)
    assert len(report.rows) == 3, str(report)
    return [row.name for row in report.rows if not row.right]
