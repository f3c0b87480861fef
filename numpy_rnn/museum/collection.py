"""All rooms and all exhibits, in the order of a walk through the museum."""

from __future__ import annotations

from numpy_rnn.museum.bidirectional import BIDIRECTIONAL, BIDIRECTIONAL_EXHIBITS
from numpy_rnn.museum.cross_entropy import CROSS_ENTROPY, CROSS_ENTROPY_EXHIBITS
from numpy_rnn.museum.dropout import DROPOUT, DROPOUT_EXHIBITS
from numpy_rnn.museum.elman import ELMAN, ELMAN_EXHIBITS
from numpy_rnn.museum.embedding import EMBEDDING, EMBEDDING_EXHIBITS
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.gru import GRU, GRU_EXHIBITS
from numpy_rnn.museum.gru_reset_before import (
    GRU_RESET_BEFORE,
    GRU_RESET_BEFORE_EXHIBITS,
)
from numpy_rnn.museum.last_step import LAST_STEP, LAST_STEP_EXHIBITS
from numpy_rnn.museum.layer_norm import LAYER_NORM, LAYER_NORM_EXHIBITS
from numpy_rnn.museum.linear import LINEAR, LINEAR_EXHIBITS
from numpy_rnn.museum.lstm import LSTM, LSTM_EXHIBITS
from numpy_rnn.museum.mse import MSE, MSE_EXHIBITS
from numpy_rnn.museum.optimizers import OPTIMIZER_EXHIBITS, OPTIMIZER_ROOMS
from numpy_rnn.museum.padded import PADDED, PADDED_EXHIBITS
from numpy_rnn.museum.peephole_lstm import PEEPHOLE_LSTM, PEEPHOLE_LSTM_EXHIBITS
from numpy_rnn.museum.projected_lstm import PROJECTED_LSTM, PROJECTED_LSTM_EXHIBITS
from numpy_rnn.museum.windows import WINDOWS, WINDOWS_EXHIBITS

__all__ = ["EXHIBITS", "OPTIMIZER_ROOMS", "ROOMS"]

ROOMS: list[Room] = [
    ELMAN,
    LSTM,
    PROJECTED_LSTM,
    PEEPHOLE_LSTM,
    GRU,
    GRU_RESET_BEFORE,
    LINEAR,
    EMBEDDING,
    LAYER_NORM,
    DROPOUT,
    MSE,
    CROSS_ENTROPY,
    WINDOWS,
    PADDED,
    BIDIRECTIONAL,
    LAST_STEP,
]

EXHIBITS: list[Exhibit] = [
    *ELMAN_EXHIBITS,
    *LSTM_EXHIBITS,
    *PROJECTED_LSTM_EXHIBITS,
    *PEEPHOLE_LSTM_EXHIBITS,
    *GRU_EXHIBITS,
    *GRU_RESET_BEFORE_EXHIBITS,
    *LINEAR_EXHIBITS,
    *EMBEDDING_EXHIBITS,
    *LAYER_NORM_EXHIBITS,
    *DROPOUT_EXHIBITS,
    *MSE_EXHIBITS,
    *CROSS_ENTROPY_EXHIBITS,
    *WINDOWS_EXHIBITS,
    *PADDED_EXHIBITS,
    *BIDIRECTIONAL_EXHIBITS,
    *LAST_STEP_EXHIBITS,
    *OPTIMIZER_EXHIBITS,
]
