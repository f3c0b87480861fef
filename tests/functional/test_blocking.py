"""A product that is cut into blocks is the product."""

from __future__ import annotations

import platform
import subprocess
import sys
import tracemalloc
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numpy_rnn.functional import blocking as module
from numpy_rnn.functional.blocking import blocked_matmul
from numpy_rnn.functional.general_gru import (
    gru_reset_before_backward,
    gru_reset_before_forward,
)
from numpy_rnn.functional.gru import gru_backward, gru_forward
from numpy_rnn.functional.lstm import lstm_backward, lstm_forward
from numpy_rnn.functional.types import Array
from tests.case import normal
from tests.complex_step import as_tuple

# B, K, N: one block; several; a prime N, which has no blocks; rows and sums cut too; a prime B,
# whose rows cannot be cut; a prime K, whose sum cannot.
SHAPES = [
    (1, 3, 4),
    (0, 3, 4),
    (16, 128, 512),
    (40, 100, 396),
    (30, 256, 1021),
    (64, 1024, 512),
    (37, 1024, 512),
    (64, 521, 512),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_the_product_is_the_product(
    shape: tuple[int, int, int], dtype: type, transposed: bool, times: int
) -> None:
    B, K, N = shape
    rng = np.random.default_rng(0)
    W: Array = normal(rng, N, K).astype(dtype).T if transposed else normal(rng, K, N).astype(dtype)
    out: Array = np.full((B, N), np.nan, dtype)
    multiply = blocked_matmul(W, out, times)
    for _ in range(times):  # nothing of the first product is left in the second
        x: Array = normal(rng, B, K).astype(dtype)
        assert multiply(x) is out
        close = 1e-4 if dtype is np.float32 else 1e-12
        np.testing.assert_allclose(out, x @ W, rtol=close, atol=close * np.sqrt(K))


@given(B=st.integers(0, 8), K=st.integers(1, 8), N=st.integers(1, 64), small=st.integers(1, 2000))
@example(B=1, K=5, N=8, small=20)  # two blocks of half of MIN_COLUMNS
@example(B=1, K=5, N=8, small=40)  # one block, exactly
@example(B=3, K=4, N=14, small=100)  # two would be enough
@example(B=1, K=1, N=64, small=25)  # three do not divide it, four do
@example(B=1, K=2, N=27, small=14)  # four, five, ... eight do not divide it, nine are too narrow
@example(B=8, K=4, N=8, small=255)  # rows are cut, the sum is not
@example(B=2, K=8, N=8, small=127)  # the sum is cut, the rows are not
@example(B=8, K=8, N=16, small=128)  # both
@example(B=7, K=8, N=16, small=128)  # a prime number of rows
@example(B=8, K=7, N=16, small=128)  # and of terms
def test_as_few_blocks_as_stay_small_and_none_narrow(B: int, K: int, N: int, small: int) -> None:
    x, W = np.arange(float(B * K)).reshape(B, K), np.arange(float(K * N)).reshape(K, N)
    out = np.empty((B, N))
    with pytest.MonkeyPatch.context() as patch:
        limits = {
            "MAX_PRODUCT": small,
            "MIN_COLUMNS": 8,
            "MAX_ROWS": 4,
            "MIN_ROWS": 2,
            "MAX_DEPTH": 4,
            "MIN_DEPTH": 2,
        }
        for name, value in limits.items():
            patch.setattr(module, name, value)
        matmul = MagicMock(side_effect=np.matmul)
        patch.setattr(np, "matmul", matmul)
        blocked_matmul(W, out, 2)(x)
    np.testing.assert_array_equal(out, x.dot(W))
    b, k = B, K
    if B * K * min(N, 8) > small:
        b, k = max(d for d in range(1, 5) if B % d == 0), max(d for d in range(1, 5) if K % d == 0)
    widths = [n for n in range(1, N + 1) if N % n == 0 and b * n * k <= small]
    wide = bool(widths) and max(widths) >= 4 and b >= min(B, 2) and k >= min(K, 2)
    want = (b, max(widths), k) if wide else (B, N, K)
    if matmul.called:
        rows, tiles, _ = matmul.call_args.args
        assert (rows.shape[-2], tiles.shape[-1], tiles.shape[-2]) == want
        assert tiles.flags.c_contiguous  # a view of W would be packed at every product
    else:
        assert want == (B, N, K)


@pytest.mark.parametrize("hidden", [512, 521, 541, 543, 2 * 521])
def test_no_size_takes_more_than_a_copy_of_the_matrix_and_a_few_outputs(hidden: int) -> None:
    B, K = 64, hidden
    W, x = np.ones((K, 4 * K), np.float32), np.ones((B, K), np.float32)
    for matrix, rows in ((W, x), (W.T, np.ones((B, 4 * K), np.float32))):
        out = np.empty((B, matrix.shape[1]), np.float32)
        tracemalloc.start()
        blocked_matmul(matrix, out, 2)(rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.1 * W.nbytes + 9 * out.nbytes


def test_one_product_does_not_copy_the_matrix() -> None:
    W, out = np.ones((256, 256)).T, np.empty((1, 256))
    tracemalloc.start()
    blocked_matmul(W, out, 1)(np.ones((1, 256)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < W.nbytes / 2


@pytest.mark.parametrize(
    ("forward", "backward", "gates"),
    [
        (lstm_forward, lstm_backward, 4),
        (gru_forward, gru_backward, 3),
        (gru_reset_before_forward, gru_reset_before_backward, 3),
    ],
)
def test_rows_of_a_batch_large_enough_to_be_cut_are_each_row_alone(
    forward: Any, backward: Any, gates: int
) -> None:
    T, B, D, H = 3, 32, 5, 128
    rng = np.random.default_rng(0)
    states = [normal(rng, B, H) for _ in range(2 if gates == 4 else 1)]
    x, G = normal(rng, T, B, D), gates * H
    weights = normal(rng, G, D), normal(rng, G, H) / 11, normal(rng, G), normal(rng, G)
    out, cache = forward(x, *states, *weights)
    douts = [normal(rng, T, B, H) for _ in states]
    gradients = backward(*douts, cache)
    for b in (0, B - 1):
        row = slice(b, b + 1)
        alone, cache_b = forward(x[:, row], *(s[row] for s in states), *weights)
        for got, want in zip(as_tuple(out), as_tuple(alone), strict=True):
            np.testing.assert_allclose(got[:, row], want, rtol=1e-11, atol=1e-12)
        back = backward(*(d[:, row] for d in douts), cache_b)
        np.testing.assert_allclose(gradients[0][:, row], back[0], rtol=1e-10, atol=1e-11)
        for got, want in zip(
            gradients[1 : 1 + len(states)], back[1 : 1 + len(states)], strict=True
        ):
            np.testing.assert_allclose(got[row], want, rtol=1e-10, atol=1e-11)


PASSES = """
import resource
import numpy as np
from numpy_rnn import LSTM

layer, x = LSTM(32, 64, rng=0, dtype=np.float32), np.ones((64, 32, 32), np.float32)
for number in range(8):
    if number == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    y, _, cache = layer.apply(x)
    layer.vjp(cache, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.posix
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the limit is glibc's")
def test_a_pass_has_no_new_pages() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PASSES], check=True, capture_output=True, text=True
    )
    assert int(found.stdout) < 200  # of 4 kB; 4 passes without the block of 32 MB have 2,000
