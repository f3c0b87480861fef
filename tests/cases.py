"""The table of pairs: a new pair costs one row, and every proof in test_pairs.py runs on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from tests.case import Case, D, H, Rng, V, normal
from tests.functional.cases_diagonal import DIAGONAL_CASES
from tests.functional.cases_gated import GATED_CASES


def elman_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return (normal(rng, T, B, D), *elman_state_and_weights(rng, B))


def elman_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return (rng.integers(0, D, (T, B)), *elman_state_and_weights(rng, B))


def elman_state_and_weights(rng: Rng, B: int) -> tuple[Any, ...]:
    weights = normal(rng, H, D, scale=0.5), normal(rng, H, H, scale=0.5)
    return normal(rng, B, H), *weights, normal(rng, H, scale=0.3), normal(rng, H, scale=0.3)


def lstm_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    x, states = normal(rng, T, B, D), (normal(rng, B, H), normal(rng, B, H))
    weights = normal(rng, 4 * H, D, scale=0.5), normal(rng, 4 * H, H, scale=0.5)
    return x, *states, *weights, normal(rng, 4 * H), normal(rng, 4 * H), None


def projected_lstm_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    P = 2
    x, states = normal(rng, T, B, D), (normal(rng, B, P), normal(rng, B, H))
    weights = normal(rng, 4 * H, D, scale=0.5), normal(rng, 4 * H, P, scale=0.5)
    return x, *states, *weights, normal(rng, 4 * H), normal(rng, 4 * H), normal(rng, P, H)


def linear_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), normal(rng, H, D), normal(rng, H)


def linear_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), normal(rng, H, D), normal(rng, H)


def embedding_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, V, (T, B)), normal(rng, V, H)


def mse_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, V), normal(rng, T, B, V)


def cross_entropy_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    targets = rng.integers(0, V, (T, B))
    targets[rng.random((T, B)) < 0.2] = -100
    return normal(rng, T, B, V, scale=3.0), targets, rng.random((T, B)) < 0.8


def _elman(name: str, phi: F.Activation, arguments: Callable[..., Any]) -> Case:
    return Case(
        name, partial(F.elman_forward, phi=phi), F.elman_backward, arguments, (0,), (2, 3, 4, 5)
    )


def _lstm(name: str, arguments: Callable[..., Any], summed: tuple[int, ...]) -> Case:
    return Case(name, F.lstm_forward, F.lstm_backward, arguments, (0,), summed)


def _mse(reduction: F.Reduction) -> Case:
    forward = partial(F.mse_forward, reduction=reduction)
    return Case(f"mse {reduction}", forward, F.mse_backward, mse_arguments, (0, 1))


def _cross_entropy(reduction: F.Reduction) -> Case:
    forward = partial(F.cross_entropy_forward, reduction=reduction)
    return Case(
        f"cross-entropy {reduction}", forward, F.cross_entropy_backward, cross_entropy_arguments
    )


CASES = [
    _elman("elman tanh", F.TANH, elman_arguments),
    _elman("elman relu", F.RELU, elman_arguments),
    _elman("elman tanh, symbols", F.TANH, elman_symbol_arguments),
    _lstm("lstm", lstm_arguments, (3, 4, 5, 6)),
    _lstm("lstm projected", projected_lstm_arguments, (3, 4, 5, 6, 7)),
    *GATED_CASES,
    *DIAGONAL_CASES,
    Case("linear", F.linear_forward, F.linear_backward, linear_arguments, (0,), (1, 2)),
    Case(
        "linear, symbols", F.linear_forward, F.linear_backward, linear_symbol_arguments, (), (1, 2)
    ),
    Case("embedding", F.embedding_forward, F.embedding_backward, embedding_arguments, (), (1,)),
    _mse("mean"),
    _mse("sum"),
    _mse("sum_over_time"),
    _mse("none"),
    _cross_entropy("mean"),
    _cross_entropy("sum"),
    _cross_entropy("sum_over_time"),
    _cross_entropy("none"),
]
