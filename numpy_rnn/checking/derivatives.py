"""Derivatives that need no backward pass through time.

    (1) complex step   Im f(v + ihd) / h = f'(v) d + O(h^2)         nothing is subtracted, so h
                       can be 1e-30 and the result is exact to the last bits
                       (Squire & Trapp 1998)
    (2) differences    (f(v + hd) - f(v - hd)) / 2h = f'(v) d + a h^2 + b h^4 + ...
                       at h, h/2, h/4, ... Richardson's extrapolation removes the powers of h one
                       by one, and ends where the results differ least: about 1e-11 in float64

f is sum(dout * out). d is the direction in which v moves: one element, or a random projection.

    (3) RTRL           the gradient carried forwards in time (Williams & Zipser 1989)

BPTT keeps the states and goes back through them. RTRL keeps nothing of the past except the
influence of every weight on the state, and updates it at every step:

    (4) J_t = ds_t / ds_{t-1},   I_t = ds_t / dW with s_{t-1} held fixed
    (5) P_t = J_t P_{t-1} + I_t                             P_t = ds_t / dW, P_0 = 0
    (6) dW  = sum_t P_t^T ds_t                              ds_t: the loss's gradient at s_t

s is the whole state, S numbers: for an LSTM, h and c together. The same recursion serves the
initial state and the inputs, with I_t where the variable enters.

J_t and I_t come from the pair's own backward on one timestep. Its batch is S copies of the state,
and the gradient of its outputs is the identity. Copy i then returns row i of J_t, and
``keep="b"`` keeps its row of I_t. So RTRL shares each step's derivative with BPTT, and shares
nothing of what can go wrong between the steps: the carry, the sum, the order of time.

The price is time: O(S^2 N) a step for N weights, where BPTT takes O(N). docs/checking.md compares.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from numpy_rnn.checking.nested import as_tuple
from numpy_rnn.checking.target import Point, largest, of_real
from numpy_rnn.functional.types import Array

STEP = 1e-30  # h of (1)
LEVELS = 9  # of (2): h is halved so often
# The complex step, also with what stands in for what is not analytic (``traced.py``), or (2).
Method = Literal["complex step", "stand-ins", "central differences"]
METHODS: tuple[Method, ...] = "complex step", "stand-ins", "central differences"


class Derivative(NamedTuple):
    """A directional derivative of the loss, and the uncertainty of its value."""

    value: float
    noise: float  # the largest error that rounding can cause; 0 for the complex step


def directional(point: Point, directions: Mapping[str, Array], method: Method) -> Derivative:
    """Return the derivative of sum(dout * out) along directions of named values: (1) or (2)."""
    values = {name: point.values[name] for name in directions}
    if method != "central differences":
        moved = {n: v + 1j * (STEP * directions[n]) for n, v in values.items()}
        outputs = point.outputs_with(moved, use_stand_ins=method == "stand-ins")
        with np.errstate(under="ignore", invalid="ignore", over="ignore"):
            total = sum(
                float(np.sum(np.imag(out) / STEP * dout))
                for out, dout in zip(outputs, point.douts, strict=True)
            )
        return Derivative(total, 0.0)  # (1)
    return _extrapolated(point, directions)


def _extrapolated(point: Point, directions: Mapping[str, Array]) -> Derivative:
    """Return equation (2), from the steps that agree best."""
    values = {name: point.values[name] for name in directions}
    # Numbers pass through float32 if what goes in has it, or what comes out.
    single = any(np.float32 == a.dtype for a in (*values.values(), *point.douts))
    h = (0.25 if single else 0.0625) / max(largest(*directions.values()), 1e-290)
    eps = 1.2e-7 if single else 2.3e-16

    def slope(h: float) -> tuple[float, float]:
        up, down = (
            point.outputs_with(
                {n: (v + s * h * directions[n]).astype(v.dtype) for n, v in values.items()}
            )
            for s in (1, -1)
        )
        rise, size = 0.0, 0.0
        for a, b, dout in zip(up, down, point.douts, strict=True):
            rise += float(np.sum((np.asarray(a, float) - b) * dout))
            # An output that does not change has no rounding error in float64. In float32 it may
            # have changed by less than its last bit.
            size += float(np.sum(np.abs(a * dout) * (single | (a != b))))
        return rise / (2 * h), eps * size / h

    best, row = Derivative(0.0, np.inf), list[float]()
    for level in range(LEVELS if single else 2 * LEVELS):
        rough, noise = slope(h * 0.5**level)
        previous, row = row, [rough]
        # Near a kink, where no power of h can be removed, only a small h is on one side.
        found = [Derivative(rough, abs(rough - previous[0]) + noise)] if previous else []
        for k, before in enumerate(previous):
            row.append(row[-1] + (row[-1] - before) / (4 ** (k + 1) - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - before)) + noise
            found.append(Derivative(row[-1], error))
        best = min([best, *found], key=attrgetter("noise"))
        if best.noise <= (1e-11 if level < LEVELS - 1 else 1e-6) * abs(best.value):
            break
    return best  # (2)


def gradient(point: Point, name: str, method: Method) -> Array:
    """Return the gradient of one value, element by element."""
    value = point.values[name]
    found = np.zeros(value.shape, np.result_type(value.dtype, np.float64))
    for index in np.ndindex(value.shape):
        direction = np.zeros(value.shape, value.dtype)
        direction[index] = 1
        found[index] = directional(point, {name: direction}, method).value
    return found


def is_analytic(point: Point, names: Sequence[str], method: Method) -> bool:
    """Whether the complex step gives the slope of central differences, for all values at once.

    It does not if the code refuses complex numbers, drops an imaginary part or warns. Both are
    taken in double precision.
    """
    point = point._replace(values=of_real(lambda v: v.astype(np.float64), point.values))
    rng = np.random.default_rng(0)
    directions = {}
    for name in names:
        value = point.values[name]
        scale = min(1.0, largest(value) or 1.0)
        directions[name] = np.asarray(rng.standard_normal(value.shape) * scale, value.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            exact = directional(point, directions, method).value
    except Exception:  # whatever code raises that was not written for complex numbers
        return False
    rough = directional(point, directions, "central differences")
    slack = 1e-7 * abs(rough.value) + 100 * rough.noise + 1e-9
    return bool(np.isfinite(exact) and abs(exact - rough.value) <= slack)


def rtrl(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    douts: Sequence[Array],
) -> list[Array | None]:
    """Return the gradients of a recurrent pair by real-time recurrent learning.

    Parameters
    ----------
    forward, backward : callable
        The pair. Its arguments are the input, one state for each output, and weights. Each
        output is the trajectory of a state. `backward` takes ``keep="b"``.
    arguments : sequence
        ``x`` (T, B, D), or (T, B) of int; the states (B, size); the weights.
    douts : sequence of (T, B, size) arrays
        Gradient of each output, as long as the input.

    Returns
    -------
    gradients : list of arrays, None for an integer x or a weight that is None
        Equation (6), for every argument.

    References
    ----------
    Williams & Zipser, A learning algorithm for continually running fully recurrent neural
    networks, 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn.functional import gru_backward, gru_forward
    >>> rng = np.random.default_rng(0)
    >>> shapes = [(9, 2, 3), (2, 4), (12, 3), (12, 4), (12,), (12,)]
    >>> arguments = [rng.standard_normal(shape) for shape in shapes]
    >>> h, cache = gru_forward(*arguments)
    >>> by_rtrl, by_bptt = rtrl(gru_forward, gru_backward, arguments, [h]), gru_backward(h, cache)
    >>> all(np.allclose(a, b, rtol=1e-10) for a, b in zip(by_rtrl, by_bptt))
    True
    """
    x = np.asarray(arguments[0])
    # An integer array could not hold its gradient.
    rest: list[Any] = [
        None if a is None else np.asarray(a, np.result_type(a, np.float32)) for a in arguments[1:]
    ]
    states, weights = rest[: len(douts)], rest[len(douts) :]
    if any(len(dout) != len(x) for dout in douts):
        raise ValueError(f"rtrl: expected a list of gradients of {len(x)} steps, one per state")
    T, B = x.shape[:2]
    real = x.dtype.kind not in "iu"
    D, N = x.shape[2] if real else 0, sum(W.size for W in weights if W is not None)
    S = sum(state.shape[1] for state in states)
    totals = np.zeros((B, N + S + T * D))
    for b in range(B):
        # The columns of P: every weight, the initial state, the input of every step.
        P = np.zeros((S, N + S + T * D))
        P[:, N : N + S] = np.eye(S)
        row = [state[b] for state in states]
        for t in range(T):
            row, J, dW_t, dx_t = _one_step(forward, backward, x[t, b], row, weights)
            P = J @ P  # (5)
            P[:, :N] += dW_t
            if real:
                P[:, N + S + t * D : N + S + (t + 1) * D] = dx_t
            totals[b] += np.concatenate([dout[t, b] for dout in douts]) @ P  # (6)
    sizes = [0 if W is None else W.size for W in weights] + [state.shape[1] for state in states]
    *parts, last = np.split(totals, np.cumsum(sizes), axis=1)
    dx = last.reshape(B, T, D).swapaxes(0, 1).astype(x.dtype) if real else None
    dstates = [part.astype(a.dtype) for part, a in zip(parts[len(weights) :], states, strict=True)]
    dweights = [
        None if W is None else part.sum(axis=0).reshape(W.shape).astype(W.dtype)
        for W, part in zip(weights, parts, strict=False)
    ]
    return [dx, *dstates, *dweights]


def _one_step(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x_t: Any,
    row: list[Array],
    weights: list[Any],
) -> tuple[list[Array], Array, Array, Array | None]:
    """Return the next state, J_t (S, S), I_t (S, N) and ds_t/dx_t (S, D): equation (4)."""
    S = sum(len(part) for part in row)
    copies = [np.tile(part, (S, 1)) for part in row]
    x = np.broadcast_to(x_t, (1, S, *np.shape(x_t))).copy()
    outputs, cache = forward(x, *copies, *weights)
    identity = np.split(np.eye(S)[None], np.cumsum([len(part) for part in row])[:-1], axis=2)
    gradients = backward(*identity, cache, keep="b")
    J = np.concatenate(gradients[1 : 1 + len(row)], axis=1)
    by_row = [
        g.reshape(S, -1)
        for g, W in zip(gradients[1 + len(row) :], weights, strict=False)
        if W is not None
    ]
    dx_t = None if gradients[0] is None else gradients[0][0]
    return [out[0, 0] for out in as_tuple(outputs)], J, np.concatenate(by_row, axis=1), dx_t
