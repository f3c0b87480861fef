"""What a language model knows of a text, in nats per character.

    (1) e_i = -log p(s_i | s_0 .. s_{i-1})        i = 1 .. N - 1
    (2) mean of e_i over all i                    nats per character; divided by log 2: bits

The state is carried from the first symbol to the last, so that every symbol counts once and is
conditioned on all those before it. The first has none before it: it is given, and does not count.

To be quicker, the text can be read by several readers side by side, each of which begins with the
zero state: every symbol but the first still counts once, but the first ones of a reader are
conditioned on less than there is, so the result is a little too high.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Sequential

STEPS = 256  # of a forward pass


def nats_per_character(model: Sequential, symbols: Array, readers: int = 1) -> float:
    """Return equation (2).

    Parameters
    ----------
    model : Sequential
        Symbols in, logits out. It is put into evaluation mode.
    symbols : (N,) array of int
        At least two.
    readers : int
        How many read side by side; 1 for the exact number.

    Returns
    -------
    nats : float

    Raises
    ------
    ValueError
        If there is nothing to predict.
    """
    count = len(symbols) - 1
    if count < 1:
        raise ValueError(f"{len(symbols)} symbols, expected at least 2")
    model.eval()
    criterion = CrossEntropyLoss(reduction="sum")
    length = -(-count // min(readers, count))
    starts = np.arange(0, count, length)
    state, total = None, 0.0
    for first in range(0, length, STEPS):
        places = np.arange(first, min(first + STEPS, length))[:, None] + starts  # (T, B)
        inside = places < count  # the last reader may have less to read
        places = np.minimum(places, count - 1)
        y, state = model.forward(symbols[places], state)
        targets = np.where(inside, symbols[places + 1].astype(int), criterion.ignore_index)
        total += float(criterion.forward(y, targets))
    return total / count
