"""Random options against ONNX Runtime and Keras: ``python -m benchmarks.options --count 1000``.

Each ONNX node draws cell, activations with constants, clip, direction, peepholes, both resets,
initial states and lengths. Each Keras model draws a mask with holes, merge modes and activations.
Printed is the largest difference relative to the largest number of an output. ONNX Runtime computes
in float32. Needs ``pip install onnx onnxruntime keras torch``.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from numpy_rnn import GRU, LSTM, RNN, LastStep, PeepholeLSTM, Sequential
from numpy_rnn.functional.types import Array

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is imported
import keras

# ONNX's name, ours, and how many constants ONNX Runtime reads.
ACTIVATIONS = [
    ("Relu", "relu", 0),
    ("Tanh", "tanh", 0),
    ("Sigmoid", "sigmoid", 0),
    ("Affine", "affine", 2),
    ("LeakyRelu", "leaky_relu", 1),
    ("ThresholdedRelu", "thresholded_relu", 1),
    ("ScaledTanh", "scaled_tanh", 2),
    ("HardSigmoid", "hard_sigmoid", 2),
    ("Elu", "elu", 1),
    ("Softsign", "softsign", 0),
    ("Softplus", "softplus", 0),
]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# ONNX's blocks are z, r, h and i, o, f, c; ours are r, z, n and i, f, g, o.
BLOCKS = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}


def onnx_node(rng: np.random.Generator) -> float:  # noqa: PLR0915 (one node from top to bottom)
    """Return the largest relative difference of the outputs of one random node."""
    kind = str(rng.choice(list(GATES)))
    T, B, D, H = (int(n) for n in rng.integers(1, 6, 4))
    ways = int(rng.integers(1, 3))
    direction = "bidirectional" if ways == 2 else str(rng.choice(["forward", "reverse"]))
    chosen = [
        ACTIVATIONS[k] for k in rng.integers(0, len(ACTIVATIONS), {"RNN": 1, "GRU": 2}.get(kind, 3))
    ]
    constants = [[float(c) for c in rng.uniform(0.2, 0.9, n)] for _, _, n in chosen]
    attributes: dict[str, Any] = {
        "hidden_size": H,
        "direction": direction,
        "activations": [name for name, _, _ in chosen] * ways,
    }
    alphas = [c[0] for c in constants if c] * ways
    betas = [c[1] for c in constants if len(c) > 1] * ways
    attributes |= {"activation_alpha": alphas} if alphas else {}
    attributes |= {"activation_beta": betas} if betas else {}
    options: dict[str, Any] = {}
    if rng.random() < 0.4:
        options["clip"] = attributes["clip"] = float(np.float32(rng.uniform(0.3, 2)))
    specs = [(name, *c) for (_, name, _), c in zip(chosen, constants, strict=True)]
    cls: Any = {"RNN": RNN, "GRU": GRU}.get(kind, LSTM)
    peepholes = False
    if kind == "RNN":
        options["nonlinearity"] = specs[0]
    else:
        options["activations"] = specs
    if kind == "GRU":
        options["reset_after"] = bool(rng.integers(2))
        attributes["linear_before_reset"] = int(options["reset_after"])
    if kind == "LSTM":
        options["input_forget"] = bool(rng.random() < 0.3)
        attributes["input_forget"] = int(options["input_forget"])
        peepholes = bool(rng.random() < 0.4)
        cls = PeepholeLSTM if peepholes else LSTM
    layer = cls(
        D, H, bidirectional=ways == 2, reverse=direction == "reverse", rng=rng, dtype="float32",
        **options,
    )  # fmt: skip
    x = rng.standard_normal((T, B, D)).astype("f4")
    lengths = rng.integers(1, T + 1, B).astype("i4")
    parts = [rng.standard_normal((ways, B, H)).astype("f4") for _ in layer.state_sizes]
    inputs: dict[str, Array] = {"X": x}
    G = GATES[kind]

    def blocks(name: str) -> Array:
        found = [layer.parameters.values[f"{name}_l0{s}"] for s in layer._directions]
        stacked = np.stack(found).reshape(ways, G, H, *found[0].shape[1:])
        stacked = stacked[:, BLOCKS[kind]]
        return stacked.reshape(ways, G * H, *found[0].shape[1:])

    inputs["W"], inputs["R"] = blocks("weight_ih"), blocks("weight_hh")
    inputs["B"] = np.concatenate([blocks("bias_ih"), blocks("bias_hh")], axis=1)
    inputs["sequence_lens"], inputs["initial_h"] = lengths, parts[0]
    if kind == "LSTM":
        inputs["initial_c"] = parts[1]
    if peepholes:
        found = [layer.parameters.values[f"weight_ch_l0{s}"] for s in layer._directions]
        inputs["P"] = np.stack(found)[:, [0, 2, 1]].reshape(ways, 3 * H)
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(parts)]
    node = helper.make_node(kind, list(inputs), outputs, **attributes)
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [
            numpy_helper.from_array(np.ascontiguousarray(a), n)
            for n, a in inputs.items()
            if n != "X"
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    want = session.run(None, {"X": x})
    state: Any = tuple(parts) if len(parts) > 1 else parts[0]
    y, final = layer.predict(x, state, lengths=lengths)
    y = y.reshape(T, B, ways, H).swapaxes(1, 2)
    finals = final if isinstance(final, tuple) else (final,)
    error = 0.0
    for got, expected in zip((y, *finals), want, strict=True):
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        error = max(error, float(np.abs(got - expected).max(initial=0)) / scale)
    if error > 1e-5:
        print(f"{error:.0e} {layer!r} {attributes}")
    return error


def keras_model(rng: np.random.Generator) -> float:
    """Return the largest relative difference of the outputs of one random masked layer."""
    kind = str(rng.choice(["SimpleRNN", "LSTM", "GRU"]))
    T, B, D, H = (int(n) for n in rng.integers(1, 6, 4))
    merge = str(rng.choice(["", "", "concat", "sum", "mul", "ave"]))
    sequences = bool(rng.integers(2))
    reverse = not merge and bool(rng.integers(2))
    first, second = (str(a) for a in rng.choice(["sigmoid", "tanh", "elu", "softplus", "silu"], 2))
    hard = bool(rng.integers(2))
    options: dict[str, Any] = {"activation": second}
    ours: dict[str, Any] = {"nonlinearity": second}
    if kind != "SimpleRNN":
        options["recurrent_activation"] = "hard_sigmoid" if hard else first
        gate = ("hard_sigmoid", 1 / 6) if hard else first
        ours = {"activations": [gate, second] + [second] * (kind == "LSTM")}
    if kind == "GRU":
        options["reset_after"] = ours["reset_after"] = bool(rng.integers(2))
    inner = getattr(keras.layers, kind)(
        H, return_sequences=sequences, go_backwards=reverse, bias_initializer="normal", **options
    )
    theirs = keras.layers.Bidirectional(inner, merge_mode=merge) if merge else inner
    x = rng.standard_normal((B, T, D)).astype("f4")
    mask = rng.random((B, T)) < 0.6
    want = np.asarray(keras.ops.convert_to_numpy(theirs(x, mask=mask)))
    cls = {"SimpleRNN": RNN, "LSTM": LSTM, "GRU": GRU}[kind]
    with_merge = {"bidirectional": True, "merge": merge if sequences else "concat"} if merge else {}
    layer = cls(D, H, batch_first=True, reverse=reverse, dtype="float32", **ours, **with_merge)
    cells = [theirs.forward_layer.cell, theirs.backward_layer.cell] if merge else [inner.cell]
    order = {"SimpleRNN": [0], "LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2]}[kind]
    for cell, suffix in zip(cells, layer._directions, strict=True):
        kernel, recurrent, bias = (np.asarray(w) for w in cell.get_weights())
        for name, value in (("weight_ih", kernel), ("weight_hh", recurrent)):
            blocked = value.T.reshape(len(order), H, -1)[order]
            layer.parameters.values[f"{name}_l0{suffix}"][...] = blocked.reshape(-1, value.shape[0])
        both = np.atleast_2d(bias).reshape(-1, len(order), H)[:, order].reshape(-1, len(order) * H)
        layer.parameters.values[f"bias_ih_l0{suffix}"][...] = both[0]
        layer.parameters.values[f"bias_hh_l0{suffix}"][...] = both[1] if len(both) > 1 else 0
    last: dict[str, Any] = {"bidirectional": True, "merge": merge} if merge else {}
    end = [] if sequences else [LastStep(True, reverse=reverse, **last)]
    model = Sequential(layer, *end)
    got = model.predict(x, mask=mask)[0]
    if reverse and sequences:  # Keras returns the steps in the order in which they were run
        got = got[:, ::-1]
    error = float(np.abs(got - want).max(initial=0)) / max(1.0, float(np.abs(want).max(initial=0)))
    if error > 1e-5:
        print(f"{error:.0e} {model!r}")
    return error


def main() -> None:
    """Print the largest difference of each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="random models of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one")
    options = parser.parse_args()
    for name, run in (("ONNX Runtime", onnx_node), ("Keras", keras_model)):
        errors = [
            run(np.random.default_rng(options.seed + k)) for k in range(max(1, options.count))
        ]
        print(f"{name}: {len(errors)} models, largest relative difference {max(errors):.1e}")


if __name__ == "__main__":
    main()
