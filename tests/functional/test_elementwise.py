"""The nonlinearities and dropout, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.types import Array
from tests.case import H, normal

T, B = 4, 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_is_the_positive_part(dtype: type) -> None:
    z: Array = np.linspace(-2, 2, 41).astype(dtype)
    h = F.RELU.value(z, np.empty_like(z))
    np.testing.assert_array_equal(h, np.maximum(z, 0), strict=True)
    np.testing.assert_array_equal(F.RELU.slope(h), z > 0)


def test_relu_lets_a_nan_through() -> None:
    h, _ = F.elman_forward(
        np.full((1, 1, 1), np.nan),
        *(np.ones(s) for s in ((1, 1), (1, 1), (1, 1), 1, 1)),
        phi=F.RELU,
    )
    assert np.isnan(h).all()


@pytest.mark.parametrize("p", [0.0, 0.3, 0.75])
def test_dropout_scales_what_stays(p: float) -> None:
    rng = np.random.default_rng(0)
    x, mask = normal(rng, T, B, H), rng.random((T, B, H)) >= p
    y, _ = F.dropout_forward(x, mask, p=p)
    np.testing.assert_allclose(y, np.where(mask, x / (1 - p), 0), rtol=1e-15)
