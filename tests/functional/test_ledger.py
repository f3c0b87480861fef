"""The ledger's order: what `keep` leaves standing is each step's and each row's own share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.types import Array
from tests.case import Case, normal
from tests.cases import CASES
from tests.complex_step import as_tuple

T, B, G, D = 4, 3, 2, 5  # all different, so that no axis can pass for another
KEEPS = ["", "t", "b", "tb"]

RNG = np.random.default_rng(0)
DZ, X = normal(RNG, T, B, G), normal(RNG, T, B, D)
TOKENS = RNG.integers(0, D, (T, B))

each_keep = pytest.mark.parametrize("keep", KEEPS)


@each_keep
def test_contract_is_the_sum_of_outer_products(keep: Any) -> None:
    expected = np.einsum(f"tbg,tbd->{keep}gd", DZ, X)
    np.testing.assert_allclose(F.contract(DZ, X, keep), expected, rtol=1e-13)


@each_keep
def test_contract_bias_is_the_sum(keep: Any) -> None:
    expected = np.einsum(f"tbg->{keep}g", DZ)
    np.testing.assert_allclose(F.contract_bias(DZ, keep), expected, rtol=1e-13)


@each_keep
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.uint64])
def test_contract_one_hot_is_contract_of_the_dense_rows(keep: Any, dtype: type) -> None:
    expected = np.einsum(f"tbg,tbd->{keep}dg", DZ, np.eye(D)[TOKENS])
    made = F.contract_one_hot(DZ, TOKENS.astype(dtype), D, keep)
    np.testing.assert_allclose(made, expected, rtol=1e-13)


@pytest.mark.parametrize("keep", ["x", "bt", "T", "tbt", None])
def test_an_unknown_keep_is_an_error(keep: Any) -> None:
    message = f"keep is {keep!r}, expected one of '', 't', 'b', 'tb'"
    with pytest.raises(ValueError, match=message):
        F.contract(DZ, X, keep)
    with pytest.raises(ValueError, match=message):
        F.contract_bias(DZ, keep)
    with pytest.raises(ValueError, match=message):
        F.contract_one_hot(DZ, TOKENS, D, keep)


def ledger_by_loop(
    case: Case, arguments: tuple[Any, ...], douts: tuple[Array, ...]
) -> dict[int, Array]:
    """Shares (T, B, ...) of each weight: plain gradients of one step of one row at a time."""
    first = min(case.summed)  # the input and the states come before the weights
    x, states, weights = arguments[0], arguments[1:first], arguments[first:]
    shares = {p: np.full((T, B, *arguments[p].shape), np.nan) for p in case.summed}
    for b in range(B):
        row, caches = [state[b : b + 1] for state in states], []
        for t in range(T):
            out, cache = case.forward(x[t : t + 1, b : b + 1], *row, *weights)
            row = [trajectory[0] for trajectory in as_tuple(out)] if states else []
            caches.append(cache)
        carries: tuple[Any, ...] = (0.0,) * len(douts)  # what the later steps send back
        for t in reversed(range(T)):
            sent = [d[t : t + 1, b : b + 1] + c for d, c in zip(douts, carries, strict=True)]
            gradients = case.backward(*sent, caches[t])
            carries = gradients[1:first] or carries
            for position in case.summed:
                shares[position][t, b] = gradients[position]
    return shares


@pytest.mark.parametrize("keep", KEEPS[1:])
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.summed], ids=lambda case: case.name
)
def test_what_is_kept_stands_in_its_place(case: Case, keep: Any) -> None:
    rng = np.random.default_rng(1)
    arguments = case.arguments(rng, T, B)
    outputs, cache = case.forward(*arguments)
    douts = tuple(normal(rng, *np.shape(out)) for out in as_tuple(outputs))
    kept = case.backward(*douts, cache, keep=keep)
    summed_away = tuple(axis for axis, name in enumerate("tb") if name not in keep)
    for position, shares in ledger_by_loop(case, arguments, douts).items():
        expected = shares.sum(axis=summed_away)
        np.testing.assert_allclose(kept[position], expected, rtol=1e-10, atol=1e-12)


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    np.testing.assert_array_equal(F.contract(DZ, X), F.contract(DZ, X, ""))
    np.testing.assert_array_equal(F.contract_bias(DZ), F.contract_bias(DZ, ""))
    np.testing.assert_array_equal(
        F.contract_one_hot(DZ, TOKENS, D), F.contract_one_hot(DZ, TOKENS, D, "")
    )
