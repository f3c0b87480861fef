"""A pair as the usual checkers see it: a function of one vector, on the inputs in common use.

| regime | sizes | values | what is looked at |
| --- | --- | --- | --- |
| typical | T = 5, B = 2, V = 3, others 2 | normal, 0.1; states zero | the first output, all steps |
| vanishing | T = 30, B = 2, D = 1, others 2 | as above; carry 0.1 a step | its last step |

The first output is h, or the loss. Every real argument is checked, the initial states too. In
the vanishing regime W_hh has norm 0.1, and what carries the state past the weights (the
forget gate, the update gate) is 0.1 by its bias: what reaches t = 0 is 1e-29 or less.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Function, Room, Sizes, arguments

Regime: TypeAlias = Literal["typical", "vanishing"]
REGIMES: tuple[Regime, ...] = ("typical", "vanishing")

TYPICAL: Sizes = {"T": 5, "B": 2, "D": 2, "H": 2, "P": 2, "V": 3}
VANISHING: Sizes = {"T": 30, "B": 2, "D": 1, "H": 2, "P": 2, "V": 2}
SCALE = 0.1
CARRY_BIAS = float(np.log(0.1 / 0.9))  # a gate of 0.1


class Problem(NamedTuple):
    """A function of one vector, and its gradient.

    Attributes
    ----------
    theta : (N,) array
        Every real argument, one after another.
    tensors : tuple of slice
        Where each of them is.
    run : callable
        ``out, pull = run(theta)``: what is looked at, (M,), and the function that takes its
        gradient (M,) to that of theta (N,).
    """

    theta: Array
    tensors: tuple[slice, ...]
    run: Callable[[Array], tuple[Array, Callable[[Array], Array]]]


def problem(forward: Function, backward: Function, room: Room, regime: Regime) -> Problem | None:
    """Return what a user of the usual checkers would hand them.

    Parameters
    ----------
    forward, backward : callable
        The pair, right or wrong.
    room : Room
        Whose arguments it takes.
    regime : {"typical", "vanishing"}
        See the module's head.

    Returns
    -------
    problem : Problem or None
        None where nothing can vanish, because nothing recurs.
    """
    if regime == "vanishing" and "W_hh" not in room.shapes:
        return None
    drawn = _draw(room, regime)
    real = [k for k, argument in enumerate(drawn) if argument.dtype.kind == "f"]
    ends = list(itertools.accumulate((drawn[k].size for k in real), initial=0))
    tensors = tuple(slice(start, stop) for start, stop in itertools.pairwise(ends))

    def run(theta: Array) -> tuple[Array, Callable[[Array], Array]]:
        given: list[Any] = list(drawn)
        for k, tensor in zip(real, tensors, strict=True):
            given[k] = theta[tensor].reshape(drawn[k].shape)
        out, cache = forward(*given)
        first = np.asarray(out[0] if isinstance(out, tuple) else out)
        seen = first if regime == "typical" else first[-1]

        def pull(dseen: Array) -> Array:
            dfirst = dseen.reshape(seen.shape)
            if regime == "vanishing":
                dfirst = np.zeros_like(first)
                dfirst[-1] = dseen.reshape(seen.shape)
            others = [np.zeros_like(o) for o in out[1:]] if isinstance(out, tuple) else []
            gradients = backward(dfirst, *others, cache)
            return np.concatenate([gradients[k].ravel() for k in real])

        return seen.ravel(), pull

    return Problem(np.concatenate([drawn[k].ravel() for k in real]), tensors, run)


def _draw(room: Room, regime: Regime) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    sizes = TYPICAL if regime == "typical" else VANISHING
    named = dict(zip(room.shapes, arguments(room, rng, sizes, SCALE), strict=True))
    for name, argument in named.items():
        if name[:2] in {"h0", "c0"}:
            argument[...] = 0
        if regime == "vanishing" and name.startswith("W_hh"):
            argument[...] = argument * (SCALE / np.linalg.norm(argument, 2))
    if regime == "vanishing" and room.gates:
        block, H = 1, sizes["H"]  # f of i, f, g, o and z of r, z, n: both are second
        named["b_ih"][block * H : (block + 1) * H] = CARRY_BIAS
    return tuple(named.values())
