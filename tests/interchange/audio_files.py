"""JSON files of audio models, made here as their programs make them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from numpy_rnn import GRU, LSTM, Linear
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import convert_gates


def lstm_layers(H: int = 3, D: int = 1, seed: int = 0) -> tuple[LSTM, Linear]:
    """Return two layers of ours with weights that the files below hold."""
    return LSTM(D, H, rng=seed, dtype=np.float32), Linear(H, 1, rng=seed, dtype=np.float32)


def rtneural(rnn: LSTM | GRU, linear: Linear, **entries: Any) -> dict[str, Any]:
    """Return RTNeural's JSON of two layers, with AIDA-X's entries."""
    kind = "lstm" if isinstance(rnn, LSTM) else "gru"
    ours = {name.removesuffix("_l0"): w for name, w in rnn.parameters.values.items()}
    arrays = convert_gates(ours, "torch", "keras", kind)
    dense = [
        linear.parameters.values["weight"].T.tolist(),
        linear.parameters.values["bias"].tolist(),
    ]
    H = rnn.hidden_size
    layers = [
        {"type": kind, "activation": "tanh", "shape": [None, None, H]},
        {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": dense},
    ]
    layers[0]["weights"] = [array.tolist() for array in arrays.values()]
    return {"in_shape": [None, None, rnn.input_size], "layers": layers, **entries}


def guitarml(rnn: LSTM | GRU, linear: Linear, skip: int = 0) -> dict[str, Any]:
    """Return GuitarML's JSON of two layers."""
    state = {f"rec.{n}": w.tolist() for n, w in rnn.parameters.values.items()}
    state |= {f"lin.{n}": w.tolist() for n, w in linear.parameters.values.items()}
    data = {"model": "SimpleRNN", "input_size": rnn.input_size, "skip": skip, "output_size": 1}
    data |= {"unit_type": type(rnn).__name__, "num_layers": rnn.num_layers}
    data |= {"hidden_size": rnn.hidden_size, "bias_fl": True}
    return {"model_data": data, "state_dict": state}


def nam(rnn: LSTM, linear: Linear, initial: list[tuple[Array, Array]]) -> dict[str, Any]:
    """Return the content of a .nam file of two layers with these states of each layer."""
    flat: list[float] = []
    values = rnn.parameters.values
    for layer, (h, c) in enumerate(initial):
        kernel = np.hstack([values[f"weight_ih_l{layer}"], values[f"weight_hh_l{layer}"]])
        bias = values[f"bias_ih_l{layer}"] + values[f"bias_hh_l{layer}"]
        for part in (kernel.ravel(), bias, h, c):
            flat += part.tolist()
    flat += [
        *linear.parameters.values["weight"].ravel().tolist(),
        float(linear.parameters.values["bias"][0]),
    ]
    config = {"input_size": 1, "hidden_size": rnn.hidden_size, "num_layers": rnn.num_layers}
    about = {"version": "0.5.1", "metadata": {"loudness": -12.5}, "architecture": "LSTM"}
    return {**about, "config": config, "weights": flat, "sample_rate": 44100}


def seeds() -> list[bytes]:
    """Return a small good file of each program, for fuzzing."""
    rnn, linear = lstm_layers(2)
    zeros = [(np.zeros(2), np.zeros(2))]
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    y = linear.predict(rnn.predict(x[:, None])[0])[:, 0]
    test = {"input_batch": x.tolist(), "output_batch": y.tolist()}
    files = [rtneural(rnn, linear, **test), guitarml(rnn, linear, skip=1), nam(rnn, linear, zeros)]
    files.append(guitarml(rnn, linear)["state_dict"])
    convolution: dict[str, Any] = {"type": "conv1d", "activation": "relu", "shape": [None, None, 1]}
    convolution |= {"kernel_size": [2], "dilation": [2], "weights": [[[[0.5]], [[-1.0]]], [0.1]]}
    files.append(rtneural(rnn, linear))
    files[-1]["layers"].insert(0, convolution)
    return [json.dumps(file).encode() for file in files]
