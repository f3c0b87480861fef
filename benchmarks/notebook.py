"""How long one epoch takes at the size of the notebook that this project starts from.

An epoch is 49 steps of 35 classes through 35 hidden units from a zero state, in float32:
forward, the mean squared error of each step added up, one backward, one Adam step. All
contenders start from the same weights and must report the same losses before the clock
starts. Then whole processes are timed from a cold start.

    python -m benchmarks.notebook [--rounds N] [--json]

torch and jax come with the extra ``benchmark``; without them their lines are left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import RNN, Adam, Linear, MSELoss, Sequential
from numpy_rnn.apps import Vocabulary
from numpy_rnn.apps.recall import CHARACTERS, SENTENCE
from numpy_rnn.functional.types import Array

SIZE = len(CHARACTERS)  # of the input, of the hidden layer and of the output
TURN = 0.1  # seconds: long enough for caches to forget the contender before
PROCESS_ROUNDS = 5

Weights = dict[str, Array]
Epoch = Callable[[], Any]  # trains once over the sentence and returns the loss


def one_hot_sentence() -> tuple[Array, Array]:
    """Return input and target, (49, 35) each: the sentence and the same one token later."""
    rows = np.eye(SIZE, dtype=np.float32)[Vocabulary(CHARACTERS).encode(f"0{SENTENCE}1")]
    return rows[:-1], rows[1:]


def new_model() -> Sequential:
    """Return the notebook's model, always with the same weights."""
    rng = np.random.default_rng(0)
    return Sequential(
        rnn=RNN(SIZE, SIZE, rng=rng, dtype=np.float32),
        i2o=Linear(SIZE, SIZE, rng=rng, dtype=np.float32),
    )


def this_library(weights: Weights, x: Array, target: Array) -> Epoch:
    """Train with numpy_rnn."""
    model = new_model()
    model.load_state_dict(weights)
    loss_function = MSELoss("sum_over_time")
    optimizer = Adam(model.parameters, lr=1e-3)

    def epoch() -> Any:
        y, _ = model.forward(x)
        loss = loss_function.forward(y, target)
        optimizer.zero_grad()
        model.backward(loss_function.backward())
        optimizer.step()
        return loss

    return epoch


def notebook_loop(weights: Weights, x: Array, target: Array) -> Epoch:
    """Train as the notebook does: its own module in PyTorch, a Python loop over the steps."""
    import torch  # noqa: PLC0415 (optional)

    from tests.apps import notebook  # noqa: PLC0415 (imports torch)

    torch.set_num_threads(1)
    model = new_model()
    model.load_state_dict(weights)
    rows = torch.tensor(np.concatenate([x, target[-1:]]))
    return partial(next, notebook.epochs(notebook.NotebookRNN(model, torch.float32), rows))


def torch_rnn(weights: Weights, x: Array, target: Array) -> Epoch:
    """Train with PyTorch's own layer over the whole sequence and its fused Adam."""
    import torch  # noqa: PLC0415 (optional)
    from torch import nn  # noqa: PLC0415 (optional)

    torch.set_num_threads(1)
    rnn, i2o = nn.RNN(SIZE, SIZE), nn.Linear(SIZE, SIZE)
    model = nn.ModuleDict({"rnn": rnn, "i2o": i2o})
    model.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    xs, targets = torch.tensor(x), torch.tensor(target)
    loss_function = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> Any:
        optimizer.zero_grad()
        h, _ = rnn(xs)
        loss = loss_function(i2o(h), targets) * len(xs)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return epoch


def jax_step(weights: Weights, x: Array, target: Array, *, hoisted: bool) -> Epoch:
    """Train with one compiled program per epoch, the projections inside or outside its loop."""
    import jax  # noqa: PLC0415 (optional)
    from jax import numpy as jnp  # noqa: PLC0415 (optional)

    wait: Any = jax.block_until_ready
    tree_map, scan, h0 = jax.tree.map, jax.lax.scan, jnp.zeros(SIZE)

    def loss_of(p: Any, x: Any, target: Any) -> Any:
        W_ih, W_hh, b_ih, b_hh, W, b = p

        def cell(h: Any, x_t: Any) -> Any:
            h = jnp.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
            return h, h @ W.T + b

        def recurrence(h: Any, a_t: Any) -> Any:
            h = jnp.tanh(a_t + h @ W_hh.T + b_hh)
            return h, h

        if hoisted:
            y = scan(recurrence, h0, x @ W_ih.T + b_ih)[1] @ W.T + b
        else:
            y = scan(cell, h0, x)[1]
        return jnp.sum(jnp.mean((y - target) ** 2, axis=1))

    def train(p: Any, m: Any, v: Any, t: Any, x: Any, target: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(p, x, target)
        t += 1
        m = tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        p = tree_map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), p, m, v)
        return (p, m, v, t), loss

    step = jax.jit(train)
    p = tuple(jnp.asarray(w) for w in weights.values())
    state = (p, tree_map(jnp.zeros_like, p), tree_map(jnp.zeros_like, p), jnp.zeros(()))
    data = jnp.asarray(x), jnp.asarray(target)

    def epoch() -> Any:
        nonlocal state
        state, loss = step(*state, *data)
        wait((state, loss))
        return loss

    return epoch


THIS = "numpy_rnn"
CONTENDERS: dict[str, Callable[[Weights, Array, Array], Epoch]] = {
    THIS: this_library,
    "the notebook's loop": notebook_loop,
    "nn.RNN + fused Adam": torch_rnn,
    "JAX, one jit step": partial(jax_step, hoisted=False),
    "JAX, hoisted by hand": partial(jax_step, hoisted=True),
}
# Their time divided by this library's, to reach.
AT_LEAST = {
    "the notebook's loop": 40.0,
    "nn.RNN + fused Adam": 10.0,
    "JAX, one jit step": 1.0,
    "JAX, hoisted by hand": 1.0,
}
ADDED = "what numpy_rnn adds to numpy"
COLD_STARTS: dict[str, Callable[[], float]] = {
    "import numpy": partial(timing.process_seconds, "-c", "import numpy"),
    "import numpy_rnn": partial(timing.process_seconds, "-c", "import numpy_rnn"),
    "import torch": partial(timing.process_seconds, "-c", "import torch"),
    "numpy-rnn recall": partial(timing.process_seconds, "-m", "numpy_rnn", "recall"),
    ADDED: partial(timing.import_seconds, "numpy_rnn", after="numpy"),
}


def start_all(left_out: dict[str, str]) -> dict[str, Epoch]:
    """Return the contenders that are installed, after five epochs with the same losses.

    Raises
    ------
    AssertionError
        If a contender does other work than this library.
    """
    weights, (x, target) = new_model().state_dict(), one_hot_sentence()
    epochs: dict[str, Epoch] = {}
    for name, start in CONTENDERS.items():
        try:
            epochs[name] = start(weights, x, target)
        except ImportError as error:
            left_out[name] = str(error)
    losses = {name: [float(epoch()) for _ in range(5)] for name, epoch in epochs.items()}
    for name in epochs:
        np.testing.assert_allclose(losses[name], losses[THIS], rtol=1e-4, err_msg=name)
    return epochs


def compare_epochs(rounds: int, left_out: dict[str, str]) -> timing.Results:
    """Time an epoch of every contender and divide by this library's."""
    epochs = start_all(left_out)
    turns = {name: partial(timing.call_seconds, epoch, TURN) for name, epoch in epochs.items()}
    times = timing.alternate(turns, rounds)
    return timing.at_least(timing.medians(times), times, AT_LEAST, THIS)


def compare_cold_starts(left_out: dict[str, str]) -> timing.Results:
    """Time whole processes, and what importing this library adds to importing NumPy."""
    able = timing.working(COLD_STARTS, left_out)
    results = timing.medians(timing.alternate(able, PROCESS_ROUNDS))
    at_most = {ADDED: 0.015}
    if "import torch" in results:
        at_most["numpy-rnn recall"] = results["import torch"]["seconds"] + 1
    return timing.at_most(results, at_most)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="One epoch at the notebook's size, in ratios.")
    parser.add_argument("--rounds", type=int, default=60, help="turns of each contender")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    left_out: dict[str, str] = {}
    where = timing.surroundings("numpy", "torch", "jax")
    epochs = compare_epochs(options.rounds, left_out)
    cold_starts = compare_cold_starts(left_out)
    if options.json:
        results = {"surroundings": where, "epoch": epochs, "cold_start": cold_starts}
        print(json.dumps(results | {"left_out": left_out}, indent=2))
        return
    print(", ".join(f"{name} {what}" for name, what in where.items()))
    timing.show("One epoch, one thread, medians; ratios to numpy_rnn (quartiles)", epochs, "us")
    timing.show("Cold start of whole processes, medians", cold_starts, "ms")
    for name, reason in left_out.items():
        print(f"  {name} left out: {reason}")


if __name__ == "__main__":
    main()
