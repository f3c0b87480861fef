"""References for Keras's and audio models that share no code with the package.

``benchmarks/real_models.py`` runs them. RTNeural: the ``*_y.csv`` beside a file, or else Keras's
layers. ``.nam``: a plain loop over samples. Keras's weights: layers of Keras 3 itself with the
arrays of the file, as the programs DTLN, textgenrnn and reactionrnn make them. Keras runs in
float64: over hundreds of steps of such networks the rounding of float32 grows to more than 0.1.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.functional.types import Array

STEPS = 100
Line = tuple[str, float]


def outputs(model: Any, x: Array) -> Array:
    """Return the outputs of a model, without its state."""
    y = model.predict(x)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def compare(
    name: str, ours: Callable[[], Array], reference: Callable[[], Array], steps: int
) -> Line:
    """Return a line with the worst difference and both times."""
    times = []
    for call in (ours, reference):
        call()
        start = time.perf_counter()
        result = call()
        times.append(1e6 * (time.perf_counter() - start) / steps)
    worst = float(np.abs(ours() - result).max())
    return f"{name}: differs by {worst:.1e}, {times[0]:.1f} us a step, {times[1]:.1f} us", worst


def sigmoid(z: Array) -> Array:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-z))


def nam_loop(path: Path, x: Array) -> Array:
    """Return the outputs of a .nam LSTM, computed sample by sample from its flat list."""
    file = json.loads(path.read_text())
    H, L = file["config"]["hidden_size"], file["config"]["num_layers"]
    weights, cells = iter(file["weights"]), []

    def take(*shape: int) -> Array:
        return np.array([next(weights) for _ in range(math.prod(shape))]).reshape(shape)

    for layer in range(L):
        D = H if layer else 1
        cells.append([take(4 * H, D + H), take(4 * H), take(H), take(H)])
    head, bias = take(H), take(1)
    y = []
    for sample in x:
        inner = sample
        for cell in cells:
            W, b, h, c = cell
            i, f, g, o = np.split(W @ np.concatenate([inner, h]) + b, 4)
            cell[3] = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            cell[2] = inner = sigmoid(o) * np.tanh(cell[3])
        y.append(head @ inner + bias)
    return np.array(y)


def audio(path: Path) -> Iterator[Line]:
    """Yield lines for an audio model."""
    if path.suffix == ".nam":
        x = np.random.default_rng(0).uniform(-1, 1, (STEPS, 1)).astype(np.float32)
        model = interchange.load(path)
        yield compare(path.name, lambda: outputs(model, x), lambda: nam_loop(path, x), STEPS)
    elif (pair := path.with_name(f"{path.stem}_x.csv")).exists():
        x = np.loadtxt(pair, dtype=np.float32)[:, None]
        y = np.loadtxt(path.with_name(f"{path.stem}_y.csv"))[:, None]
        model = interchange.load(path)
        yield compare(path.name, lambda: outputs(model, x), lambda: y, len(x))
    elif "layers" in (file := json.loads(path.read_text())):
        shape = STEPS, file["in_shape"][-1]
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        model = interchange.load(path)
        yield compare(path.name, lambda: outputs(model, x), rtneural(file, x), STEPS)


def rtneural(file: dict[str, Any], x: Array) -> Callable[[], Array]:
    """Return a call of Keras's layers with the weights of RTNeural's."""
    import keras  # noqa: PLC0415 (an extra)

    L, made = keras.layers, []
    for layer in file["layers"]:
        size, activation = layer["shape"][-1], layer["activation"] or None
        options: dict[str, Any] = {"activation": activation}
        if layer["type"] == "conv1d":
            options |= {"dilation_rate": layer["dilation"][0], "padding": "causal"}
            made.append(L.Conv1D(size, layer["kernel_size"][0], **options))
        elif layer["type"] == "dense":
            made.append(L.Dense(size, **options))
        else:
            cell = {"gru": L.GRU, "lstm": L.LSTM}[layer["type"]]
            made.append(cell(size, return_sequences=True))
    model = keras.Sequential([keras.Input((None, x.shape[1])), *made])
    model.set_weights([np.array(w) for layer in file["layers"] for w in layer["weights"]])
    return lambda: np.asarray(model(x[None])[0].detach().numpy())


def load(path: Path, layers: Any) -> Any:
    """Return layers of a file of weights in float64."""
    config = layers if isinstance(layers, dict) else {}
    model = interchange.load(path, layers=list(layers), config=config)
    model.parameters.to("float64")
    return model


def keras_layers(arrays: dict[str, Array], layers: list[tuple[str, Any]], x: Array) -> Any:
    """Return a call of layers of Keras, each with the arrays of its name."""
    for name, layer in layers:
        layer.build((None, None, arrays[f"{name}.0"].shape[0]))
        layer.set_weights([a for n, a in arrays.items() if n.startswith(f"{name}.")])

    def call() -> Array:
        y: Any = x
        for _, layer in layers:
            y = layer(y)
        return np.asarray(y.detach().numpy())

    return call


def keras_weights(path: Path) -> Iterator[Line]:
    """Yield lines for a file of weights."""
    import keras  # noqa: PLC0415 (an extra)
    import torch  # noqa: PLC0415 (an extra)
    from keras.src import backend  # noqa: PLC0415

    torch.set_num_threads(1)
    keras.config.set_floatx("float64")
    backend.numpy.matmul = torch.matmul  # Keras's own computes float64 in float32
    L, rng = keras.layers, np.random.default_rng(0)
    arrays = {n: a.astype(float) for n, a in interchange.read(path).arrays.items()}

    def old_sigmoid(z: Any) -> Any:  # of Keras 1 and 2
        return keras.ops.clip(0.2 * z + 0.5, 0.0, 1.0)

    if path.parent.name == "dtln":
        for names, D in (
            (("lstm", "lstm_1", "dense"), 257),
            (("lstm_2", "lstm_3", "dense_1"), 256),
        ):
            x = rng.standard_normal((1, STEPS, D))
            options: dict[str, Any] = {name: {} for name in names[:2]} | {
                names[2]: {"activation": "sigmoid"}
            }
            model = load(path, options)
            size = arrays[f"{names[2]}.0"].shape[1]
            theirs = [(name, L.LSTM(128, return_sequences=True)) for name in names[:2]]
            theirs.append((names[2], L.Dense(size, activation="sigmoid")))
            yield compare(
                f"{path.name} {names}",
                partial(outputs, model, x),
                keras_layers(arrays, theirs, x),
                STEPS,
            )
    elif path.parent.name == "reactionrnn":
        tokens = rng.integers(1, 401, (1, 140))
        model = load(path, {"embedding": {}, "rnn": {"return_sequences": False}, "output": {}})
        gru = L.GRU(256, recurrent_activation=old_sigmoid, reset_after=False)
        theirs = [
            ("embedding", L.Embedding(401, 100, dtype="float64")),
            ("rnn", gru),
            ("output", L.Dense(5)),
        ]
        yield compare(
            path.name, lambda: outputs(model, tokens), keras_layers(arrays, theirs, tokens), 140
        )
    elif path.parent.name == "textgenrnn":
        yield textgenrnn(path, arrays, keras, rng.integers(1, 465, (1, 40)))


def textgenrnn(path: Path, arrays: dict[str, Array], keras: Any, tokens: Array) -> Line:
    """Return the line of textgenrnn: an embedding, two LSTMs, attention over all three."""
    L = keras.layers

    def attend(parts: list[Array]) -> Array:  # textgenrnn's AttentionWeightedAverage
        both = np.concatenate(parts, axis=-1)
        logits = (both @ arrays["attention.0"])[..., 0]
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(((e / e.sum(axis=-1, keepdims=True))[..., None] * both).sum(axis=1))

    def softmax(z: Array) -> Array:
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True))

    models = [load(path, [name]) for name in ("embedding", "rnn_1", "rnn_2")]
    top = load(path, {"output": {"activation": "softmax"}})

    def ours() -> Array:
        parts: list[Array] = []
        for model in models:
            parts.append(outputs(model, parts[-1] if parts else tokens))
        # The program's order: embedding, first and second LSTM.
        return outputs(top, attend(parts))

    def of_cudnn(name: str) -> dict[str, Array]:
        """Return the arrays as Keras converts them, cuDNN's to the LSTM's."""
        kernel, recurrent, bias = (arrays[f"{name}.{i}"] for i in range(3))
        return {
            f"{name}.0": np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, 4)]),
            f"{name}.1": np.hstack([k.T for k in np.hsplit(recurrent, 4)]),
            f"{name}.2": np.sum(np.split(bias, 2), axis=0),
        }

    def reference() -> Array:
        y = arrays["embedding.0"][tokens]
        parts = [y]
        for name in ("rnn_1", "rnn_2"):
            call = keras_layers(
                of_cudnn(name), [(name, L.LSTM(128, return_sequences=True))], parts[-1]
            )
            parts.append(call())
        return softmax(attend(parts) @ arrays["output.0"] + arrays["output.1"])

    return compare(path.name, ours, reference, tokens.size)


def lines(path: Path) -> Iterator[Line]:
    """Yield a line and the worst difference for each reference that a file has."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    kinds = {".nam": audio, ".json": audio, ".h5": keras_weights, ".hdf5": keras_weights}
    for line, worst in kinds[path.suffix](path) if path.suffix in kinds else ():
        yield f"{path.parent.name}/{line}", worst
