"""An LSTM layer beside torch.nn.LSTM and a jit-compiled JAX scan, in float32.

    python -m benchmarks.layers [--rounds N]

Forward alone and forward + backward, all in alternating turns of one run, first with one thread
each, then with two. Ratios are the other's time divided by numpy_rnn's: above 1, numpy_rnn is
faster. The column "share" is the share of the machine's matrix-product rate that numpy_rnn's
forward + backward reaches: its products' operations in the time that one large product would
take. The column "bound" is torch's time divided by that of the matrix products alone, called from
NumPy as numpy_rnn calls them. No implementation of the rest can exceed it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks import timing

if "--threads" in sys.argv:  # before the libraries are imported
    os.environ.update(timing.threads(int(sys.argv[sys.argv.index("--threads") + 1])))

import numpy as np

from numpy_rnn import LSTM
from numpy_rnn.functional.blocking import blocked_matmul
from numpy_rnn.functional.types import Array

SIZES = (  # B, T, D, H, and what to reach in forward + backward against torch on one thread
    (1, 64, 64, 64, 0.7),
    (8, 64, 64, 64, 0.7),
    (32, 64, 64, 128, 1.0),
    (32, 64, 128, 256, 1.0),
    (64, 100, 256, 512, 1.0),
)
Run = Callable[[], Any]


def this_library(x: Array, dy: Array, H: int) -> tuple[Run, Run, dict[str, Array]]:
    """Return forward, forward + backward, and the weights."""
    layer = LSTM(x.shape[2], H, rng=0, dtype=np.float32)

    def both() -> Array:
        y: Array
        y, _ = layer.forward(x)
        layer.zero_grad()
        layer.backward(dy)
        return y

    return lambda: layer.apply(x)[0], both, layer.state_dict()


def products_alone(x: Array, dy: Array, H: int) -> Run:
    """Return the six matrix products of forward + backward, with nothing between them."""
    (T, B, D), f32 = x.shape, np.float32
    rows, h, dz = x.reshape(T * B, D), dy, np.ones((T, B, 4 * H), f32)
    W_ih, W_hh = np.ones((4 * H, D), f32), np.ones((4 * H, H), f32)
    forth = blocked_matmul(W_hh.T, np.empty((B, 4 * H), f32), T)
    back = blocked_matmul(W_hh, np.empty((B, H), f32), T)

    def run() -> None:
        rows.dot(W_ih.T)
        for h_t in h:
            forth(h_t)
        for dz_t in dz:
            back(dz_t)
        flat = dz.reshape(T * B, 4 * H)
        flat.T.dot(h.reshape(T * B, H))
        flat.T.dot(rows)
        flat.dot(W_ih)

    return run


def torch_lstm(x: Array, dy: Array, H: int, weights: dict[str, Array]) -> tuple[Run, Run]:
    """Return the same of torch.nn.LSTM. Its forward alone builds no graph."""
    import torch  # noqa: PLC0415 (optional)

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layer = torch.nn.LSTM(x.shape[2], H)
    layer.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    tx, td = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)

    def forward() -> Any:
        with torch.no_grad():
            return layer(tx)[0]

    def both() -> Any:
        layer.zero_grad()
        tx.grad = None
        y, _ = layer(tx)
        y.backward(td)
        return y.detach()

    return forward, both


def jax_scan(x: Array, dy: Array, H: int, weights: dict[str, Array]) -> tuple[Run, Run]:
    """Return the same of a scan with the input projection hoisted, compiled as a whole."""
    import jax  # noqa: PLC0415 (optional)
    from jax import numpy as jnp  # noqa: PLC0415 (optional)

    def lstm(x: Any, w: Any) -> Any:
        W_ih, W_hh, b_ih, b_hh = w

        def cell(state: Any, a: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(a + h @ W_hh.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((x.shape[1], H))
        return jax.lax.scan(cell, (zero, zero), x @ W_ih.T + b_ih + b_hh)[1]

    def gradients(x: Any, w: Any, dy: Any) -> Any:
        y, pull = jax.vjp(lstm, x, w)
        return y, pull(dy)

    forward, both = jax.jit(lstm), jax.jit(gradients)
    jx, jd, jw = jnp.asarray(x), jnp.asarray(dy), tuple(map(jnp.asarray, weights.values()))
    wait: Any = jax.block_until_ready
    return lambda: wait(forward(jx, jw)), lambda: wait(both(jx, jw, jd))[0]


def ratio(theirs: list[float], ours: list[float]) -> str:
    """Return the median of the rounds' ratios, or a dash where there are none."""
    each = [t / m for t, m in zip(theirs, ours, strict=False)]
    return f"{median(each):5.2f}x" if each else "     -"


def measure(rounds: int) -> None:
    """Print a line for each size, with this process's number of threads."""
    print(f"\n{os.environ['OMP_NUM_THREADS']} thread(s)")
    large = np.ones((1024, 1024), np.float32)
    print(
        "B, T, D, H             forward: torch   JAX   "
        "forward + backward: torch   JAX   bound  share"
    )
    for B, T, D, H, target in SIZES:
        rng = np.random.default_rng(0)
        x, dy = (rng.standard_normal((T, B, n)).astype(np.float32) for n in (D, H))
        forward, both, weights = this_library(x, dy, H)
        runs: dict[str, tuple[Run, Run]] = {"numpy_rnn": (forward, both)}
        for name, start in (("torch", torch_lstm), ("JAX", jax_scan)):
            try:
                runs[name] = start(x, dy, H, weights)
            except ImportError:
                continue
            for mine, theirs in zip((forward, both), runs[name], strict=True):
                np.testing.assert_allclose(np.asarray(theirs()), mine(), rtol=1e-3, atol=1e-4)
        turns = {f"{name} {n}": run for name, pair in runs.items() for n, run in enumerate(pair)}
        turns["products 1"] = products_alone(x, dy, H)
        turns["large product"] = lambda: large @ large
        times = timing.alternate(
            {name: partial(timing.call_seconds, run, 0.1) for name, run in turns.items()}, rounds
        )
        columns = []
        for n in (0, 1):
            mine_times = times[f"numpy_rnn {n}"]
            columns += [
                ratio(times.get(f"{name} {n}", []), mine_times) for name in ("torch", "JAX")
            ]
        bound = ratio(times.get("torch 1", []), times["products 1"])
        operations = 3 * 2 * T * B * 4 * H * (D + H)
        share = (
            operations
            / (2 * 1024**3)
            * median(
                other / mine
                for other, mine in zip(times["large product"], times["numpy_rnn 1"], strict=True)
            )
        )
        size = f"({B}, {T}, {D}, {H})"
        one = os.environ["OMP_NUM_THREADS"] == "1"
        aim = f"  (torch: at least {target:g}x)" if one else ""
        shown = f"{columns[0]:>14} {columns[1]} {columns[2]:>20} {columns[3]} {bound}"
        print(f"{size:22} {shown} {share:6.0%}{aim}")


def main() -> None:
    """Run this script once for each number of threads."""
    parser = argparse.ArgumentParser(description="An LSTM layer beside PyTorch's and JAX's.")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--threads", type=int, help="measure in this process")
    options = parser.parse_args()
    if options.threads:
        measure(options.rounds)
        return
    where = timing.surroundings("numpy", "torch", "jax")
    print(", ".join(f"{name} {what}" for name, what in where.items()), flush=True)
    for threads in ("1", "2"):
        command = [sys.executable, "-m", "benchmarks.layers", "--rounds", str(options.rounds)]
        subprocess.run([*command, "--threads", threads], check=True)


if __name__ == "__main__":
    main()
