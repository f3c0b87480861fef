"""The ledger of layers and models: it sums to the gradient, in the right places, in any chunks."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import GRU, LSTM, RNN, Dropout, Embedding, LastStep, Linear, Sequential
from numpy_rnn.checking import ledger, ledger_chunks, ledger_norms, per_example
from numpy_rnn.checking.strategies import lengths, resets
from numpy_rnn.functional.types import Array

T, B, D, H = 7, 3, 4, 5
RNG = np.random.default_rng(0)
X, DY = RNG.standard_normal((T, B, D)), RNG.standard_normal((T, B, H))


def model() -> Sequential:
    return Sequential(Embedding(6, D, rng=0), LSTM(D, H, 2, rng=1), Linear(H, 2, rng=2))


def gradients(made: Any, x: Array, dy: Array, **options: Any) -> dict[str, Array]:
    made.zero_grad()
    made.forward(x, **options)
    made.backward(dy)
    return {name: g.copy() for name, g in made.parameters.grads.items()}


@pytest.mark.parametrize("keep", ["t", "b"])
@pytest.mark.parametrize("ways", [1, 2])
@settings(max_examples=15)
@given(data=st.data(), recompute=st.sampled_from([False, 2]))
def test_a_layers_shares_sum_to_its_gradient(
    keep: Any, ways: int, data: Any, recompute: Any
) -> None:
    options = {
        "lengths": data.draw(st.none() | lengths(B, T)),
        "reset": data.draw(st.none() | resets(T, B)),
    }
    layer = GRU(D, H, 2, bidirectional=ways == 2, recompute=recompute, rng=0)
    dy = np.concatenate([DY] * ways, axis=2)
    expected = gradients(layer, X, dy, **options)
    _, _, cache = layer.apply(X, **options)
    dx, dstate, found = layer.vjp(cache, dy, keep=keep)
    plain_dx, plain_dstate, _ = layer.vjp(cache, dy)
    np.testing.assert_array_equal(dx, plain_dx)
    np.testing.assert_array_equal(dstate, plain_dstate)
    for name, total in expected.items():
        if name not in found:  # no row has a step
            assert not total.any()
            continue
        assert found[name].shape == ({"t": T, "b": B}[keep], *total.shape)
        np.testing.assert_allclose(found[name].sum(axis=0), total, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("ways", [1, 2])
def test_a_rows_share_is_its_gradient_alone(ways: int) -> None:
    ends = np.array([3, 7, 5])
    layer = LSTM(D, H, bidirectional=ways == 2, rng=0)
    dy = np.concatenate([DY] * ways, axis=2)
    _, _, cache = layer.apply(X, lengths=ends)
    _, _, found = layer.vjp(cache, dy, keep="b")
    _, _, both = layer.vjp(cache, dy, keep="tb")
    for b in range(B):
        alone = gradients(layer, X[: ends[b], b : b + 1], dy[: ends[b], b : b + 1])
        for name, g in alone.items():
            np.testing.assert_allclose(found[name][b], g, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(both[name][:, b].sum(axis=0), g, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("ways", [1, 2])
def test_a_steps_share_is_that_of_its_input(ways: int) -> None:
    """Moving x[t] alone moves only what weight_ih receives at t, in either direction."""
    ends = np.array([4, 7, 6])
    layer = RNN(D, H, bidirectional=ways == 2, rng=0)
    x = np.zeros((T, B, D))
    x[2] = X[2]  # the input of one step: no other has a share of weight_ih
    _, _, cache = layer.apply(x, lengths=ends)
    _, _, found = layer.vjp(cache, np.concatenate([DY] * ways, axis=2), keep="t")
    for name in ("weight_ih_l0", "weight_ih_l0_reverse")[:ways]:
        assert found[name][2].any()
        assert not np.delete(found[name], 2, axis=0).any()


def test_a_models_ledger_sums_to_its_gradient_and_leaves_no_trace() -> None:
    made, tokens = model(), RNG.integers(0, 6, (T, B))
    dy = RNG.standard_normal((T, B, 2))
    expected = gradients(made, tokens, dy)
    made.parameters.grad[...] = 3.0
    shares = ledger(made, tokens, dy)
    assert set(shares) == set(expected)
    for name, total in expected.items():
        np.testing.assert_allclose(shares[name].sum(axis=0), total, rtol=1e-12, atol=1e-14)
    assert (made.parameters.grad == 3.0).all()
    rows = per_example(made, tokens, dy)
    for name, total in expected.items():
        np.testing.assert_allclose(rows[name].sum(axis=0), total, rtol=1e-12, atol=1e-14)


def test_dropout_draws_the_same_mask_after_a_ledger() -> None:
    made = Sequential(GRU(D, H, rng=0), Dropout(0.5, rng=1))
    shares = ledger(made, X, DY)
    for name, total in gradients(made, X, DY).items():
        np.testing.assert_allclose(shares[name].sum(axis=0), total, rtol=1e-12, atol=1e-14)
    for name, total in gradients(made, X, DY).items():  # with the next mask
        assert not np.allclose(shares[name].sum(axis=0), total)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_chunks_are_the_ledger(steps: int) -> None:
    made, tokens = model(), RNG.integers(0, 6, (T, B))
    dy = RNG.standard_normal((T, B, 2))
    whole = ledger(made, tokens, dy)
    budget = steps * made.parameters.data.nbytes
    seen = []
    for chunk in ledger_chunks(made, tokens, dy, budget=budget):
        for name, shares in chunk.gradients.items():
            part = whole[name][chunk.start : chunk.start + steps]
            np.testing.assert_allclose(shares, part, rtol=1e-11, atol=1e-14)
        seen.append(chunk.start)
    assert seen == sorted(range(0, T, steps), reverse=True)
    norms = ledger_norms(made, tokens, dy, budget=budget)
    for name, share in whole.items():
        expected = np.linalg.norm(share.reshape(T, -1), axis=1)
        np.testing.assert_allclose(norms[name], expected, rtol=1e-11, atol=1e-14)


def test_a_large_model_stays_within_the_budget() -> None:
    layer = LSTM(16, 64, rng=0)
    x, dy = np.ones((300, 1, 16)), np.ones((300, 1, 64))
    budget = 8 * layer.parameters.data.nbytes  # the whole ledger would take 300
    with pytest.raises(ValueError, match="300 steps of 20992 parameters take 50380800 bytes"):
        ledger(layer, x, dy, budget=budget)
    tracemalloc.start()
    try:
        norms = ledger_norms(layer, x, dy, budget=budget)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert norms["weight_hh_l0"].shape == (300,)
    assert peak < 3 * budget


def test_what_cannot_be_kept_is_an_error() -> None:
    made = Sequential(LSTM(D, H, batch_first=True, rng=0))
    _, _, cache = made.apply(X)
    with pytest.raises(ValueError, match="keep is 't', expected time-major layers"):
        made.vjp(cache, np.zeros((T, B, H)), keep="t")
    made = Sequential(LSTM(D, H, rng=0), LastStep(), Linear(H, 2, rng=1))
    _, _, cache = made.apply(X)
    with pytest.raises(ValueError, match="expected an input of axes T, B and features"):
        made.vjp(cache, np.zeros((B, 2)), keep="t")
    with pytest.raises(ValueError, match="3 examples of"):
        per_example(LSTM(D, H, rng=0), X, DY, budget=10)
