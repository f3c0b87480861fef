"""HDF5 files as Keras 1 and 2 wrote them, made with h5py. TensorFlow is not needed for that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

from numpy_rnn import GRU, Embedding, LastStep, Linear, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import save

# Name, class, config and weights of each layer.
Layers = Sequence[tuple[str, str, Mapping[str, Any], Mapping[str, Array]]]


def legacy(layers: Layers, version: str, *, config: bool = True, **options: Any) -> bytes:
    """Return a file of a whole model or, without `config`, of its weights.

    `options` are arguments of h5py's ``create_dataset``.
    """
    memory = BytesIO()
    with h5py.File(memory, "w") as file:
        root = file.create_group("model_weights") if config else file
        root.attrs["layer_names"] = np.array([name.encode() for name, *_ in layers])
        root.attrs["keras_version"] = version.encode()
        for name, _, _, weights in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/{w}:0".encode() for w in weights])
            for key, array in weights.items():
                group.create_dataset(f"{name}/{key}:0", data=array, **options)
        if config:
            listed = [{"class_name": c, "config": {"name": n, **s}} for n, c, s, _ in layers]
            # Keras 1 and 2.0 have a list, later versions a name and the list.
            inner: Any = listed if version < "2.2" else {"name": "model", "layers": listed}
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": inner})
    return memory.getvalue()


def lstm_and_dense(seed: int = 0) -> Layers:
    """Return two layers with small random weights."""
    rng = np.random.default_rng(seed)
    lstm = {"kernel": (2, 12), "recurrent_kernel": (3, 12), "bias": (12,)}
    dense = {"kernel": (3, 2), "bias": (2,)}
    return [
        (name, kind, {}, {key: rng.standard_normal(shape) for key, shape in shapes.items()})
        for name, kind, shapes in (("lstm", "LSTM", lstm), ("dense", "Dense", dense))
    ]


def nodes(*names: str) -> list[Any]:
    """Return the inputs of a layer as Keras 2 writes them."""
    return [[[name, 0, 0, {}] for name in names]]


def functional(
    parts: Sequence[tuple[str, str, Mapping[str, Any], list[Any]]],
    outputs: Sequence[str],
    arrays: Mapping[str, Mapping[str, Array]],
) -> bytes:
    """Return a functional model as TensorFlow 2 writes it: parts have a layer's inbound nodes."""
    listed = [
        {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": n}
        for name, kind, config, n in parts
    ]
    starts = [[name, 0, 0] for name, kind, _, _ in parts if kind == "InputLayer"]
    ends = {"input_layers": starts, "output_layers": [[name, 0, 0] for name in outputs]}
    config = {"class_name": "Functional", "config": {"name": "model", "layers": listed} | ends}
    memory = BytesIO(legacy([(n, "", {}, weights) for n, weights in arrays.items()], "2.11.0"))
    with h5py.File(memory, "a") as file:
        file.attrs["model_config"] = json.dumps(config)
    return memory.getvalue()


START = {"batch_input_shape": [None, None, 2], "dtype": "float64"}


def two_inputs(lstm: Mapping[str, Array], dense: Mapping[str, Array]) -> bytes:
    """Return an LSTM whose last output goes with a second input into a Dense layer."""
    return functional(
        [
            ("steps", "InputLayer", START, []),
            ("lstm", "LSTM", {"units": 3}, nodes("steps")),
            ("static", "InputLayer", START | {"batch_input_shape": [None, 2]}, []),
            ("both", "Concatenate", {"axis": -1}, nodes("lstm", "static")),
            ("dense", "Dense", {"units": 2, "activation": "softmax"}, nodes("both")),
        ],
        ["dense"],
        {"lstm": lstm, "dense": dense},
    )


def encoder_and_decoder(
    encoder: Mapping[str, Array], decoder: Mapping[str, Array], *, keyword: bool
) -> bytes:
    """Return two LSTMs of which the second begins in the last state of the first.

    The first is in a model of its own. States are keywords, or inputs beside the sequence.
    """
    states = {"return_state": True}
    inner = [
        {"class_name": kind, "name": name, "config": config, "inbound_nodes": n}
        for name, kind, config, n in [
            ("start", "InputLayer", START, []),
            ("encoder", "LSTM", states, nodes("start")),
        ]
    ]
    outputs: list[Any] = [["encoder", 0, n] for n in range(3)]
    ends = {"input_layers": [["start", 0, 0]], "output_layers": outputs}
    given: list[Any] = [["inside", 1, 1], ["inside", 1, 2]]  # 0 is the call that made the model
    reads = [["words", 0, 0, {"initial_state": given} if keyword else {}]]
    return functional(
        [
            ("steps", "InputLayer", START, []),
            ("inside", "Functional", {"layers": inner} | ends, nodes("steps")),
            ("words", "InputLayer", START, []),
            (
                "decoder",
                "LSTM",
                states | {"return_sequences": True},
                [reads if keyword else reads + [[*at, {}] for at in given]],
            ),
        ],
        ["decoder"],
        {"inside": {f"encoder/{n}": a for n, a in encoder.items()}, "decoder": decoder},
    )


def seeds() -> list[bytes]:
    """Return small good files of each layout, for fuzzing."""
    layers = lstm_and_dense()
    files = [legacy(layers, "2.4.0"), legacy(layers, "2.4.0", config=False)]
    files.append(legacy(layers, "2.4.0", chunks=True))
    wide = {"kernel": np.ones((5, 2)), "bias": np.ones(2)}
    files.append(two_inputs(layers[0][3], wide))
    files.append(encoder_and_decoder(layers[0][3], layers[0][3], keyword=True))
    model = Sequential(
        Embedding(4, 2, rng=0),
        GRU(2, 2, batch_first=True, bidirectional=True, rng=0),
        LastStep(True, bidirectional=True),
        Linear(4, 1, rng=0),
    )
    with TemporaryDirectory() as folder:
        for name in ("model.keras", "model.h5"):
            save(model, Path(folder, name), "keras")
            files.append(Path(folder, name).read_bytes())
    return files
