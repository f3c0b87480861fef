"""The scan equals the loop for every length, width and decay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.blocking import CHUNK
from numpy_rnn.functional.scan import SHORT, WIDE
from numpy_rnn.functional.types import Array
from tests.case import Rng, normal


def by_loop(a: Array, b: Array, h0: Array) -> Array:
    h = np.empty((len(b) + 1, *h0.shape), np.result_type(a, b, h0))
    h[0] = h0
    for t in range(len(b)):
        h[t + 1] = a[t] * h[t] + b[t]
    return h[1:]


def backward_by_loop(dh: Array, a: Array, b: Array, h0: Array) -> tuple[Array, Array, Array]:
    h = np.concatenate([h0[None], by_loop(a, b, h0)])
    e = dh.copy()
    for t in reversed(range(len(b) - 1)):
        e[t] += a[t + 1] * e[t + 1]
    return e * h[:-1], e, a[0] * e[0]


# The share of a state that is left after a step, from nothing to all of it.
DECAYS: dict[str, Any] = {
    "0": lambda _, *shape: np.zeros(shape),
    "1e-300": lambda _, *shape: np.full(shape, 1e-300),
    "1e-5": lambda _, *shape: np.full(shape, 1e-5),
    "1 - 1e-16": lambda _, *shape: np.full(shape, np.nextafter(1, 0)),
    "1": lambda _, *shape: np.ones(shape),
    "-1": lambda _, *shape: np.full(shape, -1.0),
    "between 0 and 1": lambda rng, *shape: rng.random(shape),
    "near 1": lambda rng, *shape: 1 - 1e-4 * rng.random(shape),
    "0 or 1": lambda rng, *shape: rng.integers(0, 2, shape).astype(float),
    "1 and -1 in turn": lambda _, *shape: (
        np.cos(np.pi * np.arange(shape[0]))[:, None, None] * np.ones(shape)
    ),
    "5e-324": lambda _, *shape: np.full(shape, 5e-324),
    "5e-324 or 1": lambda rng, *shape: rng.choice([5e-324, 1.0], shape),
    "0, 1e-300 or 1": lambda rng, *shape: rng.choice([0.0, 1e-300, 1.0], shape),
    "one that does not change": lambda rng, *shape: np.broadcast_to(rng.random(shape[1:]), shape),
}
# Around a change of method: short, two steps a row, wide, several chunks.
LENGTHS = [0, 1, 2, SHORT, SHORT + 1, 2 * SHORT + 1, 97, 1000, 10_000]


def check(rng: Rng, a: Array, width: int) -> None:
    T = len(a)
    b, h0, dh = normal(rng, T, 1, width), normal(rng, 1, width), normal(rng, T, 1, width)
    h, cache = F.scan_forward(a, b, h0)
    want = by_loop(a, b, h0)
    assert np.abs(h - want).max(initial=0) <= 1e-10
    gradients = F.scan_backward(dh, cache)
    if T:
        for got, expected in zip(gradients, backward_by_loop(dh, a, b, h0), strict=True):
            size = max(1.0, np.abs(expected).max())  # da is a product of two sums over time
            assert np.abs(got - expected).max() <= 1e-10 * size


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("width", [1, 5])
def test_it_is_the_loop_in_every_regime(decay: str, T: int, width: int) -> None:
    rng = np.random.default_rng(0)
    check(rng, DECAYS[decay](rng, T, 1, width), width)


def test_it_is_the_loop_where_complex_states_turn_and_hardly_shrink() -> None:
    rng = np.random.default_rng(5)
    a = (1 - 1e-12) * np.exp(1j * rng.uniform(-np.pi, np.pi, (10_000, 1, 3)))
    b, h0, dh = normal(rng, 10_000, 1, 3), normal(rng, 1, 3), normal(rng, 10_000, 1, 3) + 0j
    h, cache = F.scan_forward(a, b, h0)
    want = by_loop(a, b, h0)
    assert np.abs(h - want).max() <= 1e-10
    pairs = zip(F.scan_backward(dh, cache), backward_by_loop(dh, a, b, h0), strict=True)
    for got, expected in pairs:
        assert np.abs(got - expected).max() <= 1e-10 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("width", [WIDE // 8 + n for n in (-1, 0, 1)])  # float64
def test_it_is_the_loop_on_both_sides_of_wide(width: int) -> None:
    rng = np.random.default_rng(1)
    T = 2 * (CHUNK // width) + 3  # three chunks
    check(rng, rng.random((T, 1, width)), width)


@given(T=st.integers(0, 300), width=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_it_is_the_loop_for_any_length(T: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(rng, rng.uniform(-1, 1, (T, 1, width)), width)


@pytest.mark.parametrize("decay", DECAYS)
def test_nothing_overflows_or_warns_in_float32(decay: str) -> None:
    rng = np.random.default_rng(2)
    a = DECAYS[decay](rng, 2000, 2, 3).astype(np.float32)
    b = normal(rng, 2000, 2, 3).astype(np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        h, cache = F.scan_forward(a, b, np.ones((2, 3), np.float32))
        gradients = F.scan_backward(np.ones_like(h), cache)
    for array in (h, *gradients):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_a_state_reaches_the_end_of_ten_thousand_steps_unchanged() -> None:
    h, cache = F.scan_forward(np.ones((10_000, 1, 3)), np.zeros((10_000, 1, 3)), np.full((1, 3), 7))
    assert (h == 7).all()
    dh = np.zeros_like(h)
    dh[-1] = 1
    _, db, dh0 = F.scan_backward(dh, cache)
    assert (db == 1).all()
    assert (dh0 == 1).all()


def mingru_by_loop(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> Array:
    H, h, made = h0.shape[1], h0, []
    for x_t in x:
        a = x_t @ W_ih.T + b_ih
        z = 1 / (1 + np.exp(-a[:, :H]))
        h = (1 - z) * h + z * a[:, H:]
        made.append(h)
    return np.array(made)


def lru_by_loop(x: Array, h0: Array, W_ih: Array, nu: Array, theta: Array, gamma: Array) -> Array:
    H, made = len(nu), []
    eigenvalue = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    B = W_ih[:H] + 1j * W_ih[H:]
    h = h0[:, :H] + 1j * h0[:, H:]
    for x_t in x:
        h = eigenvalue * h + np.exp(gamma) * (x_t @ B.T)
        made.append(np.concatenate([h.real, h.imag], axis=1))
    return np.array(made)


@pytest.mark.parametrize("T", [1, 50, 10_000])
def test_the_cells_are_what_their_papers_say(T: int) -> None:
    rng = np.random.default_rng(3)
    x, D, H = normal(rng, T, 2, 3), 3, 4
    weights = normal(rng, 2 * H, D), normal(rng, 2 * H)
    h0 = normal(rng, 2, H)
    h, _ = F.mingru_forward(x, h0, *weights)
    np.testing.assert_allclose(h, mingru_by_loop(x, h0, *weights), rtol=0, atol=1e-11)
    # 1e-7 lost in a step, a turn of up to 3 radians: what is left after 10,000 steps is 0.999.
    logarithms = np.full(H, -16.0), np.log(np.linspace(0.01, 3, H)), normal(rng, H)
    h0 = normal(rng, 2, 2 * H)
    h, _ = F.lru_forward(x, h0, weights[0], *logarithms)
    np.testing.assert_allclose(
        h, lru_by_loop(x, h0, weights[0], *logarithms), rtol=0, atol=1e-10 * max(1, np.abs(h).max())
    )


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_a_saturated_mingru_keeps_or_replaces_exactly(scale: float) -> None:
    W = np.array([[scale], [1.0]])  # a large x opens the gate, a small one shuts it
    x = np.array([3.0, -1.0, -1.0, 5.0, -1.0])[:, None, None]
    h, cache = F.mingru_forward(x, np.full((1, 1), 9.0), W, np.zeros(2))
    np.testing.assert_allclose(h.ravel(), [3, 3, 3, 5, 5], rtol=1e-12)
    assert all(
        np.isfinite(g).all() for g in F.mingru_backward(np.ones_like(h), cache) if g is not None
    )


def test_an_lru_at_its_limits() -> None:
    x, W = np.zeros((1000, 1, 1)), np.ones((2, 1))
    h0 = np.array([[1.0, 0.0]])
    angle = np.array([np.log(0.01)])
    for nu, left in ((-np.inf, 1.0), (10.0, 0.0)):  # r = 1 and r = 0
        h, cache = F.lru_forward(x, h0, W, np.array([nu]), angle, np.zeros(1))
        np.testing.assert_allclose(h[-1], [[left * np.cos(10), left * np.sin(10)]], atol=1e-13)
        gradients = F.lru_backward(np.ones_like(h), cache)
        assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_an_indrnn_is_an_elman_cell_with_a_diagonal_matrix() -> None:
    rng = np.random.default_rng(4)
    x, h0, W, w, b = (normal(rng, *s) for s in ((9, 2, 3), (2, 4), (4, 3), (4,), (4,)))
    for phi in (F.RELU, F.TANH):
        h, cache = F.indrnn_forward(x, h0, W, w, b, phi=phi)
        want, elman = F.elman_forward(x, h0, W, np.diag(w), b, np.zeros(4), phi=phi)
        np.testing.assert_allclose(h, want, rtol=1e-13, atol=1e-14)
        dx, dh0, dW, dw, db = F.indrnn_backward(np.ones_like(h), cache)
        edx, edh0, edW, edW_hh, edb, _ = F.elman_backward(np.ones_like(h), elman)
        for got, expected in ((dx, edx), (dh0, edh0), (dW, edW), (dw, np.diag(edW_hh)), (db, edb)):
            assert got is not None
            assert expected is not None
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
