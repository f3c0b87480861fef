"""A sequence in two parts, with the state carried over and its gradient carried back.

What the whole gives, the parts must give too: what this shows wrong is between the steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.subject import as_tuple, regroup
from numpy_rnn.functional.types import Array


def split_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    douts: Sequence[Array],
) -> list[Array | None]:
    """Return the gradients of a recurrent pair, from a first third and the rest.

    Parameters
    ----------
    forward, backward : callable
        The pair: input, as many states as outputs, weights.
    arguments : sequence
        Its arguments.
    douts : sequence of (T, B, size) arrays
        Gradient of each output.

    Returns
    -------
    gradients : list of arrays or None
        As those of the whole.
    """
    n = 1 + len(douts)
    x, states, weights = arguments[0], arguments[1:n], arguments[n:]
    cut = len(x) // 3
    outputs, first = forward(x[:cut], *states, *weights)
    _, second = forward(x[cut:], *(h[-1] for h in as_tuple(outputs)), *weights)
    later = backward(*(d[cut:] for d in douts), second)
    ends = [d[:cut].copy() for d in douts]
    for end, carried in zip(ends, later[1:n], strict=True):
        end[-1] += carried
    earlier = backward(*ends, first)
    dx = None if earlier[0] is None else np.concatenate([earlier[0], later[0]])
    sums = [None if a is None else a + b for a, b in zip(earlier[n:], later[n:], strict=True)]
    return [dx, *earlier[1:n], *sums]


def split_model(model: Any, x: Array, douts: Sequence[Array]) -> list[Array | None]:
    """Return the gradients of a model's input and parameters, from a first third and the rest.

    Parameters
    ----------
    model : recurrent layer or Sequential
        One-directional and time-major. Left as it is.
    x : array
        Its input.
    douts : sequence of arrays
        Gradient of the output and of each component of the final state.

    Returns
    -------
    gradients : list of arrays or None
        The input's and the parameters', as those of the whole.
    """
    model, cut = copy.deepcopy(model), len(x) // 3
    model.zero_grad()
    _, state = model.forward(x[:cut])
    outputs = model.forward(x[cut:], state)
    dlast = regroup(douts[1:], outputs[1]) if isinstance(outputs[1], tuple) else douts[1]
    later, dstate = model.backward(douts[0][cut:], dlast)
    model.forward(x[:cut])
    earlier, _ = model.backward(douts[0][:cut], dstate)
    dx = None if earlier is None else np.concatenate([earlier, later])
    return [dx, *model.parameters.grads.values()]
