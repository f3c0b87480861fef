"""LastStep after a bidirectional layer: the two final states of torch.nn, and the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from numpy_rnn import GRU, LSTM, RNN, Dropout, LastStep, Linear, Sequential
from tests.layers.test_against_torch import equal, gradients_equal, load, tensor


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_after_a_bidirectional_layer_it_is_the_two_final_states(
    kind: Any, batch_first: bool, padded: bool, num_layers: int
) -> None:
    rng, T, B = np.random.default_rng(0), 6, 3
    options: Any = {"bidirectional": True, "batch_first": batch_first}
    ours = Sequential(
        rnn=kind(3, 4, num_layers, **options),
        drop=Dropout(0.0),
        last=LastStep(batch_first=batch_first, bidirectional=True),
        head=Linear(8, 2),
    )

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(torch.nn, kind.__name__)(
                3, 4, num_layers, dtype=torch.float64, **options
            )
            self.head = torch.nn.Linear(8, 2, dtype=torch.float64)

    theirs = Theirs()
    load(theirs, ours)
    lengths = np.array([2, T, 1]) if padded else None
    x = rng.standard_normal((B, T, 3) if batch_first else (T, B, 3))
    dy, tx = rng.standard_normal((B, 2)), tensor(x)
    packed: Any = tx
    if padded:
        packed = pack_padded_sequence(tx, torch.from_numpy(lengths), batch_first, False)
    h_n = theirs.rnn(packed)[1]
    h_n = h_n[0] if kind is LSTM else h_n
    # The last layer's two final states side by side: Keras' Bidirectional(return_sequences=False).
    ty = theirs.head(torch.cat([h_n[-2], h_n[-1]], dim=1))
    ty.backward(torch.from_numpy(dy))
    y, state = ours(x, lengths=lengths)
    h = state[0][0] if kind is LSTM else state[0]
    equal(y, ty)
    equal(h, h_n)
    dx, _ = ours.backward(dy)
    equal(dx, tx.grad)
    gradients_equal(ours, theirs)
