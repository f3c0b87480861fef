"""Rows of the table of pairs: gated cells, layer normalisation and dropout."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy_rnn.functional.dropout import dropout_backward, dropout_forward
from numpy_rnn.functional.gru import gru_backward, gru_forward
from numpy_rnn.functional.gru_reset_before import (
    gru_reset_before_backward,
    gru_reset_before_forward,
)
from numpy_rnn.functional.layer_norm import layer_norm_backward, layer_norm_forward
from numpy_rnn.functional.peephole_lstm import peephole_lstm_backward, peephole_lstm_forward
from tests.case import Case, D, H, Rng, normal


def gru_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), normal(rng, B, H), *weights(rng, 3)


def gru_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), normal(rng, B, H), *weights(rng, 3)


def peephole_lstm_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, D), *peephole_state_and_weights(rng, B)


def peephole_lstm_symbol_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return rng.integers(0, D, (T, B)), *peephole_state_and_weights(rng, B)


def peephole_state_and_weights(rng: Rng, B: int) -> tuple[Any, ...]:
    return normal(rng, B, H), normal(rng, B, H), *weights(rng, 4), normal(rng, 3, H, scale=0.5)


def weights(rng: Rng, gates: int) -> tuple[Any, ...]:
    G = gates * H
    matrices = normal(rng, G, D, scale=0.5), normal(rng, G, H, scale=0.5)
    return *matrices, normal(rng, G, scale=0.3), normal(rng, G, scale=0.3)


def layer_norm_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, H), normal(rng, H), normal(rng, H)


def dropout_arguments(rng: Rng, T: int, B: int) -> tuple[Any, ...]:
    return normal(rng, T, B, H), rng.random((T, B, H)) >= 0.3


_gru = partial(Case, forward=gru_forward, backward=gru_backward, summed=(2, 3, 4, 5))
_gru_reset_before = partial(
    Case,
    forward=gru_reset_before_forward,
    backward=gru_reset_before_backward,
    summed=(2, 3, 4, 5),
)
_peephole_lstm = partial(
    Case,
    forward=peephole_lstm_forward,
    backward=peephole_lstm_backward,
    summed=(3, 4, 5, 6, 7),
)
_layer_norm = partial(
    Case, backward=layer_norm_backward, arguments=layer_norm_arguments, summed=(1, 2)
)

GATED_CASES = [
    _gru("gru", arguments=gru_arguments),
    _gru("gru, symbols", arguments=gru_symbol_arguments, over_time=()),
    _gru_reset_before("gru reset before", arguments=gru_arguments),
    _gru_reset_before("gru reset before, symbols", arguments=gru_symbol_arguments, over_time=()),
    _peephole_lstm("peephole lstm", arguments=peephole_lstm_arguments),
    _peephole_lstm(
        "peephole lstm, symbols", arguments=peephole_lstm_symbol_arguments, over_time=()
    ),
    _layer_norm("layer norm", forward=layer_norm_forward),
    _layer_norm("layer norm, large eps", forward=partial(layer_norm_forward, eps=0.5)),
    Case("dropout", partial(dropout_forward, p=0.3), dropout_backward, dropout_arguments),
]
