"""The cells, written once with the operations of any array library.

JAX, autograd, tinygrad, and PyTorch where it has no layer, run these equations. Each library hands
in its operations and its loop over time. The projections of the input are one product before the
loop, as in numpy_rnn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Weights = Mapping[str, Any]


class Ops(NamedTuple):
    """The operations of an array library.

    `split` cuts the last axis into equal blocks and `join` puts two together. `scan` calls
    ``step(state, a[t])`` for each t and returns the first part of each state, stacked.
    """

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    relu: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    cos: Callable[[Any], Any]
    sin: Callable[[Any], Any]
    split: Callable[[Any, int], Any]
    join: Callable[[Any, Any], Any]
    scan: Callable[[Callable[[Any, Any], Any], Any, Any], Any]


def loop(stack: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """Return a scan that is a plain Python loop."""

    def scan(step: Callable[[Any, Any], Any], state: Any, a: Any) -> Any:
        h = []
        for t in range(a.shape[0]):
            state = step(state, a[t])
            h.append(state[0])
        return stack(h)

    return scan


def rnn(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the Elman network."""
    return (o.tanh(a + state[0] @ w["weight_hh"].T),)


def indrnn(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the IndRNN."""
    return (o.relu(a + state[0] * w["weight_hh"]),)


def lstm(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the LSTM, with or without a projection."""
    i, f, g, out = o.split(a + state[0] @ w["weight_hh"].T, 4)
    c = o.sigmoid(f) * state[1] + o.sigmoid(i) * o.tanh(g)
    h = o.sigmoid(out) * o.tanh(c)
    return h @ w["weight_hr"].T if "weight_hr" in w else h, c


def peephole(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the LSTM with peepholes."""
    i, f, g, out = o.split(a + state[0] @ w["weight_hh"].T, 4)
    p = w["weight_ch"]
    i, f = o.sigmoid(i + p[0] * state[1]), o.sigmoid(f + p[1] * state[1])
    c = f * state[1] + i * o.tanh(g)
    return o.sigmoid(out + p[2] * c) * o.tanh(c), c


def gru(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the GRU whose reset gate comes after the product."""
    r, z, n = o.split(a, 3)
    s_r, s_z, s_n = o.split(state[0] @ w["weight_hh"].T + w["bias_hh"], 3)
    z = o.sigmoid(z + s_z)
    n = o.tanh(n + o.sigmoid(r + s_r) * s_n)
    return (n + z * (state[0] - n),)


def gru_reset_before(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the GRU whose reset gate comes before the product."""
    r, z, n = o.split(a, 3)
    H = r.shape[-1]
    s_r, s_z = o.split(state[0] @ w["weight_hh"][: 2 * H].T, 2)
    z = o.sigmoid(z + s_z)
    n = o.tanh(n + (o.sigmoid(r + s_r) * state[0]) @ w["weight_hh"][2 * H :].T)
    return (n + z * (state[0] - n),)


def mingru(o: Ops, _: Weights, state: Any, a: Any) -> Any:
    """Take one step of the minGRU."""
    z, n = o.split(a, 2)
    return (state[0] + o.sigmoid(z) * (n - state[0]),)


def lru(o: Ops, w: Weights, state: Any, a: Any) -> Any:
    """Take one step of the LRU. `w` holds its factors p, q and s."""
    re, im = o.split(state[0], 2)
    u_re, u_im = o.split(a, 2)
    p, q, s = w["p"], w["q"], w["s"]
    return (o.join(p * re - q * im + s * u_re, q * re + p * im + s * u_im),)


STEPS: dict[str, Callable[[Ops, Weights, Any, Any], Any]] = {
    "RNN": rnn,
    "LSTM": lstm,
    "LSTM projected": lstm,
    "PeepholeLSTM": peephole,
    "GRU": gru,
    "GRU reset before": gru_reset_before,
    "IndRNN": indrnn,
    "MinGRU": mingru,
    "LRU": lru,
}


def run(o: Ops, cell: str, x: Any, state: Any, w: Weights) -> Any:
    """Return the outputs at every step."""
    a = x @ w["weight_ih"].T
    if "bias_ih" in w:
        a = a + (w["bias_ih"] + w["bias_hh"] if _one_bias(cell, w) else w["bias_ih"])
    if cell == "LRU":
        r, omega = o.exp(-o.exp(w["nu_log"])), o.exp(w["theta_log"])
        w = {"p": r * o.cos(omega), "q": r * o.sin(omega), "s": o.exp(w["gamma_log"])}
    return o.scan(lambda state, a_t: STEPS[cell](o, w, state, a_t), state, a)


def _one_bias(cell: str, w: Weights) -> bool:
    """Whether the two biases are only used as their sum."""
    return "bias_hh" in w and cell != "GRU"
