"""Real-time recurrent learning (Williams & Zipser 1989): the gradient, forwards in time.

BPTT keeps the states and goes back through them. RTRL keeps nothing of the past but the
influence of every weight on the state, and carries it along:

    (1) J_t = ds_t / ds_{t-1},   I_t = ds_t / dW with s_{t-1} held fixed
    (2) P_t = J_t P_{t-1} + I_t                             P_t = ds_t / dW, P_0 = 0
    (3) dW  = sum_t P_t^T ds_t                              ds_t: what the loss sends to s_t

s is the whole state, S numbers: for an LSTM h and c together. The same recursion, with I_t where
the variable enters, serves the initial state and the inputs.

J_t and I_t come out of the pair's own backward, on one timestep: with S copies of the state as
the batch and the identity as the gradient of the outputs, copy i returns row i of J_t, and
``keep="b"`` leaves its row of I_t standing. So RTRL shares each step's derivative with BPTT and
nothing of what goes wrong between the steps: the carry, the sum, the order of time.

For N weights it takes O(S^2 N) time a step and O(S N) memory, whatever T is; BPTT takes O(N) time
a step and O(T S) memory. For 100 units and 40,000 weights that is 10,000 times the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array


def rtrl(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    douts: Sequence[Array],
) -> list[Array | None]:
    """Return the gradients of a recurrent pair, in the order of its arguments.

    Parameters
    ----------
    forward, backward : callable
        The pair. Its arguments are the input, as many states as it has outputs, and weights;
        each output is the trajectory of a state; backward takes ``keep="b"``.
    arguments : sequence
        ``x`` (T, B, D), or (T, B) of int, the states (B, size), the weights.
    douts : sequence of (T, B, size) arrays
        Gradient of each output.

    Returns
    -------
    gradients : list of arrays, None for an integer x or a weight that is None
        Equation (3), for every argument.

    Raises
    ------
    ValueError
        If a gradient is not as long as the input.
    """
    x = np.asarray(arguments[0])
    # Whole numbers have no room for a gradient.
    rest: list[Any] = [
        None if a is None else np.asarray(a, np.result_type(a, np.float32)) for a in arguments[1:]
    ]
    states, weights = rest[: len(douts)], rest[len(douts) :]
    if any(len(dout) != len(x) for dout in douts):
        raise ValueError(f"rtrl: expected a list of gradients of {len(x)} steps, one per state")
    T, B = x.shape[:2]
    sizes = [state.shape[1] for state in states]
    real = x.dtype.kind not in "iu"
    dx = np.zeros_like(x) if real else None
    dstates = [np.zeros_like(state) for state in states]
    dweights = [None if W is None else np.zeros_like(W) for W in weights]
    N = sum(W.size for W in weights if W is not None)
    width, S = (x.shape[2] if real else 0), sum(sizes)
    for b in range(B):
        # Columns of P: every weight, the initial state, the input of every step.
        P = np.zeros((S, N + S + T * width))
        P[:, N : N + S] = np.eye(S)
        total = np.zeros(P.shape[1])
        row = [state[b] for state in states]
        for t in range(T):
            row, J, immediate, entry = _step(forward, backward, x[t, b], row, weights)
            P = J @ P  # (2)
            P[:, :N] += immediate
            if real:
                P[:, N + S + t * width : N + S + (t + 1) * width] = entry
            total += np.concatenate([dout[t, b] for dout in douts]) @ P  # (3)
        start = 0
        for dW in dweights:
            if dW is not None:
                np.add(dW, total[start : start + dW.size].reshape(dW.shape), out=dW)
                start += dW.size
        for dstate, part in zip(
            dstates, np.split(total[N : N + S], np.cumsum(sizes)[:-1]), strict=True
        ):
            dstate[b] = part
        if dx is not None:
            dx[:, b] = total[N + S :].reshape(T, width)
    return [dx, *dstates, *dweights]


def _step(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x_t: Any,
    row: list[Array],
    weights: list[Any],
) -> tuple[list[Array], Array, Array, Array | None]:
    """Return the next state, J_t (S, S), I_t (S, N) and ds_t/dx_t (S, D): equation (1)."""
    S = sum(len(part) for part in row)
    copies = [np.tile(part, (S, 1)) for part in row]
    x = np.broadcast_to(x_t, (1, S, *np.shape(x_t))).copy()
    outputs, cache = forward(x, *copies, *weights)
    trajectories = outputs if isinstance(outputs, tuple) else (outputs,)
    identity = np.split(np.eye(S)[None], np.cumsum([len(part) for part in row])[:-1], axis=2)
    gradients = backward(*identity, cache, keep="b")
    J = np.concatenate(gradients[1 : 1 + len(row)], axis=1)
    shares = [
        g.reshape(S, -1)
        for g, W in zip(gradients[1 + len(row) :], weights, strict=False)
        if W is not None
    ]
    entry = None if gradients[0] is None else gradients[0][0]
    return [out[0, 0] for out in trajectories], J, np.concatenate(shares, axis=1), entry
