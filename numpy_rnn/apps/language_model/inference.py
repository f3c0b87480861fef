"""Use of a trained language model: generate a text, or measure how well a text is predicted.

Tokens are drawn one at a time from the model's logits y. These three are applied in this order:

    (1) p_v ~ exp(y_v / temperature)      temperature 0: the most likely token
    (2) top-k   only the k most likely tokens             Fan, Lewis & Dauphin 2018
    (3) top-p   the smallest set of most likely tokens    Holtzman et al. 2020 ("nucleus")
                whose total probability is at least p

The probabilities that are left are scaled to sum 1.

The cross-entropy of a text is measured in nats per character:

    (4) e_i = -log p(s_i | s_0 .. s_{i-1})        i = 1 .. N - 1
    (5) mean of e_i over all i

The state is carried from the first token to the last, so that each token is predicted from all
tokens before it. The first token has none before it: it is given, and does not count.

To be faster, a batch of equal parts of the text can be read side by side, each part from a zero
state. Still every token but the first counts once. But the first tokens of a part are predicted
from fewer tokens than there are, so the result is a little too high.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from numpy_rnn.arguments import check_non_negative, check_number, check_size
from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.layers import CrossEntropyLoss, Layer
from numpy_rnn.layers.validate import NotFiniteError

STEPS = 256  # of a forward pass


def distribution(
    y: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> Array:
    """Return the probability, (V,), with which each token is drawn, from its logits `y`, (V,).

    The options are those of equations (1) to (3). One that is out of its range is a ValueError. Of
    equal logits, the first counts as the more likely one.

    >>> distribution(np.log([0.1, 0.6, 0.3]), top_k=2).round(3)
    array([0.   , 0.667, 0.333])
    """
    check_non_negative("distribution", "temperature", temperature)
    if top_k is not None:
        check_size("distribution", "top_k", top_k)
    expected = "above 0 and at most 1"
    check_number("distribution", "top_p", top_p, lambda p: 0 < p <= 1, expected)
    y = y.astype(np.float64)
    if not math.isfinite(y.max()):
        raise NotFiniteError("the model's output has a NaN or an infinity, expected finite numbers")
    order = np.argsort(-y, kind="stable")
    p = np.zeros(len(y))
    if temperature == 0:
        p[order[0]] = 1
        return p
    with np.errstate(over="ignore", under="ignore"):  # to -infinity, and exp to 0
        likeliest = np.exp((y[order] - y[order[0]]) / temperature)  # (1)
    if top_k is not None:
        likeliest[top_k:] = 0  # (2)
    likeliest /= likeliest.sum()
    before = np.cumsum(likeliest) - likeliest
    likeliest[1:][before[1:] >= top_p] = 0  # (3)
    p[order] = likeliest / likeliest.sum()
    return p


def generate(
    model: Layer,
    prompt: Array,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    rng: Rng = None,
) -> Iterator[int]:
    """Yield tokens without end, each drawn from the model's prediction after all before it.

    The model takes token ids and returns logits. It is used as it is now and does not change. The
    prompt, (N,) with at least one token, is read first, from a zero state. The options are those
    of :func:`distribution`.

    >>> from itertools import islice
    >>> from numpy_rnn import RNN, Linear, Sequential
    >>> model = Sequential(RNN(4, 2, rng=0), Linear(2, 4, rng=0))
    >>> len(list(islice(generate(model, np.array([0, 3]), rng=0), 5)))
    5
    """
    if not len(prompt):
        raise ValueError("prompt is empty, expected at least one token")
    generator = np.random.default_rng(rng)
    y, state = model.predict(np.asarray(prompt)[:, None])
    step, y_t = model.stepper(), y[-1]  # (1, V)
    while True:
        p = distribution(y_t[0], temperature, top_k, top_p)
        token = int(generator.choice(len(p), p=p))
        yield token
        y_t, state = step(np.array([token]), state)


def cross_entropy(model: Layer, tokens: Array, batch_size: int = 1) -> float:
    """Return the cross-entropy of a text, equation (5), in nats per character.

    The model takes token ids, returns logits and carries a state. `tokens`, (N,), are at least two,
    so that there is something to predict; otherwise there is a ValueError. `batch_size` is the
    number of parts that are read side by side, 1 for the exact value.

    >>> from numpy_rnn import RNN, Linear, Sequential
    >>> model = Sequential(RNN(4, 2, rng=0), Linear(2, 4, rng=0))
    >>> model.parameters.data[:] = 0  # now every token is equally likely
    >>> print(f"{cross_entropy(model, np.array([0, 3, 1])) / np.log(2):.3f} bits")
    2.000 bits
    """
    return measure(model, tokens, batch_size)[0]


def measure(
    model: Layer, tokens: Array, batch_size: int = 1, seconds: float = math.inf
) -> tuple[float, int]:
    """Return the cross-entropy of as much of a text as can be read in some seconds.

    With it comes the number of characters that were read, N - 1 if the time is enough.

    >>> from numpy_rnn import RNN, Linear, Sequential
    >>> model = Sequential(RNN(4, 2, rng=0), Linear(2, 4, rng=0))
    >>> measure(model, np.zeros(1000, int), seconds=0)[1]
    16
    """
    count = len(tokens) - 1
    if count < 1:
        raise ValueError(f"tokens has length {len(tokens)}, expected at least 2")
    tokens = np.asarray(tokens)
    criterion = CrossEntropyLoss(reduction="sum")
    length = -(-count // min(batch_size, count))
    firsts = np.arange(0, count, length)  # of the parts
    state, total, read = None, 0.0, 0
    end = time.monotonic() + seconds
    step, steps = 0, STEPS if seconds == math.inf else STEPS // 16
    while step < length and (not step or time.monotonic() < end):
        positions = np.arange(step, min(step + steps, length))[:, None] + firsts  # (T, B)
        inside = positions < count  # the last part may be shorter
        positions = np.minimum(positions, count - 1)
        y, state = model.predict(tokens[positions], state)
        targets = np.where(inside, tokens[positions + 1].astype(int), criterion.ignore_index)
        total += float(criterion.predict(y, targets))
        read += int(inside.sum())
        step, steps = step + steps, min(2 * steps, STEPS)
    if not math.isfinite(total):
        raise NotFiniteError(f"the cross-entropy is {total / read}, expected a finite number")
    return total / read, read
