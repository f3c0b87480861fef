"""One tanh for all gates gives the sigmoid of some blocks and the tanh of the others."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn.functional.sigmoid_by_tanh import prescale, rescale
from numpy_rnn.functional.types import Array
from tests.case import normal

B, H, SIGMOIDS = 3, 4, (True, False, True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_sigmoid_and_tanh_by_blocks(dtype: type) -> None:
    z: Array = normal(np.random.default_rng(0), B, 3 * H, scale=3.0).astype(dtype)
    scaled = prescale(z.T, SIGMOIDS).T
    factor, offset = rescale(B, H, SIGMOIDS, np.dtype(dtype))
    gates = np.tanh(scaled) * factor + offset
    assert scaled.dtype == factor.dtype == offset.dtype == gates.dtype == dtype
    sigmoid = np.repeat(SIGMOIDS, H)
    close = 1e-6 if dtype is np.float32 else 1e-14
    np.testing.assert_allclose(gates[:, sigmoid], 1 / (1 + np.exp(-z[:, sigmoid])), close, close)
    np.testing.assert_array_equal(gates[:, ~sigmoid], np.tanh(z[:, ~sigmoid]))


def test_the_factor_rounds_nothing() -> None:
    w = normal(np.random.default_rng(0), 3 * H, 5)
    scaled = prescale(w, SIGMOIDS)
    np.testing.assert_array_equal(scaled[:H] * 2, w[:H])
    np.testing.assert_array_equal(scaled[H : 2 * H], w[H : 2 * H])
    assert not np.shares_memory(scaled, w)
