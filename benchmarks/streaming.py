"""Single timesteps and blocks of them, in float32 on one thread: what a service pays.

    python -m benchmarks.streaming [--rounds N]

A function of ``layer.stepper()`` at B = 1, 8 and 64 beside torch.nn.LSTMCell, torch.nn.LSTM on a
sequence of one, and ONNX Runtime, each carrying its state. Ratios are the other's time divided by
numpy_rnn's. "calls alone" is the time of the NumPy calls that a step needs at least, on existing
arrays that are overwritten: nothing is checked and nothing new is returned.

Then a block of k steps at once beside k single steps, and 48 kHz audio through an LSTM of 40 units
and a Linear in blocks of 128 samples. These two are measured in processor time. Packages that are
not installed are left out; for ONNX Runtime: ``pip install onnxruntime onnx``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import GRU, LSTM, Linear, Sequential
from numpy_rnn.functional.types import Array

Run = Callable[[], Any]
CELLS: dict[str, Any] = {"LSTM": LSTM, "GRU": GRU}
SIZES = ((32, 1), (128, 1), (512, 1), (32, 8), (128, 8), (32, 64), (128, 64))  # H, B
BLOCKS = (4, 8, 32, 128)  # k
AIMS = {32: 2, 128: 2, 512: 1.1}  # at B = 1, ONNX Runtime's time divided by this library's


def this_library(layer: Any, x: Array) -> Run:
    """Step with numpy_rnn."""
    take_step = layer.stepper()
    state: Any = take_step(x)[1]

    def step() -> Array:
        nonlocal state
        y: Array
        y, state = take_step(x, state)
        return y

    return step


def calls_alone(cell: str, layer: Any, x: Array) -> Run:
    """Make the NumPy calls of a step: the products, and what is elementwise."""
    H, (B, D) = layer.hidden_size, x.shape
    G = len(layer.parameters.values["weight_ih_l0"])
    W_ih_T, W_hh_T, W_T = (np.ones((K, G), np.float32) for K in (D, H, D + H + 1))
    a, s, b, half = (np.full((B, G), 0.5, np.float32) for _ in range(4))
    h, c, work = (np.zeros((B, H), np.float32) for _ in range(3))
    x_h_1 = np.ones((B, D + H + 1), np.float32)
    x_part, h_part = x_h_1[:, :D], x_h_1[:, D : D + H]
    blocks = [a[:, start : start + H] for start in range(0, G, H)]
    rz, a_rz, half_rz = (array[:, : 2 * H] for array in (s, a, half))
    r, z, s_n = s[:, :H], s[:, H : 2 * H], s[:, 2 * H : 3 * H]
    a_n, bias_n = a[:, 2 * H : 3 * H], b[:, :H]

    def lstm() -> None:
        i, f, g, o = blocks
        x_part[...], h_part[...] = x, h
        x_h_1.dot(W_T, a)
        np.tanh(a, a)
        np.multiply(a, half, a)
        np.add(a, half, a)
        np.multiply(f, c, c)
        np.multiply(i, g, work)
        np.add(c, work, c)
        np.tanh(c, work)
        np.multiply(o, work, h)

    def gru() -> None:
        x.dot(W_ih_T, a)
        np.add(a, b, a)
        h.dot(W_hh_T, s)
        np.add(rz, a_rz, rz)
        np.tanh(rz, rz)
        np.multiply(rz, half_rz, rz)
        np.add(rz, half_rz, rz)
        np.add(s_n, bias_n, s_n)
        np.multiply(r, s_n, work)
        np.add(a_n, work, work)
        np.tanh(work, work)
        np.subtract(h, work, h)
        np.multiply(h, z, h)
        np.add(h, work, h)

    return lstm if cell == "LSTM" else gru


def processor_seconds(action: Run, calls: int) -> float:
    """Return the mean processor time of a call."""
    start = process_time()
    for _ in range(calls):
        action()
    return (process_time() - start) / calls


def print_blocks(rounds: int) -> None:
    """Print how much faster a block of k steps is than k steps."""
    print(f"\na block beside single steps, k = {', '.join(map(str, BLOCKS))}   (at least 1.5x)")
    for cell, kind in CELLS.items():
        for H, B in ((32, 1), (32, 16), (128, 1), (512, 1)):
            step = kind(H, H, rng=0, dtype=np.float32).stepper()
            blocks = [np.ones((k, B, H), np.float32) for k in BLOCKS]
            state = step(blocks[0])[1]
            turns = {"1": partial(processor_seconds, partial(step, blocks[0][0], state), 200)}
            turns |= {
                str(len(x)): partial(processor_seconds, partial(step, x, state), 200 // len(x) + 1)
                for x in blocks
            }
            times = timing.alternate(turns, rounds)
            line = f"{cell:5} H = {H:3}  B = {B:2}  a step {median(times['1']) * 1e6:6.1f} us   "
            for k in BLOCKS:
                each = zip(times["1"], times[str(k)], strict=True)
                line += f"{median(k * one / block for one, block in each):6.2f}x"
            print(line, flush=True)


def print_audio(rounds: int) -> None:
    """Print how many times faster than real time audio runs in blocks."""
    lstm, linear = LSTM(1, 40, rng=0, dtype=np.float32), Linear(40, 1, rng=1, dtype=np.float32)
    step = Sequential(lstm, linear).stepper()
    blocks = np.random.default_rng(0).uniform(-1, 1, (375, 128, 1, 1)).astype(np.float32)

    def second() -> None:
        state: Any = None
        for block in blocks:
            _, state = step(block, state)

    taken = median(processor_seconds(second, 1) for _ in range(rounds))
    print("\naudio at 48 kHz, LSTM of 40 units, blocks of 128: ", end="")
    print(f"{1 / taken:.1f}x real time (at least 3x)")


def torch_steps(cell: str, layer: Any, x: Array, *, sequence: bool) -> Run:
    """Step with the cell, or with the layer on a sequence of one."""
    import torch  # noqa: PLC0415 (optional)

    torch.set_num_threads(1)
    weights = {name: torch.from_numpy(w) for name, w in layer.state_dict().items()}
    kind = getattr(torch.nn, cell if sequence else f"{cell}Cell")
    theirs = kind(x.shape[1], layer.hidden_size)
    theirs.load_state_dict(
        weights if sequence else {name[: -len("_l0")]: w for name, w in weights.items()}
    )
    tx = torch.from_numpy(x)[None] if sequence else torch.from_numpy(x)
    state: Any = None

    def step() -> Any:
        nonlocal state
        with torch.no_grad():
            if sequence:
                y, state = theirs(tx, state)
                return y[0]
            state = theirs(tx, state)
            return state[0] if isinstance(state, tuple) else state

    return step


def onnx_steps(cell: str, layer: Any, x: Array) -> Run:
    """Step with ONNX Runtime on a graph of one node."""
    import onnx  # noqa: PLC0415 (optional)
    import onnxruntime  # noqa: PLC0415 (optional)
    from onnx import helper  # noqa: PLC0415 (optional)

    H, (B, D) = layer.hidden_size, x.shape
    # ONNX orders the LSTM's gates i, o, f, c and the GRU's z, r, h.
    order = (0, 3, 1, 2) if cell == "LSTM" else (1, 0, 2)

    def gates(w: Array) -> Array:
        blocks = w.reshape(len(order), H, -1)[list(order)]
        return blocks.reshape(1, -1, blocks.shape[2])

    v = layer.parameters.values
    constants = {
        "W": gates(v["weight_ih_l0"]),
        "R": gates(v["weight_hh_l0"]),
        "B": np.concatenate([gates(v["bias_ih_l0"]), gates(v["bias_hh_l0"])], axis=1)[:, :, 0],
    }
    names = ("h", "c") if cell == "LSTM" else ("h",)
    options: dict[str, Any] = {} if cell == "LSTM" else {"linear_before_reset": 1}
    node = helper.make_node(
        cell,
        ["X", "W", "R", "B", "", *names],
        ["", *(f"{name}_n" for name in names)],
        hidden_size=H,
        **options,
    )

    def value(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        "step",
        [value("X", (1, B, D)), *(value(name, (1, B, H)) for name in names)],
        [value(f"{name}_n", (1, B, H)) for name in names],
        [onnx.numpy_helper.from_array(w, name) for name, w in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    feed = {"X": x[None]} | {name: np.zeros((1, B, H), np.float32) for name in names}

    def step() -> Array:
        outputs = session.run(None, feed)
        feed.update(zip(names, outputs, strict=True))
        return np.asarray(outputs[0][0])

    return step


def main() -> None:
    """Print a line for each cell and size."""
    parser = argparse.ArgumentParser(description="Single steps and blocks.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    options = parser.parse_args()
    where = timing.surroundings("numpy", "torch", "onnxruntime")
    print(", ".join(f"{name} {what}" for name, what in where.items()))
    others: dict[str, Callable[..., Run]] = {
        "nn cell": partial(torch_steps, sequence=False),
        "nn layer": partial(torch_steps, sequence=True),
        "ONNX Runtime": onnx_steps,
    }
    for cell, kind in CELLS.items():
        for H, B in SIZES:
            x = np.random.default_rng(0).standard_normal((B, H)).astype(np.float32)
            layer = kind(H, H, rng=0, dtype=np.float32)
            runs = {"numpy_rnn": this_library(layer, x)}
            for name, start in others.items():
                try:
                    runs[name] = start(cell, layer, x)
                except ImportError:
                    continue
                for _ in range(3):
                    theirs = np.asarray(runs[name]())
                state: Any = None
                for _ in range(3):
                    y, state = layer.step(x, state)
                np.testing.assert_allclose(theirs, y, rtol=1e-4, atol=1e-5)
            runs["calls alone"] = calls_alone(cell, layer, x)
            turns = {n: partial(timing.call_seconds, run, 0.03) for n, run in runs.items()}
            times = timing.alternate(turns, options.rounds)
            ours = median(times["numpy_rnn"]) * 1e6
            line = f"{cell:5} H = {H:3}  B = {B:2}  numpy_rnn {ours:6.1f} us"
            for name in list(runs)[1:]:
                each = zip(times[name], times["numpy_rnn"], strict=True)
                line += f"   {name} {median(t / m for t, m in each):.2f}x"
            print(f"{line}   (ONNX Runtime: at least {AIMS[H]}x)" if B == 1 else line, flush=True)
    print_blocks(options.rounds)
    print_audio(options.rounds)


if __name__ == "__main__":
    main()
