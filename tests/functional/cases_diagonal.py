"""Rows of the table of pairs: cells with a diagonal recurrence, and the scan below them."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy_rnn.functional.activations import TANH
from numpy_rnn.functional.indrnn import indrnn_backward, indrnn_forward
from numpy_rnn.functional.lru import lru_backward, lru_forward
from numpy_rnn.functional.mingru import mingru_backward, mingru_forward
from numpy_rnn.functional.scan import scan_backward, scan_forward
from tests.case import Case, D, H, Rng, normal


def scan_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, H, scale=0.5), normal(rng, T, B, H), normal(rng, B, H)


def indrnn_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), *indrnn_state_and_weights(rng, B)


def indrnn_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), *indrnn_state_and_weights(rng, B)


def indrnn_state_and_weights(rng: Rng, B: int) -> tuple[Any, ...]:
    return normal(rng, B, H), normal(rng, H, D), normal(rng, H), normal(rng, H, scale=0.3)


def mingru_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), *mingru_state_and_weights(rng, B)


def mingru_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), *mingru_state_and_weights(rng, B)


def mingru_state_and_weights(rng: Rng, B: int) -> tuple[Any, ...]:
    return normal(rng, B, H), normal(rng, 2 * H, D), normal(rng, 2 * H)


def lru_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), *lru_state_and_weights(rng, B)


def lru_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), *lru_state_and_weights(rng, B)


def lru_state_and_weights(rng: Rng, B: int) -> tuple[Any, ...]:
    logarithms = normal(rng, H) - 1, normal(rng, H), normal(rng, H, scale=0.5)
    return normal(rng, B, 2 * H), normal(rng, 2 * H, D), *logarithms


_indrnn = partial(Case, backward=indrnn_backward, summed=(2, 3, 4))
_mingru = partial(Case, forward=mingru_forward, backward=mingru_backward, summed=(2, 3))
_lru = partial(Case, forward=lru_forward, backward=lru_backward, summed=(2, 3, 4, 5))

DIAGONAL_CASES = [
    Case("scan", scan_forward, scan_backward, scan_arguments, (0, 1)),
    _indrnn("indrnn relu", forward=indrnn_forward, arguments=indrnn_arguments),
    _indrnn("indrnn tanh", forward=partial(indrnn_forward, phi=TANH), arguments=indrnn_arguments),
    _indrnn(
        "indrnn relu, symbols",
        forward=indrnn_forward,
        arguments=indrnn_symbol_arguments,
        over_time=(),
    ),
    _mingru("mingru", arguments=mingru_arguments),
    _mingru("mingru, symbols", arguments=mingru_symbol_arguments, over_time=()),
    _lru("lru", arguments=lru_arguments),
    _lru("lru, symbols", arguments=lru_symbol_arguments, over_time=()),
]
