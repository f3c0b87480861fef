"""The cross-entropy of a text under a language model, in nats per character.

    (1) e_i = -log p(s_i | s_0 .. s_{i-1})        i = 1 .. N - 1
    (2) mean of e_i over all i

The state is carried from the first token to the last, so that each token is predicted from all
tokens before it. The first token has none before it: it is given, and does not count.

To be faster, a batch of equal parts of the text can be read side by side, each part from a zero
state. Still every token but the first counts once. But the first tokens of a part are predicted
from fewer tokens than there are, so the result is a little too high.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Layer

STEPS = 256  # of a forward pass


def cross_entropy(model: Layer, tokens: Array, batch_size: int = 1) -> float:
    """Return the cross-entropy of a text, equation (2). Divide by log 2 for bits per character.

    Parameters
    ----------
    model : Layer
        Token ids in, logits out. It carries a state.
    tokens : (N,) array of int
        At least two.
    batch_size : int
        Parts that are read side by side; 1 for the exact value.

    Returns
    -------
    cross_entropy : float
        Nats per character.

    Raises
    ------
    ValueError
        If there is nothing to predict.

    Examples
    --------
    >>> from numpy_rnn import RNN, Linear, Sequential
    >>> model = Sequential(RNN(4, 2, rng=0), Linear(2, 4, rng=0))
    >>> model.parameters.data[:] = 0  # now every token is equally likely
    >>> print(f"{cross_entropy(model, np.array([0, 3, 1])) / np.log(2):.3f} bits")
    2.000 bits
    """
    count = len(tokens) - 1
    if count < 1:
        raise ValueError(f"tokens has length {len(tokens)}, expected at least 2")
    tokens = np.asarray(tokens)
    criterion = CrossEntropyLoss(reduction="sum")
    length = -(-count // min(batch_size, count))
    firsts = np.arange(0, count, length)  # of the parts
    state, total = None, 0.0
    for step in range(0, length, STEPS):
        positions = np.arange(step, min(step + STEPS, length))[:, None] + firsts  # (T, B)
        inside = positions < count  # the last part may be shorter
        positions = np.minimum(positions, count - 1)
        y, state = model.predict(tokens[positions], state)
        targets = np.where(inside, tokens[positions + 1].astype(int), criterion.ignore_index)
        total += float(criterion.predict(y, targets))
    return total / count
